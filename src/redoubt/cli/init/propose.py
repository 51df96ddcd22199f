"""What each column of a table would be used as, and why not, as a proposal to its owner."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from redoubt.bundle.dates import Part, part_names
from redoubt.cli.init import goal as goals
from redoubt.cli.init.cells import Cells, looked_at
from redoubt.cli.init.odd import Proposed, odd_notes
from redoubt.cli.init.stray import stray_notes
from redoubt.cli.init.uses import ID, TAUGHT, Use, kept_words, skewness, use_of, varying_parts
from redoubt.data.shared.dates import moments
from redoubt.data.shared.looks import looks_like
from redoubt.data.shared.words import changed, words
from redoubt.params.settings.base import MissingPolicy, Transform

# A target of more different numbers is a number.
CLASSES = 20
# Of the cells; where more are empty an input of its own says so.
TELLING = 0.05
# Of the rows; a rarer class is weighed up. Of two classes a threshold decides if one is rarer than that, and if so many
# of its examples are among those that it is chosen on.
RARE = 0.1
LOPSIDED, DECIDING, CHOSEN_ON = 1 / 3, 40, 0.16
# A column that tells the target apart this well by itself hardly comes before it.
LEAK = 0.999
# On so many rows at most, each class alike.
FOLDS, SAMPLED = 3, 10_000
EMPTY_COUNTS = {
    "drop": "these rows are left out",
    "median": "they count as the median of the training rows",
    "median+indicator": "they count as the median of the training rows, and one more input says that they were empty",
    "category": "they count as a category of its own, 'missing'",
    "mode": "they count as the most frequent value of the training rows (too few to learn what 'missing' means)",
}
AGREE = "whoever they are, all rows of one agree"
_TARGETS = ("target", "label", "class", "y", "left", "churn", "churned", "survived", "outcome", "diagnosis", "price")


@dataclass(frozen=True)
class Proposal:
    """A task on a table.

    Attributes:
        kind: regression or classification.
        columns: in the table's order.
        rows: of the table.
        tolerance: largest error that counts as right; None of classes.
        rare: whether a class is rare.
        lopsided: whether two classes are so unlike in number that the larger logit would favour one, yet none is rare.
        missing: by used column with empty cells what becomes of them.
        split: the column that keeps rows together (`group`) or in order (`time`), if one should.
        notes: what its owner should know.
    """

    kind: Literal["regression", "classification"]
    target: str
    rows: int
    columns: tuple[Proposed, ...]
    tolerance: float | None
    rare: bool
    lopsided: bool
    missing: dict[str, MissingPolicy]
    split: dict[str, str]
    notes: tuple[str, ...]

    def named(self, *uses: Use) -> list[str]:
        """The columns of these uses."""
        return [column.name for column in self.columns if column.use in uses]

    @property
    def levels(self) -> dict[str, int]:
        """By category of many words how many of them are kept."""
        return {column.name: column.keep for column in self.columns if column.use == "category" and column.keep}

    @property
    def dates(self) -> dict[str, list[Part]]:
        """By column of dates the parts that are used."""
        return {column.name: list(column.parts) for column in self.columns if column.use == "date"}

    @property
    def transform(self) -> dict[str, Transform]:
        """By skewed feature how the network spreads it out."""
        return {column.name: "quantile" for column in self.columns if column.skewed}


def likely_target(names: list[str]) -> str:
    """The column that is most likely to be predicted: by its name, else the last one."""
    folded = {name.casefold(): name for name in names}
    return next((folded[word] for word in _TARGETS if word in folded), names[-1])


def propose(table: pd.DataFrame, target: str) -> Proposal:
    """Propose a use for each column.

    Args:
        table: as the pipeline will read it.
        target: a column of it.

    Raises:
        AskedError: a target of which nothing can be learnt.
    """
    every = [looked_at(table[name]) for name in table.columns]
    goal = next(cells for cells in every if cells.name == target)
    measured = goal.values is not None and goal.distinct > CLASSES
    goals.check(goal, measured)
    columns = tuple(
        _described(cells, "target") if cells is goal else _feature(cells, goal, measured) for cells in every
    )
    tolerance = float(f"{goal.values.std() / 2:.2g}") if measured and goal.values is not None else None
    shares = goal.filled.astype("str").value_counts(normalize=True)
    rare = not measured and len(shares) > 0 and float(shares.min()) < RARE
    lopsided = _lopsided(goal, shares) and not measured and not rare
    split, said = _split(every, columns, len(table))
    columns = tuple(_recurring(column) if "time" in split else column for column in columns)
    missing = _missing(columns, len(table))
    notes = [
        *stray_notes(every),
        *_word_notes(every, columns),
        *_empty_notes(columns, missing, len(table)),
        *_level_notes(columns),
        *said,
    ]
    notes += [*goals.notes(goal, measured), *odd_notes(every, columns, measured)]
    if not any(column.use in ("number", "whole number") for column in columns):
        switched = any(column.use == "category" for column in columns)
        fix = ", unless categories that he can switch are named under 'mutable' (docs/eps.md)" if switched else ""
        notes.append(
            "no column of numbers is used: an attacker can change nothing, so that robustness cannot be measured, and"
            f" no model will be promoted{fix}"
        )
    if rare:
        notes.append(f"class '{shares.idxmin()}' is rare ({shares.min():.1%} of the rows): rare classes are weighed up")
    if lopsided:
        notes.append(
            f"class '{shares.idxmin()}' has {shares.min():.0%} of the rows: from which probability on it is the answer"
            " is chosen for the best balanced accuracy on validation examples"
        )
    kind: Literal["regression", "classification"] = "regression" if measured else "classification"
    return Proposal(kind, target, len(table), columns, tolerance, rare, lopsided, missing, split, tuple(notes))


def _lopsided(goal: Cells, shares: "pd.Series[float]") -> bool:
    least = float(shares.min()) if len(shares) == 2 else 1.0
    return least < LOPSIDED and least * CHOSEN_ON * len(goal.filled) >= DECIDING


def _feature(cells: Cells, goal: Cells, measured: bool) -> Proposed:
    use, why = use_of(cells)
    leak = (_leak(cells, goal, measured) or _telling_holes(cells, goal, measured)) if use != "left out" else ""
    if leak:
        return _described(cells, "left out", leak)
    if use == "date":
        return replace(_described(cells, use, why), parts=varying_parts(cells))
    skew = skewness(cells) if use in ("number", "whole number") else 0.0
    if not skew:
        return _described(cells, use, why)
    said = f"skewed ({skew:+.1f}): the network takes it by ranks"
    return replace(_described(cells, use, said), skewed=True)


def _leak(cells: Cells, goal: Cells, measured: bool) -> str:
    """Why a column gives the answer away; empty if it does not."""
    both = cells.filled.index.intersection(goal.filled.index)
    if len(both) < 20:
        return ""
    if measured:
        if cells.values is None or goal.values is None:
            return ""
        related = abs(float(np.corrcoef(cells.values.loc[both], goal.values.loc[both])[0, 1]))
        return f"it nearly equals the target (correlation {related:.4f})" if related > LEAK else ""
    told = _told(cells.filled.loc[both] if cells.values is None else cells.values.loc[both], goal.filled.loc[both])
    if told <= LEAK:
        return ""
    if cells.values is not None or cells.distinct <= 2 * goal.distinct:
        return f"it tells the target by itself (balanced accuracy {told:.1%})"
    return f"its {cells.distinct:,} values tell the target (balanced accuracy {told:.1%}): {AGREE}"


def _telling_holes(cells: Cells, goal: Cells, measured: bool) -> str:
    """Why where a column is empty gives the answer away, as a date of leaving does; empty if it does not."""
    holes = pd.Series(~goal.filled.index.isin(cells.filled.index), goal.filled.index, dtype="float64")
    if measured or not TELLING < holes.mean() < 1 or (told := _told(holes, goal.filled)) <= LEAK:
        return ""
    return f"whether its cells are empty tells the target (balanced accuracy {told:.1%})"


def _told(cells: "pd.Series[Any]", answers: "pd.Series[Any]") -> float:
    """How well a decision tree on this column alone tells held-out rows' classes: balanced accuracy, by 3 folds.

    Held out, an identifier tells nothing, and balanced, a rare class weighs as much as a frequent one.
    """
    # Two seconds that no other command should wait for.
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    kept = answers.isin(answers.value_counts()[lambda counts: counts >= FOLDS].index)
    cells, answers = cells[kept], answers[kept].astype("str")
    if answers.nunique() < 2:
        return 0.0
    if len(answers) > SAMPLED:
        order = np.random.default_rng(0).permutation(len(answers))
        rank = answers.iloc[order].groupby(answers.iloc[order]).cumcount()
        # Of each class alike, so that none is lost.
        chosen = rank.index[rank < SAMPLED // answers.nunique()]
        cells, answers = cells.loc[chosen], answers.loc[chosen]
    column = cells if pd.api.types.is_numeric_dtype(cells) else pd.Series(pd.factorize(cells)[0])
    x = np.asarray(column, dtype=np.float64).reshape(-1, 1)
    tree, folds = DecisionTreeClassifier(random_state=0), StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    found = cross_val_predict(tree, x, answers.to_numpy(dtype=str), cv=folds)
    return float(balanced_accuracy_score(answers.to_numpy(dtype=str), found))


def _described(cells: Cells, use: Use, why: str = "") -> Proposed:
    filled, values = cells.filled, cells.values
    if values is not None and len(values):
        holds = "whole numbers" if (values % 1 == 0).all() else "numbers"
        shows = f"{values.min():g} to {values.max():g}"
    else:
        like = looks_like(cells.raw).like
        holds = "words" if like.startswith(("words", "an identifier", "always")) else like
        shows = ", ".join(_cut(str(word)) for word in filled.value_counts().index[:3])
    # Of words "NA" is one, as the pipeline reads them.
    as_words = use == "category" or (use == "target" and (values is None or cells.distinct <= CLASSES))
    empty = int(words(cells.raw).isna().sum()) if as_words else len(cells.raw) - len(filled)
    return Proposed(
        cells.name, holds, empty, cells.distinct, shows, use, why, kept_words(cells) if use == "category" else 0
    )


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 20 else f"{text[:17]}..."


def _missing(columns: tuple[Proposed, ...], rows: int) -> dict[str, MissingPolicy]:
    found: dict[str, MissingPolicy] = {}
    for column in columns:
        if not column.empty or column.use == "left out":
            continue
        if column.use == "target":
            found[column.name] = "drop"
        elif column.use == "date":
            found |= dict.fromkeys(part_names(column.name, column.parts), "median")
        elif column.use == "category":
            found[column.name] = "category" if column.empty >= TAUGHT else "mode"
        else:
            found[column.name] = "median+indicator" if column.empty > TELLING * rows else "median"
    return found


def _empty_notes(columns: tuple[Proposed, ...], missing: dict[str, MissingPolicy], rows: int) -> Iterator[str]:
    for column in columns:
        policy = missing.get(next(iter(part_names(column.name, column.parts)), column.name))
        if policy is not None:
            share = f"{column.empty / rows:.1%}"
            yield f"'{column.name}' has {column.empty:,} empty cells ({share}): {EMPTY_COUNTS[policy]}"


def _word_notes(every: list[Cells], columns: tuple[Proposed, ...]) -> Iterator[str]:
    for cells, column in zip(every, columns, strict=True):
        if column.use in ("category", "target") and (said := changed(cells.raw)):
            yield f"{said}; so are they when the model is asked"


def _level_notes(columns: tuple[Proposed, ...]) -> Iterator[str]:
    for column in columns:
        if column.use == "category" and column.keep:
            yield (
                f"'{column.name}' has {column.distinct:,} different words: the {column.keep} most frequent ones are "
                "kept, the others, and those that are not known when the model is asked, count as 'other'"
            )


def _split(every: list[Cells], columns: tuple[Proposed, ...], rows: int) -> tuple[dict[str, str], list[str]]:
    """What a split at random would leak by, and what is said of it."""
    groups = [column for column in columns if _is_group(column, rows) and not column.empty]
    said = [
        f"'{column.name}' puts rows into {column.distinct:,} groups: a group is never split, so that a model is tested "
        "on groups that it has not seen"
        for column in groups[:1]
    ]
    split = {"group": groups[0].name} if groups else {}
    for cells, column in zip(every, columns, strict=True):
        if not cells.is_time or column.use == "left out":
            continue
        found = moments(cells.raw)
        if found is not None and found[0].is_monotonic_increasing and not split and not column.empty:
            split = {"time": column.name}
            said.append(f"'{column.name}' is a time and the rows are in its order: the latest rows are the test set")
        else:
            said.append(
                f"'{column.name}' is a time; rows are not split by it, so a model is tested on times between those it "
                f"learnt from: to predict the future, say split: {{time: {column.name}}}"
            )
    return split, said


def _recurring(column: Proposed) -> Proposed:
    """A date without the parts that only grow: where the latest rows test, no training row has theirs."""
    parts = tuple(part for part in column.parts if part not in ("year", "days"))
    if column.use != "date" or parts == column.parts:
        return column
    if not parts:
        return replace(column, use="left out", why="the rows are split by time, and its parts only grow", parts=())
    why = f"{', '.join(parts)} as whole numbers that no attacker changes; not what only grows: the latest rows test"
    return replace(column, why=why, parts=parts)


def _is_group(column: Proposed, rows: int) -> bool:
    """Whether the values of an identifier or a telling word each stand for several rows."""
    several = column.distinct >= 10 and rows / max(column.distinct, 1) >= 3
    return several and (bool(ID.search(column.name)) or AGREE in column.why)

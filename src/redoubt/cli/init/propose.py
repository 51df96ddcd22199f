"""What each column of a table would be used as, and why not, as a proposal to its owner."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from redoubt.data.prepare.precision import KEPT, LARGEST_STD, SMALLEST_STD, measure
from redoubt.data.readers import is_nameless
from redoubt.data.shared.looks import MISSING, looks_like
from redoubt.data.tables import words
from redoubt.params.settings.base import MissingPolicy

Use = Literal["number", "whole number", "category", "left out", "target"]
# Of more different words so many are kept, the most frequent ones; a target of more different numbers is a number.
CATEGORIES, KEPT_WORDS, CLASSES = 50, 20, 20
# Of the cells; emptier columns are left out.
EMPTY = 0.5
# Of the cells; where more are empty an input of its own says so. And so many rows teach what a category means.
TELLING, TAUGHT = 0.05, 10
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
_ID = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|index|idx|row|rownum|no|nr|number|ticket)($|[_\W])|(?<=[a-z])I[Dd]$", re.IGNORECASE
)
_TARGETS = ("target", "label", "class", "y", "left", "churn", "churned", "survived", "outcome", "diagnosis", "price")


@dataclass(frozen=True)
class Proposed:
    """A column: what it holds, an excerpt, its use, why it is left out, and how many of its words are kept (0: all)."""

    name: str
    holds: str
    empty: int
    distinct: int
    shows: str
    use: Use
    why: str = ""
    keep: int = 0


@dataclass(frozen=True)
class Proposal:
    """A task on a table.

    Attributes:
        kind: regression or classification.
        columns: in the table's order.
        tolerance: largest error that counts as right; None of classes.
        rare: whether a class is rare.
        lopsided: whether two classes are so unlike in number that the larger logit would favour one, yet none is rare.
        missing: by used column with empty cells what becomes of them.
        split: the column that keeps rows together (`group`) or in order (`time`), if one should.
        notes: what its owner should know.
    """

    kind: Literal["regression", "classification"]
    target: str
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


def likely_target(names: list[str]) -> str:
    """The column that is most likely to be predicted: by its name, else the last one."""
    folded = {name.casefold(): name for name in names}
    return next((folded[word] for word in _TARGETS if word in folded), names[-1])


@dataclass(frozen=True, eq=False)
class _Cells:
    """A column, looked at once.

    Attributes:
        raw: as it was read.
        filled: what is not empty; text without blanks around it.
        values: the same as numbers, if all of it is.
        distinct: how many different values it has.
    """

    raw: "pd.Series[Any]"
    filled: "pd.Series[Any]"
    values: "pd.Series[Any] | None"
    distinct: int

    @property
    def name(self) -> str:
        """Of the column."""
        return str(self.raw.name)

    @property
    def is_time(self) -> bool:
        """Whether it holds dates."""
        return self.values is None and self.distinct > 1 and looks_like(self.raw).like == "a date"


def propose(table: pd.DataFrame, target: str) -> Proposal:
    """Propose a use for each column.

    Args:
        table: as the pipeline will read it.
        target: a column of it.
    """
    every = [_looked_at(table[name]) for name in table.columns]
    goal = next(cells for cells in every if cells.name == target)
    measured = goal.values is not None and goal.distinct > CLASSES
    columns = tuple(
        _described(cells, "target") if cells is goal else _feature(cells, goal, measured) for cells in every
    )
    tolerance = float(f"{goal.values.std() / 2:.2g}") if measured and goal.values is not None else None
    shares = goal.filled.astype("str").value_counts(normalize=True)
    rare = not measured and len(shares) > 0 and float(shares.min()) < RARE
    lopsided = _lopsided(goal, shares) and not measured and not rare
    missing = _missing(columns, len(table))
    split, said = _split(every, columns, len(table))
    notes = [*_empty_notes(columns, missing, len(table)), *_level_notes(columns), *said]
    if rare:
        notes.append(f"class '{shares.idxmin()}' is rare ({shares.min():.1%} of the rows): rare classes are weighed up")
    if lopsided:
        notes.append(
            f"class '{shares.idxmin()}' has {shares.min():.0%} of the rows: from which probability on it is the answer"
            " is chosen for the best balanced accuracy on validation examples"
        )
    kind: Literal["regression", "classification"] = "regression" if measured else "classification"
    return Proposal(kind, target, columns, tolerance, rare, lopsided, missing, split, tuple(notes))


def _lopsided(goal: _Cells, shares: "pd.Series[float]") -> bool:
    least = float(shares.min()) if len(shares) == 2 else 1.0
    return least < LOPSIDED and least * CHOSEN_ON * len(goal.filled) >= DECIDING


def _looked_at(raw: "pd.Series[Any]") -> _Cells:
    if pd.api.types.is_datetime64_any_dtype(raw) or pd.api.types.is_bool_dtype(raw):
        filled = raw.dropna()
        return _Cells(raw, filled, None, int(filled.nunique()))
    if pd.api.types.is_numeric_dtype(raw):
        filled = raw.dropna().astype("float64")
        return _Cells(raw, filled, filled, int(filled.nunique()))
    text = raw.dropna().astype("str").str.strip()
    filled = text[~text.str.casefold().isin(MISSING)]
    values = pd.to_numeric(filled, errors="coerce").astype("float64") if len(filled) else None
    values = None if values is None or values.isna().any() else values
    return _Cells(raw, filled, values, int(filled.nunique()))


def _feature(cells: _Cells, goal: _Cells, measured: bool) -> Proposed:
    use, why = _use(cells)
    leak = _leak(cells, goal, measured) if use != "left out" else ""
    return _described(cells, "left out", leak) if leak else _described(cells, use, why)


def _use(cells: _Cells) -> tuple[Use, str]:
    why = _unusable(cells)
    if why:
        return "left out", why
    if cells.values is not None:
        return _use_of_numbers(cells.values, cells)
    why = _unlearnable(cells)
    return ("left out", why) if why else ("category", "")


def _unusable(cells: _Cells) -> str:
    if is_nameless(cells.name):
        return "it has no name: an index that was exported, as a rule"
    if not len(cells.filled):
        return "it is empty"
    if len(cells.filled) < (1 - EMPTY) * len(cells.raw):
        share = 1 - len(cells.filled) / len(cells.raw)
        return f"{share:.0%} of its cells are empty"
    return "it is always the same" if cells.distinct == 1 else ""


def _unlearnable(cells: _Cells) -> str:
    """Why text is no category."""
    if cells.distinct == 2:
        return ""
    looks = looks_like(cells.raw)
    if looks.like.startswith(("a date", "a percentage", "an amount", "a number")):
        return f"it looks like {looks.like}: {looks.fix}"
    if cells.distinct <= CATEGORIES:
        return ""
    if cells.distinct > 0.5 * len(cells.filled):
        return "an identifier or free text: nearly all values differ"
    if _ID.search(cells.name):
        return f"an identifier, by its name: {cells.distinct:,} different values"
    few = f"{cells.distinct:,} different words, fewer than two of which stand in {TAUGHT} rows"
    return "" if _keep(cells) >= 2 else few


def _keep(cells: _Cells) -> int:
    """How many of a column's many words are kept: the frequent ones; 0 keeps all of a few."""
    if cells.values is not None or cells.distinct <= CATEGORIES:
        return 0
    return min(KEPT_WORDS, int((cells.filled.value_counts() >= TAUGHT).sum()))


def _use_of_numbers(values: "pd.Series[Any]", cells: _Cells) -> tuple[Use, str]:
    whole, rows = bool((values % 1 == 0).all()), len(values)
    steps = values.diff().dropna()
    if whole and cells.distinct == rows >= 20 and (steps == steps.iloc[0]).all():
        return "left out", "it counts the rows"
    if whole and cells.distinct > 0.5 * rows and _ID.search(cells.name):
        return "left out", "an identifier, by its name: nearly all values differ"
    if cells.distinct == 2:
        return "category", ""
    kept = measure(values)
    if kept and (not SMALLEST_STD < kept.std < LARGEST_STD or (kept.matters and kept.kept < KEPT * kept.distinct)):
        return "left out", (
            f"float32, in which a network computes, cannot tell its values apart (near {kept.largest:g} its step is "
            f"{kept.step:g}): subtract its smallest value, or change its unit"
        )
    return ("whole number" if whole else "number"), ""


def _leak(cells: _Cells, goal: _Cells, measured: bool) -> str:
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


def _described(cells: _Cells, use: Use, why: str = "") -> Proposed:
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
    return Proposed(cells.name, holds, empty, cells.distinct, shows, use, why, _keep(cells) if use == "category" else 0)


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
        elif column.use == "category":
            found[column.name] = "category" if column.empty >= TAUGHT else "mode"
        else:
            found[column.name] = "median+indicator" if column.empty > TELLING * rows else "median"
    return found


def _empty_notes(columns: tuple[Proposed, ...], missing: dict[str, MissingPolicy], rows: int) -> Iterator[str]:
    for column in columns:
        if column.name in missing:
            yield (
                f"'{column.name}' has {column.empty:,} empty cells ({column.empty / rows:.1%}): "
                f"{EMPTY_COUNTS[missing[column.name]]}"
            )


def _level_notes(columns: tuple[Proposed, ...]) -> Iterator[str]:
    for column in columns:
        if column.use == "category" and column.keep:
            yield (
                f"'{column.name}' has {column.distinct:,} different words: the {column.keep} most frequent ones are "
                "kept, the others, and those that are not known when the model is asked, count as 'other'"
            )


def _split(every: list[_Cells], columns: tuple[Proposed, ...], rows: int) -> tuple[dict[str, str], list[str]]:
    """What a split at random would leak by, and what is said of it."""
    groups = [column for column in columns if _is_group(column, rows) and not column.empty]
    said = [
        f"'{column.name}' stands for {column.distinct:,} groups of rows: those of one stay together when rows are "
        "split, so that a model is tested on new ones"
        for column in groups[:1]
    ]
    split = {"group": groups[0].name} if groups else {}
    for cells, column in zip(every, columns, strict=True):
        if not cells.is_time:
            continue
        moments = pd.to_datetime(cells.filled, errors="coerce", format="mixed")
        if moments.is_monotonic_increasing and not split and not column.empty:
            split = {"time": column.name}
            said.append(f"'{column.name}' is a time and the rows are in its order: the latest rows are the test set")
        else:
            said.append(
                f"'{column.name}' is a time; rows are not split by it, so a model is tested on times between those it "
                f"learnt from: to predict the future, say split: {{time: {column.name}}}"
            )
    return split, said


def _is_group(column: Proposed, rows: int) -> bool:
    """Whether the values of an identifier or a telling word each stand for several rows."""
    several = column.distinct >= 10 and rows / max(column.distinct, 1) >= 3
    return several and (bool(_ID.search(column.name)) or AGREE in column.why)

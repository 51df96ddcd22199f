"""Splits in which the rows of a group stay together, or in which all that is held out is later than what is learnt."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from redoubt.core.errors import RedoubtError
from redoubt.core.types import Ints, Kind
from redoubt.params.settings.sections import SplitParams

# Groups are drawn so often; the draw with the most even shares is taken.
_DRAWS = 100
# Of a row that no fold holds out.
NEVER = -1


class SplitError(RedoubtError):
    """Too few rows, groups or classes; the message gives the numbers and the fix."""


@dataclass(frozen=True)
class By:
    """What a split goes by besides chance.

    Attributes:
        how: rows of one group stay together, or time goes from what is learnt to what is held out.
        codes: per row its group, or the rank of its time, `(rows,)` from 0.
    """

    how: Literal["group", "time"]
    codes: Ints

    def take(self, index: NDArray[np.generic]) -> "By":
        """Those of some rows."""
        return By(self.how, self.codes[index])


@dataclass(frozen=True)
class Sizes:
    """How many rows go where."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Learnable:
    """The rows outside a source's own test set.

    Attributes:
        y: class indices or numbers `(rows,)`.
        strata: a class or a quantile each.
        codes: groups or ranks of their time.
        kind: of the task.
    """

    y: NDArray[np.generic]
    strata: Ints
    codes: Ints
    kind: Kind


def learnt(fold: Ints, number: int) -> NDArray[np.bool_]:
    """Which training rows a fold is fitted on: the other folds'; of folds in time the earlier ones'."""
    return np.asarray(fold < number if (fold == NEVER).any() else fold != number, dtype=np.bool_)


def grouped(rows: Learnable, size: Sizes, params: SplitParams, own_test: bool, seed: int) -> tuple[Ints, ...]:
    """Cut rows so that no group is in two parts or two folds.

    Args:
        rows: to cut.
        size: wanted; a group is taken whole, so that parts have about that many.
        params: the number of folds.
        own_test: whether the source has its own test set.
        seed: of the draws.

    Returns:
        Training, validation and test rows, rising, and per training row its fold.

    Raises:
        SplitError: too few groups, or a part or fold without a class.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups, least = len(np.unique(rows.codes)), params.folds + 2
    if groups < least:
        raise SplitError(
            f"'{params.group}' has {groups} different values outside the test set; {params.folds} folds and the parts"
            f" need {least}: lower split.folds in params.yaml, or leave split.group out"
        )
    rest, test = np.arange(len(rows.y)), np.array([], np.int64)
    if not own_test:
        rest, test = _cut_groups(rest, rows, size.test, seed)
    train, validation = _cut_groups(rest, rows, size.validation, seed)
    fold = np.full(len(train), NEVER, np.int64)
    cutter = StratifiedGroupKFold(params.folds, shuffle=True, random_state=seed)
    try:
        for number, (_, held) in enumerate(cutter.split(train, rows.strata[train], rows.codes[train])):
            fold[held] = number
    except ValueError as error:
        raise SplitError(f"'{params.group}' cannot be cut into {params.folds} folds: {error}") from None
    _require_classes(rows, {"training": train, "validation": validation, "test": None if own_test else test}, "group")
    _require_folds(rows.y[train], fold, rows.kind, params.folds, "group")
    return train, validation, test, fold


def ordered(rows: Learnable, size: Sizes, params: SplitParams, own_test: bool) -> tuple[Ints, ...]:
    """Cut rows by their time: the latest test, those before them validate, and each fold is later than what it learns.

    Rows of one time stay together, in the earlier of two parts.

    Args:
        rows: to cut.
        size: wanted.
        params: the number of folds.
        own_test: whether the source has its own test set.

    Returns:
        Training, validation and test rows, rising, and per training row its fold; that of the earliest is `NEVER`.

    Raises:
        SplitError: too few different times, or a part or fold without a class.
    """
    from sklearn.model_selection import TimeSeriesSplit

    order = np.argsort(rows.codes, kind="stable")
    times = rows.codes[order]
    first = np.searchsorted(times, times)
    test_from = len(order) - (0 if own_test else size.test)
    validation_from = test_from - size.validation
    parts = [order[first < validation_from], order[(first >= validation_from) & (first < test_from)]]
    parts.append(order[first >= test_from])
    count = len(parts[0])
    names = ("training", "validation", *(() if own_test else ("test",)))
    empty = [name for name, part in zip(names, parts, strict=False) if not len(part)]
    if empty or count <= params.folds:
        raise SplitError(
            f"'{params.time}' has too few different times: the {empty[0] if empty else 'training'} rows are "
            f"{0 if empty else count}; leave split.time out of params.yaml, or give finer times"
        )
    block = np.full(count, NEVER, np.int64)
    for number, (_, held) in enumerate(TimeSeriesSplit(params.folds).split(np.arange(count))):
        block[held] = number
    block = block[first[:count]]
    train, back = np.sort(parts[0]), np.argsort(parts[0], kind="stable")
    made = (train, np.sort(parts[1]), np.sort(parts[2]), block[back])
    _require_classes(rows, dict(zip(names, made, strict=False)), "time")
    _require_folds(rows.y[train], made[3], rows.kind, params.folds, "time")
    return made


def _cut_groups(rows: Ints, known: Learnable, size: int, seed: int) -> tuple[Ints, Ints]:
    """Of some draws the one that is nearest to its share of rows and of each class or quantile."""
    from sklearn.model_selection import GroupShuffleSplit

    strata, share = known.strata[rows], size / len(rows)
    counts = np.bincount(strata)
    cutter = GroupShuffleSplit(_DRAWS, test_size=share, random_state=seed)

    def off(cut: Ints) -> float:
        found = np.bincount(strata[cut], minlength=len(counts))
        return float(np.abs(found - share * counts)[counts > 0].max() + abs(len(cut) - size))

    best = min((cut for _, cut in _draws(cutter, rows, known.codes[rows])), key=off)
    held = np.isin(np.arange(len(rows)), best)
    return rows[~held], rows[held]


def _draws(cutter: object, rows: Ints, groups: Ints) -> Iterator[tuple[Ints, Ints]]:
    yield from cutter.split(rows, groups=groups)  # type: ignore[attr-defined]


def _require_classes(rows: Learnable, parts: dict[str, Ints | None], by: str) -> None:
    if rows.kind == "regression":
        return
    every = set(np.unique(rows.y).tolist())
    for name, part in parts.items():
        gone = every - set(rows.y[part].tolist()) if part is not None else set()
        if gone:
            raise SplitError(
                f"split.{by} leaves no row of class {min(gone)} among the {name} rows; add rows of it, or leave"
                f" split.{by} out of params.yaml"
            )


def _require_folds(y: NDArray[np.generic], fold: Ints, kind: Kind, folds: int, by: str) -> None:
    every = len(np.unique(y))
    for number in range(folds):
        fitted, held = y[learnt(fold, number)], y[fold == number]
        if not len(held) or not len(fitted) or (kind != "regression" and len(np.unique(fitted)) < every):
            what = "without a row" if not len(held) else "without a class to learn"
            raise SplitError(
                f"split.{by} makes a fold {what}: lower split.folds in params.yaml, add rows, or leave split.{by} out"
            )

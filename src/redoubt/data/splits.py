"""Rows for training, validation and test, and the folds of cross-validation: index arrays that share no row."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.core.store import read_arrays, write_arrays
from redoubt.core.types import Ints, Kind
from redoubt.data.shared.dataset import digest_arrays
from redoubt.data.shared.kept_together import By, Learnable, Sizes, SplitError, grouped, learnt, ordered
from redoubt.params.settings.sections import SplitParams

# Numbers are stratified by that many quantiles, if there are rows enough for each.
_QUANTILES = 10


@dataclass(frozen=True)
class Split:
    """Row indices, each array rising.

    Attributes:
        train: rows to fit on.
        validation: rows for every choice that is made.
        test: rows for reporting only.
        fold: aligned with `train`: the fold in which that row is held out, from 0; below 0 if it never is, as the
            earliest rows of a split by time.
    """

    train: Ints
    validation: Ints
    test: Ints
    fold: Ints

    @property
    def folds(self) -> int:
        """N of the N-fold cross-validation."""
        return int(self.fold.max()) + 1

    @property
    def digest(self) -> str:
        """SHA-256 of the index arrays, whatever file holds them."""
        return digest_arrays(asdict(self))

    def without(self, fold: int) -> Ints:
        """Training rows that a fold is fitted on."""
        return self.train[learnt(self.fold, fold)]

    def within(self, fold: int) -> Ints:
        """Training rows that a fold holds out."""
        return self.train[self.fold == fold]


def sizes(rows: int, params: SplitParams, test_from: int | None) -> Sizes:
    """How many rows go where; shares are of all rows, and a source's own test set is used whole."""
    test = round(rows * params.test) if test_from is None else rows - test_from
    validation = round(rows * params.validation)
    return Sizes(max(0, rows - test - validation), validation, test)


def needed(rows: int, params: SplitParams, test_from: int | None) -> int:
    """How many rows outside a source's own test set each class must have, so that every fold holds out one of it."""
    size = sizes(rows, params, test_from)
    learnable = rows if test_from is None else test_from
    # Two more: each of two stratified cuts may round against a class.
    return math.ceil((params.folds + 2) * learnable / max(1, size.train))


def split(
    y: NDArray[Any], kind: Kind, params: SplitParams, test_from: int | None, seed: int, by: By | None = None
) -> Split:
    """Cut rows into training, validation and test, stratified, and training rows into folds.

    Args:
        y: class indices or numbers `(rows,)`.
        kind: numbers (regression) are stratified by quantile.
        params: shares of all rows, and the number of folds.
        test_from: rows from here on are the test set, in their order; None cuts one.
        seed: of the shuffling.
        by: what keeps rows together or in order, of all rows; None draws each by itself.

    Raises:
        SplitError: one class only, or too few rows, groups, times or members of a class.
    """
    size = sizes(len(y), params, test_from)
    learnable = np.arange(len(y) if test_from is None else test_from)
    strata = _strata(y, kind, learnable, needed(len(y), params, test_from))
    if by is not None:
        rows = Learnable(y[learnable], strata, by.codes[learnable], kind)
        own_test = test_from is not None
        if by.how == "group":
            train, validation, test, fold = grouped(rows, size, params, own_test, seed)
        else:
            train, validation, test, fold = ordered(rows, size, params, own_test)
        return Split(train, validation, np.arange(len(learnable), len(y)) if own_test else test, fold)
    if test_from is None:
        rest, test = _cut(learnable, strata, size.test, seed, "test")
    else:
        rest, test = learnable, np.arange(test_from, len(y))
    train, validation = _cut(rest, strata[rest], size.validation, seed, "validation")
    return Split(train, validation, test, _folds(strata[train], params.folds, seed))


def write(path: Path, made: Split) -> None:
    """Write a split, whole or not at all."""
    write_arrays(path, asdict(made))


def read(path: Path) -> Split:
    """Read a split."""
    return Split(**read_arrays(path))


def _strata(y: NDArray[Any], kind: Kind, learnable: Ints, least: int) -> Ints:
    """A class or a quantile for each learnable row, with at least so many rows in each."""
    fix = "add rows, or lower split.folds, split.test or split.validation in params.yaml"
    if kind == "regression":
        if len(learnable) < least:
            raise SplitError(f"there are {len(learnable)} rows to learn from; the shares and folds need {least}: {fix}")
        return _quantiles(y[learnable], min(_QUANTILES, len(learnable) // least))
    classes = np.unique(y)
    if len(classes) < 2:
        raise SplitError(f"all {len(y)} rows are of one class, so there is nothing to learn: add rows of another")
    counts = {int(c): int((y[learnable] == c).sum()) for c in classes}
    rare = min(counts, key=lambda c: counts[c])
    if counts[rare] < least:
        raise SplitError(
            f"class {rare} has {counts[rare]} rows to learn from; the shares and folds need {least}: {fix}"
        )
    return y[learnable].astype(np.int64)


def _quantiles(y: NDArray[Any], bins: int) -> Ints:
    """By rank, so that equal numbers cannot empty one."""
    rank = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    return (rank * bins // len(y)).astype(np.int64)


def _cut(rows: Ints, strata: Ints, size: int, seed: int, name: str) -> tuple[Ints, Ints]:
    from sklearn.model_selection import train_test_split

    classes = len(np.unique(strata))
    if size < classes:
        raise SplitError(
            f"split.{name} takes {size} rows, too few for {classes} classes or quantiles: raise it or add examples"
        )
    rest, cut = train_test_split(rows, test_size=size, stratify=strata, random_state=seed)
    return np.sort(rest), np.sort(cut)


def _folds(strata: Ints, folds: int, seed: int) -> Ints:
    from sklearn.model_selection import StratifiedKFold

    fold = np.empty(len(strata), np.int64)
    cutter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(cutter.split(np.zeros(len(strata)), strata)):
        fold[held_out] = number
    return fold

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from redoubt.data import splits
from redoubt.data.splits import Split, SplitError, needed, split
from redoubt.params.settings.sections import SplitParams

PARAMS = SplitParams(test=0.2, validation=0.16, folds=5)

shares = st.builds(
    SplitParams,
    test=st.floats(0.05, 0.4),
    validation=st.floats(0.05, 0.4),
    folds=st.integers(2, 6),
)


def all_rows(made: Split) -> NDArray[np.int64]:
    return np.concatenate([made.train, made.validation, made.test])


@st.composite
def classes(draw: st.DrawFn) -> tuple[NDArray[np.int64], SplitParams, int | None]:
    """Classes with at least as many learnable rows as `needed` says, and perhaps a test set of the source's own."""
    params = draw(shares)
    kinds = draw(st.integers(2, 4))
    own_test = draw(st.booleans())
    # As in `needed`, without knowing the number of rows: a generous lower bound for each class.
    least = int((params.folds + 2) / (1 - params.test - params.validation)) * (2 if own_test else 1) + 40
    counts = draw(st.lists(st.integers(least, 3 * least), min_size=kinds, max_size=kinds))
    y = np.random.default_rng(draw(st.integers(0, 99))).permutation(np.repeat(np.arange(kinds), counts))
    if not own_test:
        return y, params, None
    return np.concatenate([y, np.arange(kinds).repeat(5)]), params, len(y)


def test_a_digest_is_of_the_rows_and_not_of_their_file(tmp_path: Path) -> None:
    made = split(np.arange(200) % 2, "classification", PARAMS, None, seed=1)
    splits.write(tmp_path / "own.npz", made)
    np.savez_compressed(tmp_path / "packed.npz", **asdict(made))
    assert splits.read(tmp_path / "own.npz").digest == splits.read(tmp_path / "packed.npz").digest == made.digest
    assert replace(made, fold=made.fold[::-1]).digest != made.digest


@given(drawn=classes(), seed=st.integers(0, 2**31 - 1))
def test_classes_are_parted_stratified_and_leak_nothing(
    drawn: tuple[NDArray[np.int64], SplitParams, int | None], seed: int
) -> None:
    y, params, test_from = drawn
    made = split(y, "classification", params, test_from, seed)
    assert np.array_equal(np.sort(all_rows(made)), np.arange(len(y)))
    for rows in (made.train, made.validation, made.test):
        assert np.all(np.diff(rows) > 0)
    if test_from is not None:
        assert np.array_equal(made.test, np.arange(test_from, len(y)))
    assert len(made.validation) == round(len(y) * params.validation)
    _is_stratified(y, made, test_from)
    assert made.folds == params.folds
    for kind in np.unique(y):
        held_out = np.bincount(made.fold[y[made.train] == kind], minlength=params.folds)
        assert held_out.min() >= 1
        assert held_out.max() - held_out.min() <= 1


def _is_stratified(y: NDArray[np.int64], made: Split, test_from: int | None) -> None:
    learnable = y if test_from is None else y[:test_from]
    parts = (made.train, made.validation) if test_from is not None else (made.train, made.validation, made.test)
    for rows in parts:
        for kind in np.unique(y):
            assert abs((y[rows] == kind).sum() - len(rows) * (learnable == kind).mean()) <= 2


@given(
    y=st.lists(st.floats(-1e6, 1e6), min_size=60, max_size=200),
    seed=st.integers(0, 99),
    constant=st.booleans(),
)
def test_numbers_are_stratified_by_quantile(y: list[float], seed: int, constant: bool) -> None:
    values = np.zeros(len(y)) if constant else np.array(y)
    made = split(values, "regression", PARAMS, None, seed)
    assert np.array_equal(np.sort(all_rows(made)), np.arange(len(y)))
    assert np.ptp(np.bincount(made.fold)) <= 10
    if len(np.unique(values)) == len(values):
        ranks = np.argsort(np.argsort(values)) / len(values)
        for rows in (made.train, made.validation, made.test):
            assert abs(ranks[rows].mean() - 0.5) < 0.2


def test_folds_share_no_row_and_cover_training() -> None:
    made = split(np.arange(100) % 2, "classification", PARAMS, None, seed=1)
    for fold in range(made.folds):
        assert not set(made.within(fold)) & set(made.without(fold))
        assert sorted([*made.within(fold), *made.without(fold)]) == made.train.tolist()
    assert sorted(np.concatenate([made.within(fold) for fold in range(5)])) == made.train.tolist()


def test_the_seed_decides() -> None:
    y = np.arange(100) % 2
    first, again, other = (split(y, "classification", PARAMS, None, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.train, again.train)
    assert np.array_equal(first.fold, again.fold)
    assert not np.array_equal(first.train, other.train)


def test_a_split_survives_the_disk(tmp_path: Path) -> None:
    made = split(np.arange(100) % 2, "classification", PARAMS, None, seed=1)
    splits.write(tmp_path / "own.npz", made)
    back = splits.read(tmp_path / "own.npz")
    assert all(np.array_equal(getattr(back, name), getattr(made, name)) for name in vars(made))
    first = (tmp_path / "own.npz").read_bytes()
    splits.write(tmp_path / "own.npz", back)
    assert (tmp_path / "own.npz").read_bytes() == first


TOO_LITTLE = {
    "one-class": (np.zeros(100, int), "classification", PARAMS, None, "all 100 rows are of one class"),
    "rare-class": (
        np.repeat([0, 1], [97, 3]),
        "image",
        PARAMS,
        None,
        "class 1 has 3 rows .* need 11: add rows, or lower",
    ),
    "class-only-in-test": (np.repeat([0, 1, 2], [50, 50, 9]), "image", PARAMS, 100, "class 2 has 0 rows"),
    "few-numbers": (np.arange(9.0), "regression", PARAMS, None, "there are 9 rows .* need 11"),
    "nothing-to-train-on": (np.arange(3.0), "regression", PARAMS, None, "there are 3 rows"),
    "test-smaller-than-classes": (
        np.arange(400) % 20,
        "classification",
        SplitParams(test=0.01, validation=0.2, folds=2),
        None,
        "split.test takes 4 rows, too few for 20 classes",
    ),
}


@pytest.mark.parametrize("case", TOO_LITTLE)
def test_too_little_to_split(case: str) -> None:
    y, kind, params, test_from, says = TOO_LITTLE[case]
    with pytest.raises(SplitError, match=says):
        split(y, kind, params, test_from, seed=1)


@given(params=shares, kinds=st.integers(2, 4), seed=st.integers(0, 999))
@example(params=SplitParams(test=0.34, validation=0.34, folds=6), kinds=3, seed=0)
def test_as_many_rows_as_needed_are_enough(params: SplitParams, kinds: int, seed: int) -> None:
    # Shares of few rows are rounded, so how many are needed depends a little on how many there are.
    least = next(few for few in range(2, 10_000) if needed(few * (3 * kinds - 2), params, None) <= few)
    y = np.repeat(np.arange(kinds), [least] + [3 * least] * (kinds - 1))
    if min(round(len(y) * params.test), round(len(y) * params.validation)) < kinds:
        return
    made = split(y, "classification", params, None, seed)
    assert np.bincount(made.fold[y[made.train] == 0], minlength=params.folds).min() >= 1

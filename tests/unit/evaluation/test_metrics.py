import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.evaluation.metrics import confusion, error_growth, rate, regression_metrics


# From the formula of Wilson (1927), worked out by hand.
@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (50, 100, 0.403832, 0.596168),
        (907, 1000, 0.887409, 0.923476),
        (1, 1, 0.206549, 1.0),
    ],
)
def test_intervals_are_wilsons(hits: int, n: int, low: float, high: float) -> None:
    found = rate(np.arange(n) < hits)
    assert (found.share, found.n) == (hits / n, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-6)


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_an_interval_holds_its_share_and_lies_between_0_and_1(flags: list[bool]) -> None:
    found, other = rate(np.array(flags)), rate(~np.array(flags))
    assert 0 <= found.low <= found.share <= found.high <= 1
    assert found.low == pytest.approx(1 - other.high, abs=2e-6)


def test_a_share_of_nothing() -> None:
    with pytest.raises(ValueError, match="a share needs at least one row"):
        rate(np.zeros(0, bool))


def test_regression_metrics() -> None:
    found = regression_metrics(np.float32([1, 2, 6]), np.float32([1, 3, 4]))
    assert found == pytest.approx({"mae": 1.0, "rmse": np.sqrt(5 / 3), "r2": 1 - 5 / (14 / 3)})


def test_error_growth_is_what_an_attack_adds_on_either_side_of_the_truth() -> None:
    clean, truth = np.float32([10, 10, 10, 10]), np.float32([10, 12, 8, 10])
    found = error_growth(np.float32([13, 7, 16, 10]), clean, truth)
    assert found == pytest.approx({"mean": (3 + 3 + 6 + 0) / 4, "p95": 3 + 0.85 * 3, "max": 6.0})
    assert error_growth(np.float32([12]), np.float32([10]), np.float32([13])) == {"mean": -2, "p95": -2, "max": -2}
    assert error_growth(clean, clean, truth) == {"mean": 0, "p95": 0, "max": 0}


values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3)


@given(values, values, values)
def test_no_error_grows_by_more_than_the_answer_moves(
    attacked: list[float], clean: list[float], truth: list[float]
) -> None:
    found = error_growth(np.float32(attacked), np.float32(clean), np.float32(truth))
    moved = np.abs(np.subtract(attacked, clean)).max()
    assert -moved - 1e-6 <= found["mean"] <= found["max"] + 1e-6 <= moved + 2e-6
    assert found["p95"] <= found["max"]


@pytest.mark.parametrize("shapes", [(3, 3, 2), ((3, 1), 3, 3), ((3, 1), (3, 1), (3, 1)), (0, 0, 0)], ids=str)
def test_error_growth_of_what_does_not_belong_together(shapes: tuple[int | tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="expected \\(rows,\\) of each, at least one row"):
        error_growth(*(np.zeros(shape, np.float32) for shape in shapes))


def test_confusion_has_a_row_per_truth_even_for_a_class_that_did_not_occur() -> None:
    counts = confusion(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), ["a", "b", "c"])
    assert counts == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]

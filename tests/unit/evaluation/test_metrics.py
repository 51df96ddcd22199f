import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.evaluation.metrics import confusion, rate, regression_metrics


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


def test_confusion_has_a_row_per_truth_even_for_a_class_that_did_not_occur() -> None:
    counts = confusion(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), ["a", "b", "c"])
    assert counts == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.core.types import PIXELS, Batch, Bounds

BOX = Bounds(np.array([0, -5], np.float32), np.array([1, 4000], np.float32), np.array([1, 0], np.float32))


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(-5, 4000, width=32)), min_size=1, max_size=5))
def test_bounds_take_what_lies_inside(inside: list[tuple[float, float]]) -> None:
    BOX.check(np.array(inside, np.float32))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([1.01, 0], "outside their bounds"),
        ([0, -5.1], "outside their bounds"),
        ([0.5, np.nan], "NaN or infinity"),
        ([np.inf, 0], "NaN or infinity"),
    ],
)
def test_bounds_refuse_what_lies_outside(row: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BOX.check(np.array([[0.5, 1.0], row], np.float32))


def test_bounds_widen_to_cover_new_rows() -> None:
    wider = BOX.covering(np.array([[0.5, -7.0], [1.5, 0.0]], np.float32))
    assert (wider.lower.tolist(), wider.upper.tolist(), wider.scale.tolist()) == ([0, -7], [1.5, 4000], [1, 0])
    assert not wider.integer
    whole = Bounds(BOX.lower, BOX.upper, BOX.scale, np.array([False, True]))
    assert whole.covering(np.array([[2.0, 0.0]], np.float32)).integer.tolist() == [False, True]


@pytest.mark.parametrize(
    ("lower", "upper", "scale", "says"), [(1, 0, 1, "bounds reversed"), (0, 1, -1, "scale must not be negative")]
)
def test_bounds_that_make_no_sense(lower: float, upper: float, scale: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Bounds(np.float32([lower]), np.float32([upper]), np.float32([scale]))


def test_pixels_and_batches() -> None:
    PIXELS.check(np.random.default_rng(0).random((3, 2, 2, 1), dtype=np.float32))
    batch = Batch(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([7, 8, 9]))
    taken = batch.take(np.array([2, 0]))
    assert (len(taken), taken.x.tolist(), taken.y.tolist()) == (2, [[4, 5], [0, 1]], [9, 7])

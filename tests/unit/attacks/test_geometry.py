import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from redoubt.attacks.core.geometry import (
    distance,
    must_stay_integer,
    project,
    random_start,
    round_integers,
    steepest_step,
)
from redoubt.core.types import PIXELS, Bounds, Norm
from tests.support.threats import NORMS

Floats = NDArray[np.float32]
# A small unit, a large one, and an input that must not change.
BOX = Bounds(np.float32([0, -1000, 0]), np.float32([1, 1000, 1]), np.float32([0.1, 100, 0]))
inside = arrays.arrays(np.float32, (4, 3), elements=st.floats(0, 1, width=32, allow_subnormal=False))
anywhere = arrays.arrays(np.float32, (4, 3), elements=st.floats(-5, 5, width=32, allow_subnormal=False))
by_norm = pytest.mark.parametrize("norm", NORMS)


@by_norm
@pytest.mark.parametrize("shape", [(2000, 1), (2000, 2), (500, 6, 6, 1)], ids=str)
def test_random_starts_fill_the_unit_ball(norm: Norm, shape: tuple[int, ...]) -> None:
    start = random_start(np.random.default_rng(0), shape, norm)
    size = distance(start, norm, PIXELS)
    assert (start.dtype, start.shape) == (np.float32, shape)
    assert size.max() <= 1 + 1e-6
    # Uniform in the ball: the share of points within radius r is r to the number of dimensions.
    dimensions = int(np.prod(shape[1:]))
    assert np.mean(size <= 0.5 ** (1 / dimensions)) == pytest.approx(0.5, abs=0.08)
    assert np.abs(start.mean(axis=0)).max() < 0.1


@by_norm
@settings(max_examples=50)
@given(x=inside, x_adv=anywhere, eps=st.floats(0, 4))
def test_pulled_back_points_stay(norm: Norm, x: Floats, x_adv: Floats, eps: float) -> None:
    once = project(tf.constant(x), tf.constant(x_adv), tf.constant(eps, tf.float32), norm, BOX).numpy()
    BOX.check(once)
    assert np.array_equal(once[:, 2], x[:, 2])
    assert np.all(distance(once - x, norm, BOX) <= eps * (1 + 1e-5) + 1e-5)
    twice = project(tf.constant(x), tf.constant(once), tf.constant(eps, tf.float32), norm, BOX).numpy()
    assert np.allclose(twice, once, rtol=1e-5, atol=1e-6)


@by_norm
@settings(max_examples=50)
@given(x=inside, share=arrays.arrays(np.float32, (4, 3), elements=st.floats(-1, 1, width=32)), eps=st.floats(0.1, 4))
def test_points_within_reach_are_left_where_they_are(norm: Norm, x: Floats, share: Floats, eps: float) -> None:
    x_adv = np.clip(x + 0.5 * eps * share * BOX.scale, BOX.lower, BOX.upper).astype(np.float32)
    assert np.all(distance(x_adv - x, norm, BOX) <= eps)
    found = project(tf.constant(x), tf.constant(x_adv), tf.constant(eps, tf.float32), norm, BOX).numpy()
    assert np.allclose(found, x_adv, rtol=1e-5, atol=1e-6)


@by_norm
@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-18, 1e-30], ids=str)
def test_no_step_of_unit_size_climbs_higher(norm: Norm, size: float) -> None:
    """Also where the gradient is faint, as of a network that is sure of itself."""
    rng = np.random.default_rng(0)
    gradient = (size * rng.normal(size=(5, 3))).astype(np.float32)
    step = steepest_step(tf.constant(gradient), norm, BOX).numpy()
    assert np.allclose(distance(step, norm, BOX), 1.0, atol=1e-5)
    assert np.all(step[:, 2] == 0)
    others = random_start(rng, (200, 3), norm) * BOX.scale
    climb = (step * gradient / size).sum(axis=1)
    assert np.all(climb[:, None] >= (gradient / size) @ others.T - 1e-3)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Bounds, Floats, Floats]:
    """A box with any units and integer inputs, and two sets of rows in it, of which the first is mostly whole there."""
    flags = arrays.arrays(bool, 4)
    ends = np.sort(draw(arrays.arrays(np.float32, (2, 4), elements=st.floats(-(2.0**30), 2.0**30, width=32))), axis=0)
    integer = draw(flags)
    low, high = np.where(integer, np.floor(ends[0]), ends[0]), np.where(integer, np.ceil(ends[1]), ends[1])
    scale = draw(arrays.arrays(np.float32, 4, elements=st.just(0.0) | st.floats(2.0**-10, 2.0**20, width=32)))
    shares = draw(arrays.arrays(np.float32, (2, 5, 4), elements=st.floats(0, 1, width=32)))
    x, x_adv = (np.clip(low + share * (high - low), low, high).astype(np.float32) for share in shares)
    x_adv = np.where((scale == 0) | draw(arrays.arrays(bool, (5, 4))), x, x_adv)
    odd = draw(flags)
    x = np.where(integer & ~odd, np.round(x), x)
    return Bounds(low, high, scale, integer), x, np.where(scale == 0, x, x_adv)


@by_norm
@settings(max_examples=200)
@given(drawn=boxes())
def test_whole_numbers_stay_whole_and_nothing_moves_further(norm: Norm, drawn: tuple[Bounds, Floats, Floats]) -> None:
    bounds, x, x_adv = drawn
    kept = round_integers(x, x_adv, bounds)
    whole = must_stay_integer(x, bounds)
    assert np.array_equal(whole, bounds.integer & (x % 1 == 0))
    assert (kept.dtype, kept.shape) == (np.float32, x.shape)
    assert np.all(kept[whole] % 1 == 0)
    assert np.array_equal(kept[~whole], x_adv[~whole])
    assert np.all(np.abs(kept - x_adv) <= (x_adv % 1 != 0)), "rounded by more than need be"
    assert np.all(np.abs(kept.astype(float) - x) <= np.abs(x_adv.astype(float) - x))
    assert np.all(distance(kept - x, norm, bounds) <= distance(x_adv - x, norm, bounds))
    assert np.all((kept >= np.minimum(x, x_adv)) & (kept <= np.maximum(x, x_adv)))
    bounds.check(kept)
    assert np.array_equal(round_integers(x, kept, bounds), kept), "a second time changes something"
    assert np.array_equal(round_integers(x, x, bounds), x)


def test_rounding_is_toward_the_original_and_only_where_that_is_whole() -> None:
    bounds = Bounds(np.float32(-9), np.float32(99), np.float32(1), np.array([True, True, True, True, False]))
    x, x_adv = np.float32([[17, 17, -2, 17.5, 17]]), np.float32([[19.9, 14.1, 0.5, 19.9, 17.3]])
    assert round_integers(x, x_adv, bounds).tolist() == np.float32([[19, 15, 0, 19.9, 17.3]]).tolist()


def test_pixels_are_never_rounded() -> None:
    x_adv = np.full((2, 3, 3, 1), 0.4, np.float32)
    assert round_integers(np.ones_like(x_adv), x_adv, PIXELS) is x_adv


@by_norm
def test_no_gradient_no_step(norm: Norm) -> None:
    assert np.all(steepest_step(tf.zeros((2, 3)), norm, BOX).numpy() == 0)


@pytest.mark.parametrize(
    ("change", "linf", "l2"),
    [
        ([0, 0, 0], 0, 0),
        ([0.3, -400, 0], 4, 5),
        ([0, 0, 1e-9], np.inf, np.inf),
        ([-0.1, 0, 0], 1, 1),
    ],
)
def test_distances_are_in_units_of_the_scale(change: list[float], linf: float, l2: float) -> None:
    rows: Floats = np.float32([change, [0, 0, 0]])
    assert distance(rows, "linf", BOX).tolist() == pytest.approx([linf, 0])
    assert distance(rows, "l2", BOX).tolist() == pytest.approx([l2, 0])

"""A printer and a camera: known pictures, no change at zero ranges, gradients that are right, rows by themselves."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.transformations import Transformations, gaussian_blur, place, row_seeds
from redoubt.core.types import PIXELS, Bounds, Floats

X = np.random.default_rng(0).uniform(0.2, 0.8, (5, 7, 6, 3)).astype(np.float32)
PARTS: dict[str, float] = {
    "rotation": 40.0,
    "scale": 0.3,
    "shift": 0.2,
    "brightness": 0.1,
    "contrast": 0.3,
    "blur": 1.0,
    "noise": 0.05,
}
ALL = Transformations(**PARTS)


def seeds(rows: int, run: int = 1, first: int = 0, draw: int = 0) -> tf.Tensor:
    return row_seeds(tf.constant([run, first]), tf.constant(draw), tf.constant(rows))


def seen(transformations: Transformations, x: Floats = X, *, draw: int = 0, bounds: Bounds = PIXELS) -> Floats:
    return transformations(tf.constant(x), seeds(len(x), draw=draw), bounds).numpy()


def laid(x: Floats, angle: float, scale: float = 1.0, move: tuple[float, float] = (0.0, 0.0)) -> Floats:
    height, width = x.shape[1:3]
    middle = np.float32([[(height - 1) / 2 + move[0], (width - 1) / 2 + move[1]]] * len(x))
    return place(
        tf.constant(x),
        (height, width),
        tf.fill([len(x)], angle),
        tf.fill([len(x)], scale),
        (middle[:, 0], middle[:, 1]),
    ).numpy()


def test_zero_ranges_change_nothing() -> None:
    assert np.array_equal(seen(Transformations()), X)


@pytest.mark.parametrize("name", PARTS)
def test_a_range_next_to_nothing_changes_next_to_nothing(name: str) -> None:
    assert np.allclose(seen(Transformations(**{name: 1e-7})), X, atol=1e-5)


@pytest.mark.parametrize("name", PARTS)
def test_every_part_changes_every_picture_and_anew_with_every_draw(name: str) -> None:
    part = Transformations(**{name: PARTS[name]})
    first, second = seen(part), seen(part, draw=1)
    # A lens may be sharp by chance.
    assert (np.abs(first - X).max(axis=(1, 2, 3)) > 1e-4).sum() >= 4
    assert np.all(np.abs(first - second).max(axis=(1, 2, 3)) > 1e-4)
    assert np.array_equal(first, seen(part))


@pytest.mark.parametrize("quarters", [-1, 0, 1, 2], ids=str)
def test_quarter_turns_are_exact_and_counter_clockwise(quarters: int) -> None:
    square = X[:, :6]
    assert np.allclose(laid(square, 90.0 * quarters), np.rot90(square, quarters, axes=(1, 2)), atol=1e-5)


def test_a_shift_moves_and_what_lies_beyond_the_edge_is_empty() -> None:
    x_adv = laid(X, 0.0, move=(2.0, -1.0))
    assert np.allclose(x_adv[:, 2:, :-1], X[:, :-2, 1:], atol=1e-5)
    assert not x_adv[:, :2].any()
    assert not x_adv[:, :, -1].any()


def test_a_half_pixel_shift_is_the_mean_of_neighbours() -> None:
    x_adv = laid(X, 0.0, move=(0.5, 0.0))
    assert np.allclose(x_adv[:, 1:], (X[:, 1:] + X[:, :-1]) / 2, atol=1e-5)


def test_an_enlarged_picture_is_read_at_half_steps() -> None:
    ramp = np.broadcast_to(np.arange(9, dtype=np.float32)[:, None, None], (1, 9, 9, 1)).copy()
    assert np.allclose(laid(ramp, 0.0, scale=2.0)[0, :, 4, 0], 4 + (np.arange(9) - 4) / 2, atol=1e-4)


def test_a_blur_keeps_the_mean_of_a_spot_and_has_the_width_it_says() -> None:
    spot = np.zeros((2, 15, 15, 1), np.float32)
    spot[:, 7, 7] = 1.0
    blurred = gaussian_blur(tf.constant(spot), tf.constant([1.0, 1.5])).numpy()
    assert blurred.sum(axis=(1, 2, 3)) == pytest.approx(1.0, abs=2e-3)
    along = blurred.sum(axis=(2, 3))
    assert np.sqrt(along @ np.square(np.arange(15) - 7.0)) == pytest.approx([1.0, 1.5], rel=0.03)


def test_light_and_noise_are_shares_of_the_bounds() -> None:
    wide = Bounds(np.float32(0), np.float32(255), np.float32(1))
    for part in (Transformations(brightness=0.1), Transformations(noise=0.05), ALL):
        assert np.allclose(seen(part, 255 * X, bounds=wide), 255 * seen(part), atol=255 * 1e-4)


def test_beyond_the_edge_lies_the_lower_bound_and_the_sensor_saturates() -> None:
    signed = Bounds(np.float32(-1), np.float32(1), np.float32(1))
    shifted = seen(Transformations(shift=0.9), X, bounds=signed)
    assert shifted.min() == -1.0
    loud = seen(Transformations(noise=2.0))
    assert (loud.min(), loud.max()) == (0.0, 1.0)


def test_the_sensors_noise_has_the_deviation_it_says() -> None:
    grey = np.full((40, 8, 8, 1), 0.5, np.float32)
    assert (seen(Transformations(noise=0.05), grey) - 0.5).std() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("part", [*[Transformations(**{name: size}) for name, size in PARTS.items()], ALL], ids=str)
def test_gradients_are_those_of_finite_differences(part: Transformations) -> None:
    weights = np.random.default_rng(1).standard_normal(X.shape).astype(np.float32)

    def score(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(part(x, seeds(len(X)), PIXELS) * weights)

    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = score(x)
    gradient = tape.gradient(value, x).numpy()
    assert np.isfinite(gradient).all()
    for pixel in ((0, 3, 3, 1), (4, 2, 3, 0)):
        step = np.zeros_like(X)
        step[pixel] = 0.02
        slope = float(score(x + step) - score(x - step)) / 0.04
        assert gradient[pixel] == pytest.approx(slope, abs=2e-3)
        assert gradient[pixel] != 0


def test_a_row_is_photographed_the_same_in_any_company() -> None:
    together = ALL(tf.constant(X), seeds(5), PIXELS).numpy()
    alone = ALL(tf.constant(X[3:]), seeds(2, first=3), PIXELS).numpy()
    assert np.allclose(together[3:], alone, atol=1e-6)
    same = ALL(tf.constant(np.repeat(X[:1], 5, axis=0)), seeds(5), PIXELS).numpy()
    assert len(np.unique(same.reshape(5, -1), axis=0)) == 5, "rows shared a draw"


@pytest.mark.parametrize("part", [*[Transformations(**{name: size}) for name, size in PARTS.items()], ALL], ids=str)
def test_a_graph_photographs_as_plain_code_does(part: Transformations) -> None:
    """TensorFlow rewrites graphs, and has rewritten this one wrongly."""
    in_graph = tf.function(lambda x: part(x, row_seeds([1, 0], tf.constant(0), tf.shape(x)[0]), PIXELS))
    assert np.allclose(in_graph(tf.constant(X)).numpy(), seen(part), atol=1e-6)


def test_row_seeds_differ_by_run_draw_and_row() -> None:
    every = [tuple(seed) for run in (1, 2) for draw in range(5) for seed in seeds(6, run, draw=draw).numpy().tolist()]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Transformations(blur=-1.0), "blur is -1.0; it must be >= 0"),
        (lambda: Transformations(rotation=float("nan")), "rotation is nan"),
        (lambda: Transformations(scale=1.0), "scale is 1.0; it must be below 1"),
        (lambda: Transformations(contrast=1.5), "contrast is 1.5; it must be at most 1"),
    ],
    ids=["negative", "nan", "scale", "contrast"],
)
def test_ranges_that_make_no_sense_are_refused(make: Callable[[], Transformations], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()

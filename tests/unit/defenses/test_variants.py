"""The parts of the guard, each against another way to say the same."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import ndimage

from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.defenses.guards.median import add_median, median
from redoubt.defenses.guards.randomization import add_noise, add_resize_and_pad, resize_and_pad
from redoubt.defenses.guards.squeezing import add_squeeze, squeeze
from redoubt.models.onnx_graph import Graph
from redoubt.params.load import load
from redoubt.params.settings.sections import ImageGuard

Floats = NDArray[np.float32]
unit = st.floats(0, 1, width=32, allow_subnormal=False)
pictures = arrays.arrays(np.float32, (2, 6, 5, 2), elements=unit)
LOWER, UPPER = np.array([0, -7, 3], np.float32), np.array([1, 4000, 3], np.float32)


def run(graph: Graph, outcome: str, **inputs: NDArray[np.generic]) -> Floats:
    shapes = {name: array.shape for name, array in inputs.items()}
    model = graph.build(shapes, {"y": (outcome, ())})
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@settings(max_examples=20)
@given(x=pictures)
def test_the_median_is_scipys(size: int, x: Floats) -> None:
    expected = ndimage.median_filter(x, size=(1, size, size, 1), mode="mirror")
    assert np.array_equal(median(tf.constant(x), size), expected)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_median_in_onnx(size: int) -> None:
    x, graph = np.random.default_rng(size).random((3, 6, 5, 2), dtype=np.float32), Graph()
    assert np.array_equal(run(graph, add_median(graph, "x", size, (6, 5, 2)), x=x), median(tf.constant(x), size))


def test_the_medians_gradient_flows_to_the_pixel_that_was_the_median() -> None:
    x = tf.constant(np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        centre = median(x, 3)[0, 1, 1, 0]
    assert tape.gradient(centre, x).numpy().reshape(3, 3).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("bits", [1, 3, 8])
@settings(max_examples=30)
@given(x=arrays.arrays(np.float32, (4, 3), elements=st.floats(-10, 5000, width=32, allow_subnormal=False)))
@example(x=np.full((4, 3), 249.45695, np.float32))
def test_squeezing_leaves_the_levels_alone(bits: int, x: Floats) -> None:
    squeezed = squeeze(tf.constant(x), bits, LOWER, UPPER).numpy()
    step = (UPPER - LOWER) / (2**bits - 1)
    assert np.array_equal(squeezed[:, 2], x[:, 2]), "where nothing varies there are no levels"
    assert np.all(np.abs(squeezed - x) <= 0.5 * step + 1e-3)
    levels = ((squeezed - LOWER) / np.where(step > 0, step, 1))[:, :2]
    assert np.allclose(levels, np.round(levels), atol=1e-2)
    # A level near 0 is a difference of numbers of the range's size, and is rounded as they are.
    rounding = np.spacing(UPPER - LOWER)
    again = squeeze(tf.constant(squeezed), bits, LOWER, UPPER)
    assert np.all(np.abs(again - squeezed) <= rounding)
    graph = Graph()
    exported = run(graph, add_squeeze(graph, "x", bits, LOWER, UPPER), x=x)
    assert np.all(np.abs(exported - squeezed) <= rounding)


@given(x=pictures, bits=st.integers(1, 8))
def test_squeezed_pixels_are_numpys(x: Floats, bits: int) -> None:
    top = np.float32(2**bits - 1)
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    found = squeeze(tf.constant(x), bits, zero, one).numpy()
    assert np.abs(found - np.round(x * top) / top).max() <= 1.01 / top
    # Where halves are rounded to depends on the last bit; elsewhere there is one answer.
    clear = np.abs(x * top % 1 - 0.5) > 1e-4
    assert np.allclose(found[clear], (np.round(x * top) / top)[clear], atol=1e-6)


def test_bpda_lets_the_gradient_pass_as_if_nothing_were_rounded() -> None:
    x = tf.constant(np.random.default_rng(0).uniform(0, 4000, (5, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        squeezed = squeeze(x, 2, LOWER, UPPER)
        total = tf.reduce_sum(squeezed * [1.0, 2.0, 3.0])
    assert not np.allclose(squeezed, x)
    assert np.array_equal(tape.gradient(total, x), np.tile(np.float32([1, 2, 3]), (5, 1)))


def image_config(height: int, width: int, shrink: float, draws: int = 3) -> GuardConfig:
    return GuardConfig(
        kind="image", shape=(height, width, 2), bits=3, draws=draws, false_positives=0.1, median=2, shrink=shrink
    )


@given(height=st.integers(4, 28), width=st.integers(4, 28), shrink=st.floats(0.31, 0.99))
def test_placements_hold_the_whole_picture_and_nothing_else(height: int, width: int, shrink: float) -> None:
    config = image_config(height, width, shrink)
    for axis, side in enumerate((height, width)):
        placements = config.placements(axis)
        assert placements.shape[1:] == (side, side)
        sums = placements.sum(axis=2)
        inside = sums > 0.5
        assert np.allclose(sums[inside], 1.0, atol=1e-5)
        assert np.all(placements[~inside] == 0)
        assert np.all((placements >= 0).all())
        # The picture lies in one piece, of at least the declared share of the side.
        assert np.all((np.diff(inside.astype(int), axis=1) != 0).sum(axis=1) <= 2)
        assert inside.sum(axis=1).min() >= np.floor(shrink * side)
    full = [np.array_equal(each, np.eye(height, dtype=np.float32)) for each in config.placements(0)]
    assert full.count(True) == 1


@given(height=st.integers(4, 28), width=st.integers(4, 28), shrink=st.floats(0.31, 0.99), seed=st.integers(0, 9))
def test_draws_name_placements_of_one_size_in_both_directions(
    height: int, width: int, shrink: float, seed: int
) -> None:
    config = image_config(height, width, shrink, draws=50)
    drawn = config.draw(np.random.default_rng(seed), 4)
    assert sorted(drawn) == ["index_columns", "index_rows"]
    assert all((index.dtype, index.shape) == (np.int64, (4, 50)) for index in drawn.values())
    tall, wide = (
        (config.placements(axis).sum(axis=2) > 0.5).sum(axis=1)[drawn[name]]
        for axis, name in enumerate(("index_rows", "index_columns"))
    )
    assert np.all(np.abs(wide - tall * width / height) <= 0.5 + 1e-9)


def test_a_full_size_placement_changes_nothing_and_a_smaller_one_moves_bilinearly() -> None:
    config, x = image_config(6, 6, 0.6), np.random.default_rng(0).random((1, 6, 6, 2), dtype=np.float32)
    placements = config.placements(0)
    one = tf.constant(np.eye(6, dtype=np.float32)[None, None])
    assert np.allclose(resize_and_pad(tf.constant(x), one, one)[0, 0], x[0], atol=1e-6)
    small = placements[:1]
    moved = resize_and_pad(tf.constant(x), tf.constant(small[None]), tf.constant(small[None])).numpy()[0, 0]
    size = int((small[0].sum(axis=1) > 0.5).sum())
    expected = tf.image.resize(x, (size, size), method="bilinear").numpy()[0]
    assert np.allclose(moved[:size, :size], expected, atol=1e-5)
    assert np.all(moved[size:] == 0)
    assert np.all(moved[:, size:] == 0)


def test_resize_and_pad_in_onnx() -> None:
    config, graph = image_config(6, 5, 0.6), Graph()
    x, drawn = np.random.default_rng(0).random((4, 6, 5, 2), dtype=np.float32), config.draw(np.random.default_rng(1), 4)
    rows, columns = config.placements(0), config.placements(1)
    outcome = add_resize_and_pad(graph, "x", rows, columns)
    expected = resize_and_pad(tf.constant(x), rows[drawn["index_rows"]], columns[drawn["index_columns"]])
    assert np.allclose(run(graph, outcome, x=x, **drawn), expected, atol=1e-6)


def test_noise_has_the_declared_size_and_spares_what_must_not_change() -> None:
    scale = np.array([2.0, 300.0, 0.0], np.float32)
    ends = {"lower": (0.0,) * 3, "upper": (1.0,) * 3, "scale": tuple(scale.tolist())}
    config = GuardConfig(kind="table", shape=(3,), bits=3, draws=60, false_positives=0.1, noise=0.1, **ends)
    noise = config.draw(np.random.default_rng(0), 100)["noise"]
    assert (noise.dtype, noise.shape) == (np.float32, (100, 60, 3))
    assert np.allclose(noise.std(axis=(0, 1)), 0.1 * scale, rtol=0.05)
    assert np.all(noise[..., 2] == 0)
    noise = noise[:3]
    x, graph = np.float32([[1, 2, 3]] * 3), Graph()
    assert np.allclose(run(graph, add_noise(graph, "x", "noise"), x=x, noise=noise), x[:, None] + noise)


@pytest.mark.parametrize(("task", "side"), [("digits", 8), ("mnist", 28), ("fashion_mnist", 28), ("cifar10", 32)])
def test_the_declared_guards_leave_something_to_chance(task: str, side: int, project: Path) -> None:
    guard = load(project / "params.yaml").task(task).guard
    assert isinstance(guard, ImageGuard)
    smallest = round(guard.shrink * side, 2)
    assert len(image_config(side, side, guard.shrink).placements(0)) > 1, f"no whole size from {smallest} to {side - 1}"

"""No point of a box leaves the bounds of any graph that has some; what has none is refused by name."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.core.criteria import Tolerance, Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.certify.graph import bounds_through, check_bounds, has_bounds
from redoubt.certify.interval import Box, IntervalError, bounds_of, is_bounded
from redoubt.certify.worst_case import certifier
from redoubt.core.types import Batch, Bounds, Floats
from tests.support.random_graphs import HEADS, ONE, PICTURE, ROW, TWO, Steps, graph, heads, of_pictures, of_rows
from tests.support.random_networks import Recipe, anywhere, dense, of_numbers

layers = keras.layers
PICTURE_SHAPE, ROW_SHAPE = (5, 4, 2), (4,)
radii = st.sampled_from([0.0, 1e-6, 0.05, 0.4])


def box_of(network: keras.Model, radius: float, size: float = 1.0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(3)
    centre = (size * rng.normal(size=(2, *network.input_shape[1:]))).astype(np.float32)
    reach = (radius * rng.uniform(0.0, 1.0, centre.shape)).astype(np.float32)
    return centre - reach, centre + reach


def points(network: keras.Model, low: Floats, high: Floats) -> Floats:
    """Ends, corners, inner points, and the corners to which each output's gradient leads up and down."""
    rng = np.random.default_rng(4)
    found = [low, high, *(np.where(rng.random(low.shape) < 0.5, low, high) for _ in range(6))]
    found += [np.clip(low + rng.random(low.shape) * (high - low), low, high).astype(np.float32) for _ in range(4)]
    x = tf.constant((low + high) / 2)
    for output in range(network.output_shape[-1]):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(network(x, training=False)[:, output])
        gradient = tape.gradient(value, x)
        if gradient is not None:
            found += [np.where(gradient > 0, high, low), np.where(gradient > 0, low, high)]
    return np.stack(found)


def bounded(network: keras.Model, radius: float, size: float = 1.0) -> None:
    low, high = box_of(network, radius, size)
    ends = bounds_through(network, Box(tf.constant(low), tf.constant(high)))
    many = points(network, low, high)
    outputs = network(many.reshape(-1, *low.shape[1:]), training=False).numpy().reshape(len(many), *ends.low.shape)
    # A bound that is no number would hold nothing; where nothing is known it is infinite.
    assert np.all((outputs >= ends.low.numpy()) | np.isneginf(ends.low.numpy()))
    assert np.all((outputs <= ends.high.numpy()) | np.isposinf(ends.high.numpy()))
    assert size > 1 or radius > 0.1 or np.isfinite(ends.low).all()


@pytest.mark.parametrize("name", [*ONE, *TWO, *PICTURE])
def test_each_operation_on_pictures_holds_its_points(name: str) -> None:
    for radius in (1e-6, 0.3):
        bounded(graph(PICTURE_SHAPE, [(name, 0, 0), (name, 0, 1)], "dense"), radius)


@pytest.mark.parametrize("name", [*ONE, *TWO, *ROW])
@pytest.mark.parametrize("size", [1.0, 300.0])
def test_each_operation_on_rows_holds_its_points(name: str, size: float) -> None:
    for head in HEADS:
        bounded(graph(ROW_SHAPE, [(name, 0, 0), (name, 0, 1)], head), 0.1, size)


@settings(max_examples=25, deadline=None)
@given(of_pictures, heads, radii)
def test_no_point_of_a_picture_leaves_the_bounds(steps: Steps, head: str, radius: float) -> None:
    bounded(graph(PICTURE_SHAPE, steps, head), radius)


@settings(max_examples=40, deadline=None)
@given(of_rows, heads, radii)
def test_no_point_of_a_row_leaves_the_bounds(steps: Steps, head: str, radius: float) -> None:
    bounded(graph(ROW_SHAPE, steps, head), radius)


@settings(max_examples=10, deadline=None)
@given(st.lists(dense | anywhere, min_size=1, max_size=4), radii)
def test_of_a_chain_the_bounds_are_those_of_chains(recipes: list[Recipe], radius: float) -> None:
    network = of_numbers(recipes)
    low, high = map(tf.constant, box_of(network, radius))
    ours, theirs = bounds_through(network, Box(low, high)), bounds_of(network, Box(low, high))
    assert np.array_equal(ours.low, theirs.low)
    assert np.array_equal(ours.high, theirs.high)


@settings(max_examples=15, deadline=None)
@given(of_rows, heads, st.sampled_from([0.01, 0.1]))
def test_no_attack_breaks_a_certified_example(steps: Steps, head: str, eps: float) -> None:
    network = graph(ROW_SHAPE, steps, head)
    x = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    outputs = network(x, training=False).numpy()
    criterion = Tolerance(0.5) if head == "number" else Untargeted()
    y = outputs[:, 0] if head == "number" else outputs.argmax(axis=1)
    box = Bounds(np.full(4, -9, np.float32), np.full(4, 9, np.float32), np.ones(4, np.float32))
    certified = certifier(network, box, criterion)(Batch(x, y), eps)
    x_adv = PGD(steps=5).perturb(AttackProblem(of_network(network), criterion, "linf", box), x, y, eps, 0)
    assert not (certified & criterion.is_adversarial(network(x_adv, training=False).numpy(), y)).any()


def test_a_residual_network_is_certified_where_it_is_far_from_the_boundary() -> None:
    network = graph(ROW_SHAPE, [("nested", 0, 0), ("dense", 0, 0), ("+", 0, 1)], "dense")
    assert not is_bounded(network)
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    y = network(x, training=False).numpy().argmax(axis=1)
    box = Bounds(np.full(4, -9, np.float32), np.full(4, 9, np.float32), np.ones(4, np.float32))
    shares = [certifier(network, box, Untargeted())(Batch(x, y), eps).mean() for eps in (0.0, 0.02, 0.3, 3.0)]
    assert shares[0] == 1.0
    assert 0.5 < shares[1] < 1.0
    assert shares[1] > shares[2] > shares[3] == 0.0


def test_a_last_dense_layer_is_merged_with_what_decides() -> None:
    inputs = keras.Input((2,))
    last = layers.Dense(2, use_bias=False)
    network = keras.Model(inputs, last(inputs + 0.0 * inputs))
    # Both logits rise alike with the first input: their difference does not feel it.
    last.set_weights([np.array([[5.0, 5.0], [1.0, -1.0]], np.float32)])
    batch = Batch(np.array([[0.0, 1.0]], np.float32), np.array([0]))
    box = Bounds(np.full(2, -9, np.float32), np.full(2, 9, np.float32), np.ones(2, np.float32))
    assert certifier(network, box, Untargeted())(batch, 0.5).all()
    assert not certifier(network, box, Untargeted())(batch, 1.1).any()


class Own(layers.Layer):
    def call(self, x: Any) -> Any:
        return -x


def _of(make: Any, shape: tuple[int, ...] = ROW_SHAPE) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, make(inputs))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (lambda: _of(Own()), "is a Own that is not one of Keras"),
        (lambda: _of(layers.Softmax()), "is a Softmax, which has no sound bound; .*LayerNormalization"),
        (
            lambda: _of(layers.Dense(2, activation="gelu")),
            "has activation gelu, which has no sound bound; linear, relu",
        ),
        (lambda: _of(layers.Dense(2, activation=lambda x: x)), "of its own, which has no sound bound"),
        (lambda: _of(keras.ops.negative), "operation '.*' is a Negative, which has no sound bound; Add, Maximum"),
        (lambda: _of(lambda x: layers.Dropout(0.5)(x, training=True)), "is called with 'training'"),
        (lambda: _of(lambda x: x[:, ::-1]), "which has no sound bound|called with"),
        (
            lambda: _of(lambda x: layers.Multiply()([x, layers.Reshape((1, 4))(x)])),
            r"\(Multiply\) is set to what has no sound bound",
        ),
        (lambda: _of(layers.LayerNormalization(axis=1), (3, 4)), r"\(LayerNormalization\) is set to what"),
        (lambda: _of(layers.Conv1D(2, 2, padding="causal"), (5, 2)), r"\(Conv1D\) is set to what"),
        (lambda: _of(layers.UpSampling2D(2, interpolation="bilinear"), (3, 3, 1)), r"\(UpSampling2D\) is set to what"),
        (lambda: _of(layers.Dense(2, dtype="float64")), "in float64, which has no sound bound"),
        (lambda: _of(layers.Conv2D(2, 1, groups=2), (3, 3, 2)), "has groups, which have no sound bound"),
        (lambda: _of(_of(Own())), "is a Own that is not one of Keras"),
        (lambda: _of(lambda x: x), "has no layers"),
        (
            lambda: keras.Model((a := [keras.Input((2,)), keras.Input((2,))]), layers.Add()(a)),
            "expected one float32 input",
        ),
    ],
)
def test_what_has_no_bound_is_refused_by_name(network: Any, said: str) -> None:
    made = network()
    assert not has_bounds(made)
    with pytest.raises(IntervalError, match=said):
        check_bounds(made)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    numbers=st.sampled_from([2, 3, 6]),
    offset=st.sampled_from([0.0, 3.0, 100.0, 3000.0]),
    epsilon=st.sampled_from([1e-3, 1e-6]),
)
def test_no_point_leaves_the_bounds_of_a_normalized_row(seed: int, numbers: int, offset: float, epsilon: float) -> None:
    rng = np.random.default_rng(seed)
    network = _of(layers.LayerNormalization(epsilon=epsilon), (numbers,))
    network.set_weights([rng.normal(size=numbers), rng.normal(size=numbers)])
    centre = (offset + rng.normal(size=(20, numbers)) * rng.choice([0.1, 1.0, 5.0], (20, 1))).astype(np.float32)
    # Of few numbers that vary the bounds are near what can be reached.
    reach = rng.uniform(0, 2, centre.shape) * (rng.random(centre.shape) < 0.4)
    low, high = (centre - reach).astype(np.float32), (centre + reach).astype(np.float32)
    ends = bounds_through(network, Box(tf.constant(low), tf.constant(high)))
    share = np.concatenate([rng.random((60, *low.shape)), rng.choice([0.0, 1.0], (60, *low.shape))])
    points = np.clip(low + share * (high - low), low, high).astype(np.float32)
    outputs = network(points.reshape(-1, numbers), training=False).numpy().reshape(points.shape)
    assert np.all((outputs >= ends.low.numpy()) | np.isneginf(ends.low.numpy()))
    assert np.all((outputs <= ends.high.numpy()) | np.isposinf(ends.high.numpy()))
    assert offset > 10 or epsilon < 1e-4 or np.isfinite(ends.low).all()

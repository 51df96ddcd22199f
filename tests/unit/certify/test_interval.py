"""No point of a box leaves its bounds: random networks, random boxes, sampled and attacked points."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.core.gradient import PGD
from redoubt.certify.interval import Box, IntervalError, bounds_of, check_bounded, is_bounded, through
from redoubt.certify.interval_onnx import add_proof
from redoubt.certify.worst_case import ball, worst_logits, worst_outputs
from redoubt.core.types import PIXELS, Bounds, Floats, Norm
from redoubt.models.chain import chain_of
from redoubt.models.export import ExportError, add_network
from redoubt.models.onnx_graph import Graph
from tests.support.random_networks import Recipe, anywhere, dense, of_numbers, of_picture, on_pictures
from tests.support.threats import Threat
from tests.support.tiny import Case

layers = keras.layers
of_pictures = st.lists(on_pictures | anywhere, min_size=1, max_size=3)
heads = st.lists(dense | anywhere, max_size=2)
tables = st.lists(dense | anywhere, min_size=1, max_size=4)
radii = st.sampled_from([0.0, 1e-6, 0.05, 1.0])


def box_of(network: keras.Model, radius: float) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(3)
    centre = rng.normal(size=(2, *network.input_shape[1:])).astype(np.float32)
    reach = (radius * rng.uniform(0.0, 1.0, centre.shape)).astype(np.float32)
    return centre - reach, centre + reach


def points(low: Floats, high: Floats) -> Floats:
    """Ends, corners and inner points of every box, `(points, rows, ...)`."""
    rng = np.random.default_rng(4)
    corners = [np.where(rng.integers(2, size=low.shape) == 1, high, low) for _ in range(10)]
    inner = [(low + rng.uniform(0, 1, low.shape) * (high - low)).astype(np.float32) for _ in range(10)]
    return np.clip(np.stack([low, high, *corners, *inner]), low, high)


def bounded(network: keras.Model, radius: float) -> None:
    low, high = box_of(network, radius)
    ends = bounds_of(network, Box(tf.constant(low), tf.constant(high)))
    many = points(low, high)
    outputs = network(many.reshape(-1, *low.shape[1:]), training=False).numpy().reshape(len(many), *ends.low.shape)
    assert np.all(outputs >= ends.low.numpy())
    assert np.all(outputs <= ends.high.numpy())


@settings(max_examples=20)
@given(of_pictures, heads, radii)
def test_no_point_of_a_picture_leaves_the_bounds(recipes: list[Recipe], head: list[Recipe], radius: float) -> None:
    bounded(of_picture(recipes, head), radius)


@settings(max_examples=16)
@given(tables, radii)
def test_no_point_of_a_table_leaves_the_bounds(recipes: list[Recipe], radius: float) -> None:
    bounded(of_numbers(recipes), radius)


def proof(network: keras.Model, low: Floats, high: Floats) -> Floats:
    graph, shape = Graph(), network.input_shape[1:]
    found = add_proof(graph, network, "low", "high")
    columns = max(2, network.output_shape[-1])
    model = graph.build({"low": ("rows", *shape), "high": ("rows", *shape)}, {"proof": (found, ("rows", columns))})
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"low": low, "high": high})[0]


@settings(max_examples=10)
@given(of_pictures, heads, radii)
def test_the_exported_proof_says_the_same_of_pictures(recipes: list[Recipe], head: list[Recipe], radius: float) -> None:
    agree(of_picture(recipes, head), radius)


@settings(max_examples=10)
@given(tables, radii)
def test_the_exported_proof_says_the_same_of_tables(recipes: list[Recipe], radius: float) -> None:
    agree(of_numbers(recipes), radius)


def agree(network: keras.Model, radius: float) -> None:
    low, high = box_of(network, radius)
    box, found = Box(tf.constant(low), tf.constant(high)), proof(network, low, high)
    if network.output_shape[-1] == 1:
        ends = bounds_of(network, box)
        expected = np.concatenate([ends.low, ends.high], axis=1)
    else:
        expected = np.stack([smallest_lead(network, box, label) for label in range(network.output_shape[-1])], axis=1)
    size = max(1.0, np.abs(expected).max())
    assert np.abs(found - expected).max() <= 1e-4 * size


def smallest_lead(network: keras.Model, box: Box, label: int) -> Floats:
    y = tf.fill([box.low.shape[0]], np.int64(label))
    *body, last = chain_of(network)
    leads = worst_logits(last, through(body, box), y).numpy()
    return -np.delete(leads, label, axis=1).max(axis=1)


def test_of_a_linear_network_the_bounds_are_exact() -> None:
    kernel, bias = np.float32([[2.0, -1.0], [0.5, 3.0]]), np.float32([0.1, -0.2])
    last = layers.Dense(2)
    network = keras.Sequential([keras.Input((2,)), last])
    last.set_weights([kernel, bias])
    low, high = np.float32([[0.0, -1.0]]), np.float32([[1.0, 1.0]])
    ends = bounds_of(network, Box(tf.constant(low), tf.constant(high)))
    assert np.allclose(ends.low, [[-0.4, -4.2]], atol=1e-5)
    assert np.allclose(ends.high, [[2.6, 2.8]], atol=1e-5)
    # z_1 - z_0 = -3 x_0 + 2.5 x_1 - 0.3 over the box; the logits' own bounds would say 2.8 + 0.4.
    leads = worst_outputs(network, Box(tf.constant(low), tf.constant(high)), tf.constant([0]), FakeClasses())
    assert np.allclose(leads, [[0.0, 2.2]], atol=1e-5)


class FakeClasses:
    """The one thing that is asked of a criterion here."""

    is_classification = True


def test_bounds_hold_where_float32_is_coarse() -> None:
    """A sum of large numbers that cancel: rounding moves it by more than the box does."""
    rng = np.random.default_rng(5)
    last = layers.Dense(1, use_bias=False)
    network = keras.Sequential([keras.Input((4096,)), last])
    last.set_weights([rng.normal(0, 1e4, (4096, 1)).astype(np.float32)])
    x = rng.normal(0, 1e4, (8, 4096)).astype(np.float32)
    ends = bounds_of(network, Box(tf.constant(x), tf.constant(x)))
    exact = x.astype(np.float64) @ last.kernel.numpy().astype(np.float64)
    assert np.abs(network(x).numpy() - exact).max() > 0, "nothing was rounded"
    assert np.all(ends.low.numpy() <= exact)
    assert np.all(exact <= ends.high.numpy())


@pytest.mark.parametrize("eps", [0.02, 0.1, 0.3])
def test_what_is_certified_withstands_every_attack(
    case: Case, threats: Callable[[str, Norm], Threat], eps: float
) -> None:
    problem = threats(case.name, "linf").problem
    x, y = case.test.x, case.test.y
    box = ball(tf.constant(x), eps, case.bounds)
    certified = ~case.criterion.is_adversarial(
        worst_outputs(case.network, box, tf.constant(y), case.criterion).numpy(), y
    )
    if eps == 0.02:
        assert certified.mean() > 0.2, "nothing to break"
    for attack in (PGD(steps=20), PGD(steps=1, step_size=1.0), PGD(steps=20, loss="margin")):
        x_adv = attack(problem, x, y, eps=eps, seed=1)
        assert not (case.criterion.is_adversarial(problem.predict(x_adv), y) & certified).any()
        assert np.all(x_adv >= box.low.numpy() - 1e-6 * np.abs(x))


def test_a_ball_holds_rows_outside_the_bounds_and_moves_nothing_immutable() -> None:
    bounds = Bounds(np.float32([0, 0]), np.float32([1, 1]), np.float32([2.0, 0.0]))
    box = ball(tf.constant(np.float32([[1.5, 0.5], [0.5, 0.5]])), 0.1, bounds)
    assert np.allclose(box.low, [[1.3, 0.5], [0.3, 0.5]])
    assert np.allclose(box.high, [[1.5, 0.5], [0.7, 0.5]])
    assert np.allclose(ball(tf.constant(np.float32([[0.9]])), 0.3, PIXELS).high, 1.0)


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (
            lambda: layers.LayerNormalization(name="odd"),
            "layer 'odd' is a LayerNormalization, which has no sound bound; Activation, ",
        ),
        (
            lambda: layers.Dense(2, activation="tanh", name="odd"),
            r"layer 'odd' \(Dense\) has activation tanh, which has no sound",
        ),
        (lambda: layers.Conv2D(4, 2, groups=2, name="odd"), r"layer 'odd' \(Conv2D\) has groups, which have no sound"),
    ],
    ids=["layer", "activation", "groups"],
)
def test_a_layer_without_a_sound_bound_is_named(odd: Callable[[], Any], says: str) -> None:
    layer = odd()
    network = keras.Sequential([keras.Input((4, 4, 2) if isinstance(layer, layers.Conv2D) else (4,)), layer])
    with pytest.raises(IntervalError, match=says):
        check_bounded(network)
    assert not is_bounded(network)


# What a layer of a known kind may be set to, `made` on inputs of the shape; each is bounded as it computes.
SETTINGS: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "negative scale": ((4,), lambda: layers.Rescaling(-2.0, offset=0.5)),
    "scale per feature": ((4,), lambda: layers.Rescaling([-2.0, 0.0, 3.0, 1.0], offset=[0.0, 1.0, -1.0, 0.5])),
    "inverted normalization": ((4,), lambda: layers.Normalization(mean=[1.0] * 4, variance=[4.0] * 4, invert=True)),
    "one mean for all": ((3, 3, 2), lambda: layers.Normalization(axis=None, mean=0.5, variance=2.0)),
    "normalization of rows": ((3, 3, 3), lambda: layers.Normalization(axis=1, mean=[1, 2, 3], variance=[4, 5, 6])),
    "batch normalization of rows": ((3, 3, 3), lambda: layers.BatchNormalization(axis=1)),
    "leaky": ((4,), lambda: layers.ReLU(negative_slope=0.3)),
    "threshold": ((4,), lambda: layers.ReLU(threshold=0.4)),
    "all of ReLU's": ((4,), lambda: layers.ReLU(max_value=0.7, negative_slope=0.2, threshold=0.4)),
    "cap below the threshold": ((4,), lambda: layers.ReLU(max_value=0.3, threshold=0.4)),
    "relu6": ((4,), lambda: layers.ReLU(max_value=6)),
    "dense on rows": ((5, 4), lambda: layers.Dense(3, activation="relu")),
    "dense on pixels": ((3, 3, 2), lambda: layers.Dense(3)),
    "pooling of ragged ends": ((5, 5, 2), lambda: layers.AveragePooling2D(2, strides=3, padding="same")),
    "maximum of ragged ends": ((5, 5, 2), lambda: layers.MaxPooling2D(3, strides=2, padding="same")),
}


def set_so(name: str) -> keras.Model:
    """Functional, the layer before a Dense that joins all."""
    shape, make = SETTINGS[name]
    x = inputs = keras.Input(shape)
    for layer in (make(), *([layers.Flatten()] if len(shape) > 1 else []), layers.Dense(3)):
        x = layer(x)
    network, rng = keras.Model(inputs, x), np.random.default_rng(6)
    for variable in network.trainable_weights:
        variable.assign(rng.normal(0, 1, variable.shape))
    return network


@pytest.mark.parametrize("radius", [0.05, 1.0])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_layers_settings_are_bounded_as_they_compute(name: str, radius: float) -> None:
    bounded(set_so(name), radius)


EXPORTED = {
    "normalization of rows": "along axis 1; it can export the last axis",
    "batch normalization of rows": "along axis 1; it can export the last axis",
    "leaky": "with a slope or a threshold",
    "threshold": "with a slope or a threshold",
    "all of ReLU's": "with a slope or a threshold",
    "cap below the threshold": "with a slope or a threshold",
    "dense on pixels": "a Dense on every pixel; it can export one behind a Flatten",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_layers_settings_are_exported_as_they_compute_or_refused(name: str) -> None:
    network = set_so(name)
    if name in EXPORTED:
        with pytest.raises(ExportError, match=EXPORTED[name]):
            proof(network, *box_of(network, 0.1))
        return
    x, _ = box_of(network, 0.0)
    graph = Graph()
    made = graph.build({"x": ("rows", *x.shape[1:])}, {"y": (add_network(graph, network, "x"), ("rows", 3))})
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"x": x})[0], network(x).numpy(), rtol=1e-4, atol=1e-5)
    agree(network, 0.1)


def test_networks_of_the_pipeline_have_bounds(case: Case) -> None:
    check_bounded(case.network)

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.models.export import _WRITERS, ExportError, add_network
from redoubt.models.onnx_parts import Graph, extract
from tests.tiny import Case

layers = keras.layers
sizes = st.integers(1, 3)
Recipe = Callable[[], keras.Layer]


def layer(kind: type[keras.Layer], **settings: st.SearchStrategy[Any]) -> st.SearchStrategy[Recipe]:
    return st.builds(partial, st.just(kind), **settings)


# Layers that keep a picture a picture.
window = {"strides": st.integers(1, 2), "padding": st.sampled_from(["same", "valid"])}
on_pictures = st.one_of(
    layer(
        layers.Conv2D,
        filters=sizes,
        kernel_size=st.tuples(sizes, sizes),
        activation=st.sampled_from([None, "relu"]),
        use_bias=st.booleans(),
        **window,
    ),
    layer(layers.Conv2D, filters=sizes, kernel_size=st.just(2), dilation_rate=st.just(2), padding=window["padding"]),
    layer(layers.MaxPooling2D, pool_size=st.tuples(sizes, sizes), **window),
    layer(layers.AveragePooling2D, pool_size=st.tuples(sizes, sizes), **window),
)
anywhere = st.one_of(
    layer(layers.BatchNormalization, center=st.booleans(), scale=st.booleans()),
    layer(layers.Rescaling, scale=st.floats(-3, 3), offset=st.floats(-3, 3)),
    layer(layers.Activation, activation=st.sampled_from(["relu", "linear"])),
    layer(layers.ReLU),
    layer(layers.Dropout, rate=st.just(0.5), seed=st.just(1)),
)
dense = layer(layers.Dense, units=sizes, activation=st.sampled_from([None, "relu"]), use_bias=st.booleans())


def of_picture(recipes: list[Recipe], head: list[Recipe]) -> keras.Model:
    """A 7 x 6 picture of two channels through the layers, as far as their windows fit."""
    scaler = layers.Normalization(mean=[0.1, -0.1], variance=[0.2, 0.4])
    network = keras.Sequential([keras.Input((7, 6, 2), name="x"), scaler])
    for recipe in recipes:
        if min(network.output_shape[1:3]) >= 3:
            network.add(recipe())
    for recipe in (layers.Flatten, *head):
        network.add(recipe())
    return shaken(network)


def of_numbers(recipes: list[Recipe]) -> keras.Model:
    scaler = layers.Normalization(mean=[0.1] * 4, variance=[0.2, 0.4, 1.0, 3.0])
    return shaken(keras.Sequential([keras.Input((4,), name="x"), scaler, *(recipe() for recipe in recipes)]))


def shaken(network: keras.Model) -> keras.Model:
    """The network with random weights and statistics; positive where they may be variances."""
    rng = np.random.default_rng(1)
    for variable in network.weights[3:]:
        signs = rng.choice([-1, 1], variable.shape) if variable.trainable else 1
        variable.assign(rng.uniform(0.1, 1.0, variable.shape) * signs)
    return network


def exported(network: keras.Model) -> bytes:
    graph = Graph()
    outputs = add_network(graph, network, "x")
    return graph.build({"x": ("rows", *network.input_shape[1:])}, {"y": (outputs, ("rows", *network.output_shape[1:]))})


def answer(model: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def agree(network: keras.Model) -> None:
    x = np.random.default_rng(2).normal(size=(3, *network.input_shape[1:])).astype(np.float32)
    expected, found = network(x, training=False).numpy(), answer(exported(network), x)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


@settings(max_examples=40, deadline=None)
@given(st.lists(on_pictures | anywhere, min_size=1, max_size=3), st.lists(dense | anywhere, max_size=2))
def test_onnx_answers_as_keras_does_of_pictures(recipes: list[Recipe], head: list[Recipe]) -> None:
    agree(of_picture(recipes, head))


@settings(max_examples=20, deadline=None)
@given(st.lists(dense | anywhere, min_size=1, max_size=4))
def test_onnx_answers_as_keras_does_of_numbers(recipes: list[Recipe]) -> None:
    agree(of_numbers(recipes))


def test_every_writer_was_tried() -> None:
    drawn = {"Conv2D", "MaxPooling2D", "AveragePooling2D", "BatchNormalization", "Rescaling", "Activation", "ReLU"}
    assert set(_WRITERS) == drawn | {"Dropout", "Dense", "Flatten", "Normalization", "InputLayer"}


def test_the_same_network_gives_the_same_bytes(case: Case) -> None:
    again = keras.models.clone_model(case.network)
    again.set_weights(case.network.get_weights())
    assert exported(case.network) == exported(again)


def test_a_part_can_be_cut_out(case: Case) -> None:
    graph = Graph()
    inside = graph.alias("start", graph.node("Mul", "x", graph.constant(np.float32(2.0))))
    end = graph.alias("end", add_network(graph, case.network, inside))
    shape, width = case.schema.shape, case.schema.outputs
    whole = graph.build({"x": ("rows", *shape)}, {"y": (graph.node("Neg", end), ("rows", width))})
    x = case.test.x
    assert np.array_equal(answer(extract(whole, "start", "end"), 2 * x), -answer(whole, x))


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (layers.LayerNormalization(name="odd"), "layer 'odd' is a LayerNormalization; it can export Activation, "),
        (
            layers.Dense(2, activation="tanh", name="odd"),
            "layer 'odd' has activation tanh; it can export linear and relu",
        ),
        (layers.Activation("softmax", name="odd"), "layer 'odd' has activation softmax"),
    ],
    ids=["layer", "activation", "softmax"],
)
def test_a_layer_that_cannot_be_exported_is_named(odd: keras.Layer, says: str) -> None:
    with pytest.raises(ExportError, match=says):
        exported(keras.Sequential([keras.Input((4,)), odd]))


@pytest.mark.parametrize("spread", [1e-9, 1e-3, 1e9])
def test_a_features_unit_may_be_tiny_or_huge(spread: float) -> None:
    scaler = layers.Normalization(mean=[spread], variance=[spread**2])
    network = keras.Sequential([keras.Input((1,), name="x"), scaler, layers.Dense(2)])
    x = (spread * np.array([[1.0], [2.5]])).astype(np.float32)
    assert np.allclose(answer(exported(network), x), network(x).numpy(), rtol=1e-4, atol=1e-6)


def test_equal_constants_are_stored_once() -> None:
    graph = Graph()
    ones = np.ones(3, np.float32)
    assert graph.constant(ones) == graph.constant(ones.copy())
    names = {graph.constant(v) for v in (ones, ones.reshape(1, 3), ones.astype(np.int64), 2 * ones)}
    assert len(names) == 4

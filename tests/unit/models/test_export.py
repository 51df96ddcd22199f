import keras
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.bundle.model.subgraph import extract
from redoubt.models.export import _WRITERS, ExportError, add_network
from redoubt.models.onnx_graph import Graph
from tests.support.random_networks import Recipe, anywhere, dense, of_numbers, of_picture, on_pictures
from tests.support.tiny import Case

layers = keras.layers


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


@settings(max_examples=20)
@given(st.lists(on_pictures | anywhere, min_size=1, max_size=3), st.lists(dense | anywhere, max_size=2))
def test_onnx_answers_as_keras_does_of_pictures(recipes: list[Recipe], head: list[Recipe]) -> None:
    agree(of_picture(recipes, head))


@settings(max_examples=10)
@given(st.lists(dense | anywhere, min_size=1, max_size=4))
def test_onnx_answers_as_keras_does_of_numbers(recipes: list[Recipe]) -> None:
    agree(of_numbers(recipes))


def test_every_writer_was_tried() -> None:
    drawn = {"Conv2D", "MaxPooling2D", "AveragePooling2D", "BatchNormalization", "Rescaling", "Activation", "ReLU"}
    assert set(_WRITERS) == drawn | {"Dropout", "Dense", "Flatten", "Normalization"}


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

"""Only layers of Keras in a chain pass; whatever else a network computes is named, and where."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.certify.interval import is_bounded
from redoubt.models.chain import ChainError, activation_of, chain_of
from redoubt.models.export import add_network
from redoubt.models.onnx_graph import Graph
from tests.support.random_networks import TANGLES, Recipe, anywhere, dense, tangled

layers = keras.layers
Build = Callable[[Any, Any], Any]


def functional(build: Build, shape: tuple[int, ...] = (4,), **settings: Any) -> keras.Model:
    """A network from an input, and a layer `mine` to be called on it."""
    x = keras.Input(shape, name="given", **settings)
    return keras.Model(x, build(x, layers.Dense(3, name="mine")), name="net")


class Doubled(layers.Layer):
    def call(self, x: Any) -> Any:
        return 2.0 * x


class Backwards(keras.Model):
    def call(self, x: Any) -> Any:
        return -super().call(x)


class Dense(layers.Dense):
    """A namesake that is another layer."""


def quantized() -> keras.Model:
    network = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="mine")])
    network.layers[0].quantize("int8")
    return network


def before() -> keras.Model:
    """A layer whose first call, in another network, was on pictures of another size."""
    flat = layers.Flatten(name="mine")
    keras.Sequential([keras.Input((2, 2, 1)), flat])
    return keras.Sequential([keras.Input((3, 3, 1)), flat])


def twice(x: Any) -> Any:
    same = layers.Dense(4, name="twice")
    return same(same(x))


def own() -> keras.Model:
    x = keras.Input((4,))
    return Backwards(x, layers.Dense(3)(x), name="mine")


REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "an operator last": (
        lambda: functional(lambda x, mine: keras.ops.negative(mine(x))),
        r"operation 'negative\w*' \(Negative\), which reads 'mine', is no layer",
    ),
    "an operator first": (lambda: functional(lambda x, mine: mine(2.0 * x)), r"\(Multiply\), which reads 'given', is"),
    "a residual sum": (
        lambda: functional(lambda x, mine: mine(x) + layers.Dense(3, name="other")(x)),
        r"operation 'add\w*' \(Add\) reads 2 tensors, 'mine' and 'other'",
    ),
    "a sum of a tensor and itself": (lambda: functional(lambda x, mine: mine(x + x)), r"reads 2 tensors, 'given' and"),
    "a layer called twice": (
        lambda: functional(lambda x, mine: twice(x)),
        r"layer 'twice' \(Dense\) is called more than once",
    ),
    "a layer that joins": (
        lambda: functional(lambda x, mine: layers.Concatenate(name="join")([mine(x), x])),
        r"layer 'join' \(Concatenate\) reads 2 tensors, 'mine' and 'given'",
    ),
    "training at inference": (
        lambda: functional(lambda x, mine: layers.Dropout(0.5, name="drop")(mine(x), training=True)),
        r"layer 'drop' \(Dropout\), which reads 'mine', is called with other arguments too",
    ),
    "a model as a layer": (
        lambda: functional(lambda x, mine: keras.Sequential([x, mine], name="inner")(x)),
        r"layer 'inner' \(Sequential\), which reads 'given', is a model inside the network",
    ),
    "a layer of somebody's own": (
        lambda: functional(lambda x, mine: Doubled(name="two")(mine(x))),
        r"layer 'two' \(Doubled\), which reads 'mine', is not one of Keras",
    ),
    "a namesake of a known layer": (
        lambda: functional(lambda x, mine: Dense(3, name="same")(x)),
        r"layer 'same' \(Dense\), which reads 'given', is not one of Keras",
    ),
    "two outputs": (lambda: functional(lambda x, mine: [mine(x), x]), r"network 'net' has 1 inputs and 2 outputs"),
    "no layer": (lambda: functional(lambda x, mine: x), r"network 'net' has no layers"),
    "own code": (own, r"network 'mine' is a Backwards, of its own code"),
    "never built": (lambda: keras.Sequential([layers.Dense(3)], name="net"), r"network 'net' was never built"),
    "float16": (
        lambda: functional(lambda x, mine: layers.Dense(3, dtype="mixed_float16", name="half")(x)),
        r"layer 'half' \(Dense\), which reads 'given', computes in float16",
    ),
    "bfloat16": (
        lambda: functional(lambda x, mine: layers.ReLU(dtype="bfloat16")(mine(x))),
        r"which reads 'mine', computes in bfloat16",
    ),
    "inputs of whole numbers": (
        lambda: functional(lambda x, mine: mine(layers.Rescaling(1.0)(x)), dtype="int32"),
        r"network 'net' casts its inputs to int32",
    ),
    "quantized": (quantized, r"layer 'mine' \(Dense\), .* computes in int8"),
    "channels first": (
        lambda: functional(lambda x, mine: layers.Flatten(data_format="channels_first")(x), (2, 2, 1)),
        r"\(Flatten\), which reads 'given', takes channels first",
    ),
    "a layer first called elsewhere": (before, r"layer 'mine' \(Flatten\), .* on inputs of another shape before"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_plain_chain_is_named_with_its_place(name: str) -> None:
    build, says = REFUSED[name]
    network = build()
    with pytest.raises(ChainError, match=says):
        chain_of(network)
    with pytest.raises(ChainError, match=says):
        add_network(Graph(), network, "x")
    assert not is_bounded(network)


def test_two_inputs_are_refused() -> None:
    one, two = keras.Input((4,)), keras.Input((2,))
    with pytest.raises(ChainError, match="has 2 inputs and 1 outputs"):
        chain_of(keras.Model([one, two], layers.Dense(3)(layers.Concatenate()([one, two]))))


def test_a_file_keeps_its_chain_and_its_tangle(tmp_path: Any) -> None:
    plain = functional(lambda x, mine: layers.Dropout(0.5)(layers.BatchNormalization()(mine(x))))
    knotted = functional(lambda x, mine: mine(x) + x[:, :3])
    for network in (plain, knotted):
        network.save(tmp_path / f"{len(network.layers)}.keras")
    again = [keras.models.load_model(tmp_path / f"{len(each.layers)}.keras") for each in (plain, knotted)]
    assert [layer.name for layer in chain_of(again[0])] == [layer.name for layer in plain.layers[1:]]
    with pytest.raises(ChainError, match=r"\(Add\) reads 2 tensors"):
        chain_of(again[1])


def test_a_part_of_a_network_is_a_chain_of_its_own() -> None:
    whole = functional(lambda x, mine: layers.Softmax()(mine(x)))
    part = keras.Model(whole.inputs, whole.get_layer("mine").output)
    assert [layer.name for layer in chain_of(part)] == ["mine"]
    kept = keras.Sequential([keras.Input((4,)), *whole.layers[1:2]])
    assert chain_of(kept) == whole.layers[1:2]


recipes = st.lists(dense | anywhere, min_size=1, max_size=4)


@settings(max_examples=30)
@given(recipes, st.integers(0, 3), st.sampled_from(sorted(TANGLES)))
def test_a_tangle_anywhere_among_random_layers_is_refused(recipes: list[Recipe], place: int, how: str) -> None:
    network = tangled(recipes, place, how)
    with pytest.raises(ChainError):
        chain_of(network)
    assert not is_bounded(network)


@settings(max_examples=20)
@given(recipes)
def test_random_layers_in_a_chain_are_found_in_order(recipes: list[Recipe]) -> None:
    made = [recipe() for recipe in recipes]
    x = inputs = keras.Input((4,))
    for layer in made:
        x = layer(x)
    assert chain_of(keras.Model(inputs, x)) == made == chain_of(keras.Sequential([keras.Input((4,)), *made]))


def relu(x: Any) -> Any:
    return -x


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        (None, "linear"),
        ("relu", "relu"),
        ("tanh", "tanh"),
        (keras.activations.relu, "relu"),
        (relu, "'relu' of its own"),
        (layers.ReLU(max_value=1.0), "'ReLU' of its own"),
        (np.tanh, "'tanh' of its own"),
    ],
    ids=["none", "relu", "tanh", "keras-relu", "own-relu", "layer", "numpy-tanh"],
)
def test_an_activation_has_a_name_only_if_it_is_that_of_keras(activation: Any, name: str) -> None:
    assert activation_of(layers.Dense(2, activation=activation)) == name


def test_a_layer_without_an_activation_is_linear() -> None:
    assert activation_of(layers.Flatten()) == "linear"

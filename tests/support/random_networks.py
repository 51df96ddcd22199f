"""Random networks of every layer that can be exported and bounded, for hypothesis."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st

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
    layer(layers.ReLU, max_value=st.sampled_from([None, 0.5])),
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


def tangled(recipes: list[Recipe], place: int, how: str) -> keras.Model:
    """The layers as a functional network, with something between two of them that is no plain layer."""
    x = inputs = keras.Input((4,), name="x")
    for index, recipe in enumerate(recipes):
        if index == place % len(recipes):
            x = TANGLES[how](x)
        x = recipe()(x)
    return keras.Model(inputs, x)


def _shared(x: Any) -> Any:
    same = layers.Dense(x.shape[-1], activation="relu")
    return same(layers.ReLU()(same(x)))


TANGLES: dict[str, Callable[[Any], Any]] = {
    "operator": lambda x: 1.0 - x,
    "keras.ops": keras.ops.negative,
    "residual": lambda x: layers.Dense(x.shape[-1])(x) + x,
    "slice": lambda x: x[:, ::-1],
    "shared": _shared,
    "nested": lambda x: keras.Sequential([keras.Input(x.shape[1:]), layers.ReLU()])(x),
    "add": lambda x: layers.Add()([x, layers.ReLU()(x)]),
    "arguments": lambda x: layers.Dropout(0.5)(x, training=True),
}


def shaken(network: keras.Model) -> keras.Model:
    """The network with random weights and statistics; positive where they may be variances."""
    rng = np.random.default_rng(1)
    for variable in network.weights[3:]:
        signs = rng.choice([-1, 1], variable.shape) if variable.trainable else 1
        variable.assign(rng.uniform(0.1, 1.0, variable.shape) * signs)
    return network

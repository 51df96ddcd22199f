"""Random graphs of every layer and operator that has interval bounds, for hypothesis: joined, shared and nested."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st

from redoubt.certify.graph_rules import RISING

layers = keras.layers
# Per step an operation and the two tensors that it reads.
Steps = list[tuple[str, int, int]]
Tensor = Any


def fresh(kind: type[keras.Layer], *settings: Any, **named: Any) -> Callable[[Tensor], Tensor]:
    """A layer of its own for every call."""

    def call(x: Tensor) -> Tensor:
        return kind(*settings, **named)(x)

    return call


def _nested(x: Tensor) -> Tensor:
    """A network in the network, with a residual of its own."""
    inner = keras.Input(x.shape[1:])
    y = layers.Activation("tanh")(inner) + inner
    return keras.Model(inner, y)(x)


def _sequential(x: Tensor) -> Tensor:
    return keras.Sequential([keras.Input(x.shape[1:]), layers.LeakyReLU(0.2), layers.Dropout(0.5)])(x)


def _shared(x: Tensor) -> Tensor:
    same = layers.Dense(x.shape[-1], activation="relu")
    return same(layers.LeakyReLU()(same(x)))


def _concatenated(a: Tensor, b: Tensor) -> Tensor:
    return layers.Dense(a.shape[-1])(layers.Concatenate()([a, b]))


# Of any shape, and all keep it.
ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "dense": lambda x: layers.Dense(x.shape[-1])(x),
    "leaky": fresh(layers.LeakyReLU, 0.3),
    "elu layer": fresh(layers.ELU, 0.7),
    "capped": fresh(layers.ReLU, max_value=0.7, negative_slope=0.1),
    **{f"activation {name}": fresh(layers.Activation, name) for name in ("relu", *RISING)},
    "layer normalization": fresh(layers.LayerNormalization),
    "plain normalization": fresh(layers.LayerNormalization, center=False, scale=False, epsilon=1e-5),
    "batch normalization": fresh(layers.BatchNormalization),
    "rescaling": fresh(layers.Rescaling, -1.5, 0.3),
    "dropout": lambda x: layers.GaussianNoise(0.3)(layers.AlphaDropout(0.2)(x)),
    "identity": fresh(layers.Identity),
    "one less": lambda x: 1.0 - x,
    "shifted": lambda x: x + 0.3,
    "scaled": lambda x: x * -0.7,
    "nested": _nested,
    "sequential": _sequential,
    "shared": _shared,
}
TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: layers.Add()([a, b, a]),
    "average": lambda a, b: layers.Average()([a, b]),
    "subtract": lambda a, b: layers.Subtract()([a, b]),
    "multiply": lambda a, b: layers.Multiply()([a, b]),
    "maximum": lambda a, b: layers.Maximum()([a, b]),
    "minimum": lambda a, b: layers.Minimum()([a, b]),
    "concatenate": _concatenated,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "keras.ops.maximum": keras.ops.maximum,
    "keras.ops.minimum": keras.ops.minimum,
}
PICTURE: dict[str, Callable[[Tensor], Tensor]] = {
    "convolution": fresh(layers.Conv2D, 2, 3, padding="same", activation="tanh"),
    "dilated": fresh(layers.Conv2D, 2, 2, padding="same", dilation_rate=2),
    "depthwise": fresh(layers.DepthwiseConv2D, 3, padding="same", activation="leaky_relu"),
    "dilated depthwise": fresh(layers.DepthwiseConv2D, 2, padding="same", dilation_rate=2, use_bias=False),
    "average pooling": fresh(layers.AveragePooling2D, 2, strides=1, padding="same"),
    "maximum pooling": fresh(layers.MaxPooling2D, 2, strides=1, padding="same"),
    "padded": lambda x: layers.Cropping2D(((2, 0), (0, 1)))(layers.ZeroPadding2D(((1, 1), (1, 0)))(x)),
    "upsampled": lambda x: layers.MaxPooling2D(2)(layers.UpSampling2D(2)(x)),
    "turned": lambda x: layers.Permute((2, 1, 3))(layers.Permute((2, 1, 3))(x)),
    "pooled over all": lambda x: x + layers.Reshape((1, 1, 2))(layers.GlobalAveragePooling2D()(x)),
    "largest of all": lambda x: x - layers.Reshape((1, 1, 2))(layers.GlobalMaxPooling2D()(x)),
    "spatial dropout": fresh(layers.SpatialDropout2D, 0.3),
}
ROW: dict[str, Callable[[Tensor], Tensor]] = {
    "over time": lambda x: layers.Reshape((4,))(
        layers.Conv1D(1, 2, padding="same", dilation_rate=2)(layers.Reshape((4, 1))(x))
    ),
    "pooled over time": lambda x: layers.Reshape((4,))(
        layers.MaxPooling1D(2, strides=1, padding="same")(layers.Reshape((4, 1))(x))
    ),
    "repeated": lambda x: layers.GlobalAveragePooling1D()(layers.RepeatVector(3)(x)),
    "largest over time": lambda x: x + layers.GlobalMaxPooling1D()(layers.Reshape((4, 1))(x)),
}
HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "dense": fresh(layers.Dense, 3),
    "tanh": fresh(layers.Dense, 3, activation="tanh"),
    "sum": lambda x: layers.Dense(3)(x) + layers.Dense(3, use_bias=False)(x),
    "number": fresh(layers.Dense, 1),
}


def steps_of(own: dict[str, Callable[[Tensor], Tensor]]) -> st.SearchStrategy[Steps]:
    """Some operations, of any shape and of this one."""
    names = st.sampled_from([*ONE, *TWO, *own])
    return st.lists(st.tuples(names, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6)


of_pictures, of_rows, heads = steps_of(PICTURE), steps_of(ROW), st.sampled_from([*HEADS])


def graph(shape: tuple[int, ...], steps: Steps, head: str) -> keras.Model:
    """A functional network; each step reads any of the tensors before it."""
    tensors = [keras.Input(shape, name="x")]
    for name, one, other in steps:
        a, b = (tensors[-1 - place % len(tensors)] for place in (one, other))
        tensors.append(TWO[name](a, b) if name in TWO else {**ONE, **PICTURE, **ROW}[name](a))
    flat = layers.Flatten()(tensors[-1]) if len(shape) > 1 else tensors[-1]
    network = keras.Model(tensors[0], HEADS[head](flat))
    rng = np.random.default_rng(len(steps))
    for variable in network.weights:
        if variable.dtype != "float32":
            continue
        signs = rng.choice([-1, 1], variable.shape) if variable.trainable else 1
        variable.assign(rng.uniform(0.1, 1.0, variable.shape) * signs)
    return network

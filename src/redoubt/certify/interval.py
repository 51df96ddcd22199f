"""Interval bound propagation (arXiv 1810.12715): a box of inputs becomes a box that holds every output of a network."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from redoubt.core.errors import RedoubtError
from redoubt.models.chain import ChainError, activation_of, chain_of

# Half the distance from 1 to the next float32: no sum, product or rounding errs by more, relative to its size.
UNIT = 2.0**-24


class IntervalError(RedoubtError):
    """A network that has no interval bound here; the message names the layer and its type."""


@dataclass(frozen=True, eq=False)
class Box:
    """All points between two ends, by coordinate.

    Attributes:
        low: lower ends `(batch, ...)`.
        high: upper ends, of the same shape, nowhere below.
    """

    low: tf.Tensor
    high: tf.Tensor

    @property
    def centre(self) -> tf.Tensor:
        """The middle."""
        return 0.5 * (self.low + self.high)

    @property
    def radius(self) -> tf.Tensor:
        """From the middle to the ends."""
        return 0.5 * (self.high - self.low)

    def through(self, monotone: Callable[[tf.Tensor], tf.Tensor]) -> "Box":
        """What a function that only rises or only falls in each coordinate makes of the box."""
        one, other = monotone(self.low), monotone(self.high)
        return Box(tf.minimum(one, other), tf.maximum(one, other))


def bounds_of(network: keras.Model, box: Box) -> Box:
    """Bounds on a network's outputs, sound in float32 too, for one forward pass on each end.

    Args:
        network: a chain of the layers in `LAYERS`, at inference.
        box: of inputs.

    Raises:
        ChainError: the network is more than a chain of layers.
        IntervalError: a layer without a sound bound.
    """
    return through(chain_of(network), box)


def through(layers: Iterable[Any], box: Box) -> Box:
    """Bounds on the outputs of some layers in a chain.

    Raises:
        IntervalError: a layer without a sound bound.
    """
    for _, _, outputs in steps(layers, box):
        box = outputs
    return box


def steps(layers: Iterable[Any], box: Box) -> Iterator[tuple[Any, Box, Box]]:
    """Each layer with the box of its pre-activations and the box of its outputs.

    Raises:
        IntervalError: a layer without a sound bound.
    """
    for layer in layers:
        before = rule_of(layer)(layer, box)
        box = _activated(layer, before)
        yield layer, before, box


def check_bounded(network: keras.Model) -> None:
    """Refuse a network before work is spent on it.

    Raises:
        ChainError: the network is more than a chain of layers.
        IntervalError: a layer without a sound bound.
    """
    for layer in chain_of(network):
        rule_of(layer)
        _activation(layer)


def is_bounded(network: keras.Model) -> bool:
    """Whether the network is a chain of layers that have sound bounds."""
    try:
        check_bounded(network)
    except (ChainError, IntervalError):
        return False
    return True


def terms_of(layer: Any) -> int:
    """How many products each output of a layer sums; 0 for a layer that multiplies no weights.

    Raises:
        IntervalError: a layer without a sound bound.
    """
    rule_of(layer)
    return int(math.prod(layer.kernel.shape[:-1])) if type(layer).__name__ in ("Dense", "Conv2D") else 0


def rule_of(layer: Any) -> Callable[[Any, Box], Box]:
    """What a layer makes of a box before its activation.

    Raises:
        IntervalError: a layer without a sound bound.
    """
    kind = type(layer).__name__
    if kind not in LAYERS:
        raise IntervalError(f"layer '{layer.name}' is a {kind}, which has no sound bound; {', '.join(LAYERS)} have one")
    if kind == "Conv2D" and layer.groups != 1:
        raise IntervalError(f"layer '{layer.name}' (Conv2D) has groups, which have no sound bound")
    return LAYERS[kind]


def _activation(layer: Any) -> Callable[[tf.Tensor], tf.Tensor] | None:
    name = activation_of(layer)
    if name not in ("linear", "relu"):
        kind = type(layer).__name__
        raise IntervalError(
            f"layer '{layer.name}' ({kind}) has activation {name}, which has no sound bound; linear and relu have one"
        )
    return tf.nn.relu if name == "relu" else None


def _activated(layer: Any, box: Box) -> Box:
    activation = _activation(layer)
    return box.through(activation) if activation else box


def affine(box: Box, apply: Callable[[tf.Tensor, bool], tf.Tensor], terms: int) -> Box:
    """Bounds on an affine map whose every output sums `terms` products, whatever the order of the sum.

    Args:
        box: of its inputs.
        apply: the map on a tensor; with True the map of absolute weights without bias.
        terms: bounds the rounding error of each sum: terms * UNIT times the sum of absolute products.
    """
    error = (terms + 2) * UNIT
    centre = apply(box.centre, False)
    radius = apply(box.radius + error * tf.abs(box.centre), True) * (1.0 + 2.0 * error) + 2.0 * UNIT * tf.abs(centre)
    return Box(centre - radius, centre + radius)


def _dense(layer: Any, box: Box) -> Box:
    kernel = layer.kernel

    def apply(x: tf.Tensor, absolute: bool) -> tf.Tensor:
        if absolute:
            return tf.matmul(x, tf.abs(kernel))
        y = tf.matmul(x, kernel)
        return y + layer.bias if layer.use_bias else y

    return affine(box, apply, terms_of(layer))


def _convolution(layer: Any, box: Box) -> Box:
    kernel = layer.kernel

    def apply(x: tf.Tensor, absolute: bool) -> tf.Tensor:
        weights = tf.abs(kernel) if absolute else kernel
        y = tf.nn.conv2d(x, weights, layer.strides, layer.padding.upper(), dilations=layer.dilation_rate)
        return y + layer.bias if layer.use_bias and not absolute else y

    return affine(box, apply, terms_of(layer))


def _monotone(layer: Any, box: Box) -> Box:
    """A layer whose every output rises, or falls, with all the inputs that it looks at."""
    return box.through(lambda x: layer(x, training=False))


def _unchanged(layer: Any, box: Box) -> Box:
    return box


LAYERS: dict[str, Callable[[Any, Box], Box]] = {
    "Activation": _unchanged,
    "AveragePooling2D": _monotone,
    "BatchNormalization": _monotone,
    "Conv2D": _convolution,
    "Dense": _dense,
    "Dropout": _unchanged,
    "Flatten": _monotone,
    "MaxPooling2D": _monotone,
    "Normalization": _monotone,
    "ReLU": _monotone,
    "Rescaling": _monotone,
}

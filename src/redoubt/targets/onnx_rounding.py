"""ONNX operators that round, as of quantized models: their own values, with the gradient of what they round (BPDA)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from redoubt.targets.onnx_operators import Attributes, Inputs, Operator, given


def _straight(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[Any], tf.Tensor]:
    """The function with the gradient of the identity (arXiv 1802.00420): its own is zero nearly everywhere."""

    @tf.custom_gradient
    def apply(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return function(x), lambda upstream: upstream

    return lambda x: apply(tf.convert_to_tensor(x))


def _one(function: Callable[[tf.Tensor], tf.Tensor]) -> Operator:
    return lambda inputs, _: _straight(function)(inputs[0])


rounded = _straight(tf.round)


def _quantize(inputs: Inputs, attributes: Attributes) -> Any:
    """Whole numbers in the range of the zero point's type, here as floats that carry a gradient."""
    zero = np.asarray(given(inputs, 2, np.zeros((), np.uint8)))
    if not np.issubdtype(zero.dtype, np.integer):
        raise ValueError(f"quantization to {zero.dtype} has no form here")
    scale, offset = _along(inputs, inputs[1], attributes), _along(inputs, zero, attributes)
    return saturated(rounded(as_float(inputs[0]) / scale) + offset, zero.dtype)


def _dequantize(inputs: Inputs, attributes: Attributes) -> Any:
    zero = np.asarray(given(inputs, 2, np.zeros((), np.float32)))
    return (as_float(inputs[0]) - _along(inputs, zero, attributes)) * _along(inputs, inputs[1], attributes)


def _along(inputs: Inputs, value: Any, attributes: Attributes) -> Any:
    """A scale or a zero point: one for all, or one for each place of an axis."""
    if attributes.get("block_size", 0):
        raise ValueError("quantization by blocks has no form here")
    value, sides = as_float(value), len(inputs[0].shape)
    if not len(value.shape) or value.shape[0] == 1:
        return tf.reshape(value, [])
    axis = attributes.get("axis", 1) % sides
    return tf.reshape(value, [-1 if side == axis else 1 for side in range(sides)])


def as_float(value: Any) -> tf.Tensor:
    """Whole numbers as floats, which carry a gradient."""
    return tf.cast(value, tf.float32)


def saturated(value: tf.Tensor, kind: Any) -> tf.Tensor:
    """Cut off where a type of whole numbers ends, as a ReLU that was folded into a quantization is."""
    ends = np.iinfo(kind)
    return tf.clip_by_value(value, float(ends.min), float(ends.max))


ROUNDING: dict[str, Operator] = {
    "Ceil": _one(tf.math.ceil),
    "DequantizeLinear": _dequantize,
    "Floor": _one(tf.floor),
    "QuantizeLinear": _quantize,
    "Round": _one(tf.round),
    "Sign": _one(tf.sign),
}

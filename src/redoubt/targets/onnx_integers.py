"""ONNX operators on whole numbers: ONNX Runtime's own rounding, with the gradient of what is rounded (BPDA).

A quantized model without floats between its layers consists of them. Scales are multiplied in ONNX Runtime's order, so
that both round alike.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import tensorflow as tf

from redoubt.targets.onnx_layers import LAYERS
from redoubt.targets.onnx_operators import OPERATORS, Attributes, Inputs, Operator, given, static
from redoubt.targets.onnx_rounding import as_float, rounded, saturated

CONTRIBUTED = "com.microsoft"
DYNAMIC = "DynamicQuantizeLinear"


def scales_by_batch(model: onnx.ModelProto) -> bool:
    """Whether it is quantized as it runs, by a scale that all examples asked together share."""
    return any(node.op_type == DYNAMIC for node in model.graph.node)


def _dynamic(inputs: Inputs, attributes: Attributes) -> Any:
    """Whole numbers, their scale and their zero point, each example's own: one is asked at a time, see `onnx_file`."""
    x = as_float(inputs[0])
    axes = list(range(1, len(x.shape)))
    low = tf.minimum(tf.reduce_min(x, axes, keepdims=True), 0.0)
    high = tf.maximum(tf.reduce_max(x, axes, keepdims=True), 0.0)
    scale = tf.stop_gradient(tf.where(high > low, (high - low) / 255.0, 1.0))
    zero = tf.stop_gradient(tf.clip_by_value(tf.round(-low / scale), 0.0, 255.0))
    return saturated(rounded(x / scale) + zero, np.uint8), scale, zero


def _product_of_integers(name: str) -> Operator:
    """A convolution or a product of matrices, whose sums are floats here: whole numbers up to 2^24 are exact."""

    def apply(inputs: Inputs, attributes: Attributes) -> Any:
        x = as_float(inputs[0]) - as_float(given(inputs, 2, 0))
        return LAYERS[name]([x, _weights(name, inputs[1], given(inputs, 3, 0))], attributes)

    return apply


def _convolution(inputs: Inputs, attributes: Attributes) -> Any:
    x, x_scale, x_zero, kernel, scale, zero, y_scale, y_zero = inputs[:8]
    sides = [1, -1, *[1] * (np.ndim(kernel) - 2)]
    bias = given(inputs, 8)
    total = LAYERS["Conv"]([as_float(x) - as_float(x_zero), _weights("Conv", kernel, zero)], attributes)
    total = total if bias is None else total + np.float32(bias).reshape(sides)
    factor = np.float32(x_scale) * np.float32(scale) / np.float32(y_scale)
    return _requantized(total, factor.reshape(sides) if factor.size > 1 else factor, y_zero)


def _matmul(inputs: Inputs, attributes: Attributes) -> Any:
    x, x_scale, x_zero, kernel, scale, zero, y_scale, y_zero = inputs
    total = LAYERS["MatMul"]([as_float(x) - as_float(x_zero), _weights("MatMul", kernel, zero)], {})
    return _requantized(total, np.float32(x_scale) * np.float32(scale) / np.float32(y_scale), y_zero)


def _gemm(inputs: Inputs, attributes: Attributes) -> Any:
    """Floats where no scale of the output is given."""
    x, x_scale, x_zero, kernel, scale, zero = inputs[:6]
    turned = {name: attributes.get(name, 0) for name in ("transA", "transB")}
    weights = as_float(kernel) - as_float(zero)[:, None] if turned["transB"] and np.ndim(zero) else None
    weights = _weights("Gemm", kernel, zero) if weights is None else weights
    bias = given(inputs, 6)
    total = LAYERS["Gemm"]([as_float(x) - as_float(x_zero), weights], turned)
    total = total if bias is None else total + np.float32(bias)
    factor = np.float32(attributes.get("alpha", 1.0)) * np.float32(x_scale) * np.float32(scale)
    y_scale = given(inputs, 7)
    if y_scale is None:
        return total * factor
    return _requantized(total, factor / np.float32(y_scale), given(inputs, 8, np.uint8(0)))


def _sum(inputs: Inputs, attributes: Attributes) -> Any:
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = inputs
    one, other = np.float32(a_scale) / np.float32(scale), np.float32(b_scale) / np.float32(scale)
    fixed = np.float32(zero) - (one * np.float32(a_zero) + other * np.float32(b_zero))
    return saturated(rounded(as_float(a) * one + (as_float(b) * other + fixed)), np.asarray(zero).dtype)


def _times(inputs: Inputs, attributes: Attributes) -> Any:
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = inputs
    factor = np.float32(a_scale) * np.float32(b_scale) / np.float32(scale)
    return _requantized((as_float(a) - as_float(a_zero)) * (as_float(b) - as_float(b_zero)), factor, zero)


def _between(operator: Callable[[Inputs, Attributes], Any]) -> Operator:
    """An operator on floats between two quantizations."""

    def apply(inputs: Inputs, attributes: Attributes) -> Any:
        x, x_scale, x_zero, y_scale, y_zero = inputs
        return _quantized(operator([_value(x, x_scale, x_zero)], attributes), y_scale, y_zero)

    return apply


def _softmax(inputs: Inputs, attributes: Attributes) -> Any:
    """Before opset 13 all axes from the one named are one."""
    rank = len(inputs[0].shape)
    axis = attributes.get("axis", -1) % rank
    if attributes.get("opset", 13) < 13 and axis != rank - 1:
        raise ValueError("a softmax over several axes has no form here")
    return _between(OPERATORS["Softmax"])(inputs, {"axis": axis})


def _average(inputs: Inputs, attributes: Attributes) -> Any:
    _check_layout(attributes)
    x, x_scale, x_zero, y_scale, y_zero = inputs
    means = LAYERS["AveragePool"]([_value(x, x_scale, x_zero)], attributes)
    # Its zero point is added before it rounds; where that ties, the order of the sum decides.
    return saturated(rounded(means / np.float32(y_scale) + as_float(y_zero)), np.asarray(y_zero).dtype)


def _average_of_all(inputs: Inputs, attributes: Attributes) -> Any:
    _check_layout(attributes)
    x, x_scale, x_zero, y_scale, y_zero = inputs
    places = list(range(2, len(x.shape)))
    total = tf.reduce_sum(as_float(x) - as_float(x_zero), places, keepdims=True)
    count = math.prod(static(x)[2:])
    return _requantized(total, np.float32(x_scale) / (np.float32(y_scale) * np.float32(count)), y_zero)


def _check_layout(attributes: Attributes) -> None:
    if attributes.get("channels_last", 0):
        raise ValueError("quantized pooling with channels last has no form here")


def _concat(inputs: Inputs, attributes: Attributes) -> Any:
    scale, zero = inputs[:2]
    parts = [_quantized(_value(*inputs[place : place + 3]), scale, zero) for place in range(2, len(inputs), 3)]
    return tf.concat(parts, attributes["axis"])


def _where(inputs: Inputs, attributes: Attributes) -> Any:
    condition, scale, zero = inputs[0], *inputs[7:]
    one, other = (_quantized(_value(*inputs[place : place + 3]), scale, zero) for place in (1, 4))
    return tf.where(condition, one, other)


def _weights(name: str, kernel: Any, zero: Any) -> Any:
    """Less their zero point, of which there may be one for each filter or column."""
    kernel, zero = (np.asarray(each, np.float32) for each in (kernel, zero))
    filters = name == "Conv" and zero.size > 1
    return kernel - (zero.reshape(-1, *[1] * (kernel.ndim - 1)) if filters else zero)


def _value(x: Any, scale: Any, zero: Any) -> tf.Tensor:
    return (as_float(x) - as_float(zero)) * np.float32(scale)


def _quantized(value: tf.Tensor, scale: Any, zero: Any) -> tf.Tensor:
    return saturated(rounded(value / np.float32(scale)) + as_float(zero), np.asarray(zero).dtype)


def _requantized(total: tf.Tensor, factor: Any, zero: Any) -> tf.Tensor:
    return saturated(rounded(total * factor) + as_float(zero), np.asarray(zero).dtype)


INTEGERS: dict[str, Operator] = {
    "ConvInteger": _product_of_integers("Conv"),
    DYNAMIC: _dynamic,
    "MatMulInteger": _product_of_integers("MatMul"),
    "QLinearConv": _convolution,
    "QLinearMatMul": _matmul,
    f"{CONTRIBUTED}.QGemm": _gemm,
    f"{CONTRIBUTED}.QLinearAdd": _sum,
    f"{CONTRIBUTED}.QLinearAveragePool": _average,
    f"{CONTRIBUTED}.QLinearConcat": _concat,
    f"{CONTRIBUTED}.QLinearGlobalAveragePool": _average_of_all,
    f"{CONTRIBUTED}.QLinearLeakyRelu": _between(OPERATORS["LeakyRelu"]),
    f"{CONTRIBUTED}.QLinearMul": _times,
    f"{CONTRIBUTED}.QLinearSigmoid": _between(OPERATORS["Sigmoid"]),
    f"{CONTRIBUTED}.QLinearSoftmax": _softmax,
    f"{CONTRIBUTED}.QLinearWhere": _where,
}

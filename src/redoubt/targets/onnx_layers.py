"""ONNX operators that are layers: products with weights, convolutions, pooling, normalization, linear classifiers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from redoubt.targets.onnx_operators import Attributes, Inputs, Operator, given, static

# Convolutions by groups are taken apart; more of them than this would make a graph too large.
GROUPS = 64


def _matmul(inputs: Inputs, attributes: Attributes) -> Any:
    return tf.matmul(*(tf.convert_to_tensor(each) for each in inputs))


def _gemm(inputs: Inputs, attributes: Attributes) -> Any:
    product = tf.matmul(
        inputs[0],
        inputs[1],
        transpose_a=bool(attributes.get("transA", 0)),
        transpose_b=bool(attributes.get("transB", 0)),
    )
    product = product * attributes.get("alpha", 1.0)
    bias = given(inputs, 2)
    return product if bias is None else product + attributes.get("beta", 1.0) * bias


def _convolution(inputs: Inputs, attributes: Attributes) -> Any:
    x, kernel, bias = inputs[0], np.asarray(inputs[1]), given(inputs, 2)
    groups, sides = attributes.get("group", 1), kernel.ndim - 2
    strides = list(attributes.get("strides", [1] * sides))
    dilations = list(attributes.get("dilations", [1] * sides))
    window = [(size - 1) * far + 1 for size, far in zip(kernel.shape[2:], dilations, strict=True)]
    x = _channels_last(x)
    x = tf.pad(x, [[0, 0], *_pads(x, attributes, window, strides), [0, 0]])
    weights = np.transpose(kernel, [*range(2, kernel.ndim), 1, 0])
    if groups > GROUPS and groups != kernel.shape[0]:
        raise ValueError(f"a convolution of {groups} groups has no form here")
    if groups == 1:
        parts = tf.nn.convolution(x, weights, strides=strides, padding="VALID", dilations=dilations)
    elif sides == 2 and kernel.shape[1] == 1 and strides[0] == strides[1]:
        # One channel in for each group: TensorFlow's depthwise convolution, its filters by channel.
        each = weights[:, :, 0].reshape(*kernel.shape[2:], groups, kernel.shape[0] // groups)
        parts = tf.nn.depthwise_conv2d(x, each, [1, *strides, 1], "VALID", dilations=dilations)
    else:
        pairs = zip(tf.split(x, groups, -1), np.split(weights, groups, -1), strict=True)
        parts = tf.concat(
            [tf.nn.convolution(a, b, strides=strides, padding="VALID", dilations=dilations) for a, b in pairs], -1
        )
    return _channels_first(parts if bias is None else parts + bias)


def _pads(
    x: Any, attributes: Attributes, window: Sequence[int], strides: Sequence[int], *, ceil: bool = False
) -> list[list[int]]:
    """Cells before and after each side of images with channels last."""
    sides = static(x)[1:-1]
    automatic = attributes.get("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        missing = [
            max(0, (math.ceil(side / step) - 1) * step + size - side)
            for side, step, size in zip(sides, strides, window, strict=True)
        ]
        less, more = [total // 2 for total in missing], [total - total // 2 for total in missing]
        return [
            list(pair)
            for pair in (zip(less, more, strict=True) if automatic == "SAME_UPPER" else zip(more, less, strict=True))
        ]
    pads = list(attributes.get("pads", [0] * 2 * len(sides)))
    before, after = pads[: len(sides)], pads[len(sides) :]
    if ceil:
        for place, (side, step, size) in enumerate(zip(sides, strides, window, strict=True)):
            length = side + before[place] + after[place] - size
            after[place] += -length % step
    return [list(pair) for pair in zip(before, after, strict=True)]


def _pooling(kind: str) -> Operator:
    def apply(inputs: Inputs, attributes: Attributes) -> Any:
        window = list(attributes["kernel_shape"])
        if set(attributes.get("dilations", [1])) != {1}:
            raise ValueError("pooling with dilations has no form here")
        x, strides = _channels_last(inputs[0]), list(attributes.get("strides", [1] * len(window)))
        pads = _pads(x, attributes, window, strides, ceil=bool(attributes.get("ceil_mode", 0)))
        around = [[0, 0], *pads, [0, 0]]
        if kind == "MAX":
            wide = tf.pad(x, around, constant_values=x.dtype.min)
            return _channels_first(tf.nn.pool(wide, window, "MAX", strides, "VALID"))
        if bool(attributes.get("ceil_mode", 0)) and bool(attributes.get("count_include_pad", 0)):
            raise ValueError("average pooling that counts padding and rounds up has no form here")
        means = tf.nn.pool(tf.pad(x, around), window, "AVG", strides, "VALID")
        if any(any(pair) for pair in pads) and not attributes.get("count_include_pad", 0):
            ones = np.pad(np.ones([1, *static(x)[1:-1], 1], np.float32), around)
            means = means / tf.nn.pool(ones, window, "AVG", strides, "VALID")
        return _channels_first(means)

    return apply


def _of_all_places(function: Callable[..., Any]) -> Operator:
    return lambda inputs, _: function(inputs[0], axis=list(range(2, len(inputs[0].shape))), keepdims=True)


def _batch_normalization(inputs: Inputs, attributes: Attributes) -> Any:
    x, scale, shift, mean, variance = inputs
    sides = [1, -1, *[1] * (len(x.shape) - 2)]
    factor = np.asarray(scale) / np.sqrt(np.asarray(variance) + attributes.get("epsilon", 1e-5))
    offset = np.asarray(shift) - np.asarray(mean) * factor
    return x * factor.reshape(sides).astype(np.float32) + offset.reshape(sides).astype(np.float32)


def _normalized(x: Any, axes: list[int], epsilon: float) -> Any:
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)
    return (x - mean) / tf.sqrt(variance + epsilon)


def _instance_normalization(inputs: Inputs, attributes: Attributes) -> Any:
    x, scale, shift = inputs
    sides = [1, -1, *[1] * (len(x.shape) - 2)]
    plain = _normalized(x, list(range(2, len(x.shape))), attributes.get("epsilon", 1e-5))
    return plain * np.asarray(scale).reshape(sides) + np.asarray(shift).reshape(sides)


def _layer_normalization(inputs: Inputs, attributes: Attributes) -> Any:
    x, rank = inputs[0], len(inputs[0].shape)
    axes = list(range(attributes.get("axis", -1) % rank, rank))
    plain = _normalized(x, axes, attributes.get("epsilon", 1e-5)) * inputs[1]
    shift = given(inputs, 2)
    return plain if shift is None else plain + shift


def _linear_classifier(inputs: Inputs, attributes: Attributes) -> Any:
    """Label and scores, as scikit-learn's linear models are exported."""
    intercepts = np.array(attributes.get("intercepts", [0.0]), np.float32)
    weights = np.array(attributes["coefficients"], np.float32).reshape(len(intercepts), -1)
    scores = tf.matmul(tf.cast(inputs[0], tf.float32), weights, transpose_b=True) + intercepts
    if len(intercepts) == 1:
        scores = tf.concat([-scores, scores], 1)
    post = attributes.get("post_transform", "NONE")
    if post not in ("NONE", "SOFTMAX", "LOGISTIC"):
        raise ValueError(f"a linear classifier with {post} has no form here")
    chosen = {"NONE": tf.identity, "SOFTMAX": tf.nn.softmax, "LOGISTIC": tf.sigmoid}[post](scores)
    return tf.argmax(scores, 1), chosen


def _linear_regressor(inputs: Inputs, attributes: Attributes) -> Any:
    weights = np.array(attributes["coefficients"], np.float32).reshape(attributes.get("targets", 1), -1)
    return tf.matmul(inputs[0], weights, transpose_b=True) + np.array(attributes.get("intercepts", [0.0]), np.float32)


def _extracted(inputs: Inputs, attributes: Attributes) -> Any:
    """Some columns, as of a `ColumnTransformer`."""
    return tf.gather(inputs[0], np.asarray(inputs[1]).reshape(-1), axis=-1)


def _scaler(inputs: Inputs, attributes: Attributes) -> Any:
    offset, scale = (np.array(attributes[name], np.float32) for name in ("offset", "scale"))
    return (tf.cast(inputs[0], tf.float32) - offset) * scale


def _normalizer(inputs: Inputs, attributes: Attributes) -> Any:
    x, norm = inputs[0], attributes.get("norm", "MAX")
    size = {
        "L1": lambda: tf.reduce_sum(tf.abs(x), 1, keepdims=True),
        "L2": lambda: tf.sqrt(tf.reduce_sum(tf.square(x), 1, keepdims=True)),
        "MAX": lambda: tf.reduce_max(x, 1, keepdims=True),
    }[norm]()
    return tf.math.divide_no_nan(x, size)


def _channels_last(x: Any) -> Any:
    return tf.transpose(x, [0, *range(2, len(x.shape)), 1])


def _channels_first(x: Any) -> Any:
    return tf.transpose(x, [0, len(x.shape) - 1, *range(1, len(x.shape) - 1)])


LAYERS: dict[str, Operator] = {
    "AveragePool": _pooling("AVG"),
    "BatchNormalization": _batch_normalization,
    "Conv": _convolution,
    "Gemm": _gemm,
    "GlobalAveragePool": _of_all_places(tf.reduce_mean),
    "GlobalMaxPool": _of_all_places(tf.reduce_max),
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "MatMul": _matmul,
    "MaxPool": _pooling("MAX"),
    "ai.onnx.ml.ArrayFeatureExtractor": _extracted,
    "ai.onnx.ml.LinearClassifier": _linear_classifier,
    "ai.onnx.ml.LinearRegressor": _linear_regressor,
    "ai.onnx.ml.Normalizer": _normalizer,
    "ai.onnx.ml.Scaler": _scaler,
}

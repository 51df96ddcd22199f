"""What each call of a Keras graph makes of boxes: by the rules of chains, and those of joins, curves and norms."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from redoubt.certify import interval
from redoubt.certify.interval import UNIT, Box, IntervalError, affine
from redoubt.models.chain import activation_of

Boxes = Sequence[Box]
Rule = Callable[[Any, Boxes], Box]
# What libraries' exponentials and hyperbolic tangents err by, beside their value and beside 1: a few roundings.
CURVED = 16.0 * UNIT
# Functions that only rise.
RISING = ("elu", "hard_sigmoid", "leaky_relu", "relu6", "selu", "sigmoid", "softplus", "softsign", "tanh")


def rule_of(operation: Any) -> Rule:
    """The rule of a layer, its activation included, or of an operator.

    Raises:
        IntervalError: it has none; names it.
    """
    kind = type(operation).__name__
    said = f"'{operation.name}' is a {kind}"
    if not type(operation).__module__.startswith("keras."):
        raise IntervalError(f"{said} that is not one of Keras, and has no sound bound")
    if not isinstance(operation, keras.Layer):
        if kind not in OPERATORS:
            raise IntervalError(f"operation {said}, which has no sound bound; {', '.join(sorted(OPERATORS))} have one")
        return OPERATORS[kind]
    quantized = getattr(operation, "quantization_mode", None)
    if operation.compute_dtype != "float32" or quantized:
        raise IntervalError(f"layer {said} in {quantized or operation.compute_dtype}, which has no sound bound")
    if getattr(operation, "data_format", "channels_last") != "channels_last":
        raise IntervalError(f"layer {said} that takes channels first; bounds are of channels last")
    if kind in interval.LAYERS:
        one = interval.rule_of(operation)
        rule: Rule = lambda layer, boxes: one(layer, boxes[0])  # noqa: E731
    elif kind in LAYERS:
        _check(operation, kind)
        rule = LAYERS[kind]
    else:
        known = ", ".join(sorted({*interval.LAYERS, *LAYERS}))
        raise IntervalError(f"layer {said}, which has no sound bound; {known} have one")
    activation = _activation(operation)
    return rule if activation is None else lambda layer, boxes: activation(rule(layer, boxes))


def _activation(layer: Any) -> Callable[[Box], Box] | None:
    name = activation_of(layer)
    if name == "linear":
        return None
    if name == "relu":
        return lambda box: box.through(tf.nn.relu)
    if name not in RISING:
        raise IntervalError(
            f"layer '{layer.name}' ({type(layer).__name__}) has activation {name}, which has no sound bound; linear,"
            f" relu, {', '.join(RISING)} have one"
        )
    return lambda box: _curved(box.through(layer.activation))


def _check(layer: Any, kind: str) -> None:
    """Refuse a layer whose settings its rule does not know."""
    fits: dict[str, Callable[[], bool]] = {
        "Conv1D": lambda: layer.padding != "causal" and layer.groups == 1,
        "ELU": lambda: bool(layer.alpha >= 0),
        "LayerNormalization": lambda: list(layer.axis) == [-1] and not layer.rms_scaling,
        "LeakyReLU": lambda: bool(layer.negative_slope >= 0),
        # Of tensors of different ranks Keras says which axes belong together.
        "Multiply": lambda: not layer._reshape_required,
        "UpSampling2D": lambda: layer.interpolation == "nearest",
    }
    if kind in fits and not fits[kind]():
        raise IntervalError(f"layer '{layer.name}' ({kind}) is set to what has no sound bound")


def _curved(box: Box) -> Box:
    return Box(box.low - CURVED * (1.0 + tf.abs(box.low)), box.high + CURVED * (1.0 + tf.abs(box.high)))


def _rounded(low: tf.Tensor, high: tf.Tensor, size: tf.Tensor, terms: Any) -> Box:
    """For so many roundings of numbers of that size."""
    slack = (terms + 2) * UNIT * size
    return Box(low - slack, high + slack)


def _size(box: Box) -> tf.Tensor:
    return tf.maximum(tf.abs(box.low), tf.abs(box.high))


def _sum(layer: Any, boxes: Boxes) -> Box:
    low, high, size = (
        layer(parts) for parts in ([b.low for b in boxes], [b.high for b in boxes], [*map(_size, boxes)])
    )
    return _rounded(low, high, size, len(boxes))


def _difference(layer: Any, boxes: Boxes) -> Box:
    one, other = boxes
    size = layer([_size(one), -_size(other)])
    return _rounded(layer([one.low, other.high]), layer([one.high, other.low]), size, 2)


def _operator(rule: Rule, how: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Rule:
    """The rule of a layer for the operator of the same name."""
    return lambda _, boxes: rule(lambda pair: how(*pair), boxes)


def _product(_: Any, boxes: Boxes) -> Box:
    found = boxes[0]
    for other in boxes[1:]:
        ends = [a * b for a in (found.low, found.high) for b in (other.low, other.high)]
        low, high = (how(how(ends[0], ends[1]), how(ends[2], ends[3])) for how in (tf.minimum, tf.maximum))
        found = _rounded(low, high, tf.maximum(tf.abs(low), tf.abs(high)), 1)
    return found


def _each_end(layer: Any, boxes: Boxes) -> Box:
    """An operation that rises with everything that it reads, and rounds nothing."""
    return Box(layer([box.low for box in boxes]), layer([box.high for box in boxes]))


def _moved(layer: Any, boxes: Boxes) -> Box:
    """A layer that moves or chooses numbers, or only rises with each, and rounds nothing."""
    return boxes[0].through(lambda x: layer(x, training=False))


def _rising(layer: Any, boxes: Boxes) -> Box:
    return _curved(_moved(layer, boxes))


def _unchanged(_: Any, boxes: Boxes) -> Box:
    return boxes[0]


def _mean(layer: Any, boxes: Boxes) -> Box:
    """An average over all places, whatever the order of its sum."""
    (box,) = boxes
    # Of a picture of open size they are known when it comes.
    terms = tf.cast(tf.reduce_prod(tf.shape(box.low)[1:-1]), tf.float32)
    return _rounded(layer(box.low), layer(box.high), layer(_size(box)), terms)


def _depthwise(layer: Any, boxes: Boxes) -> Box:
    strides, kernel = [1, *layer.strides, 1], layer.kernel

    def apply(x: tf.Tensor, absolute: bool) -> tf.Tensor:
        weights = tf.abs(kernel) if absolute else kernel
        y = tf.nn.depthwise_conv2d(x, weights, strides, layer.padding.upper(), dilations=layer.dilation_rate)
        return y + layer.bias if layer.use_bias and not absolute else y

    return affine(boxes[0], apply, int(kernel.shape[0] * kernel.shape[1]) + 1)


def _convolution_1d(layer: Any, boxes: Boxes) -> Box:
    kernel = layer.kernel

    def apply(x: tf.Tensor, absolute: bool) -> tf.Tensor:
        weights = tf.abs(kernel) if absolute else kernel
        y = tf.nn.conv1d(x, weights, layer.strides[0], layer.padding.upper(), dilations=layer.dilation_rate[0])
        return y + layer.bias if layer.use_bias and not absolute else y

    return affine(boxes[0], apply, int(kernel.shape[0] * kernel.shape[1]) + 1)


def _layer_normalization(layer: Any, boxes: Boxes) -> Box:
    """Bounds of (x - mean) / sqrt(variance + epsilon): those of the parts, and sqrt(n - 1) of n numbers at most."""
    (box,) = boxes
    n, size = int(box.low.shape[-1]), tf.reduce_max(_size(box), axis=-1, keepdims=True)
    means = [tf.reduce_mean(end, axis=-1, keepdims=True) for end in (box.low, box.high)]
    # Of x - mean each number itself counts once, with 1 - 1/n.
    low = (1 - 1 / n) * box.low - (means[1] - box.high / n)
    high = (1 - 1 / n) * box.high - (means[0] - box.low / n)
    centred = _rounded(low, high, 2 * size, n + 4)
    nearest = tf.minimum(tf.abs(centred.low), tf.abs(centred.high))
    across = tf.where((centred.low <= 0) & (centred.high >= 0), 0.0, nearest)
    # As the mean of the squares less the square of the mean, which cancels.
    error = 4 * (n + 6) * UNIT * tf.square(size)
    variance = [tf.reduce_mean(tf.square(each), axis=-1, keepdims=True) for each in (across, _size(centred))]
    least = variance[0] - error + layer.epsilon
    most = variance[1] + error + layer.epsilon
    slow, fast = tf.math.rsqrt(most), tf.where(least > 0, tf.math.rsqrt(tf.maximum(least, 1e-30)), float("inf"))
    ends = [tf.where(end > 0, end * up, end * down) for end, up, down in ((low, slow, fast), (high, fast, slow))]
    # What is computed is x / deviation less mean / deviation, each rounded.
    slack = 8 * (n + 8) * UNIT * 2 * size * fast
    found = Box(ends[0] - slack, ends[1] + slack)
    gamma, beta = (layer.gamma if layer.scale else 1.0), (layer.beta if layer.center else 0.0)
    one, other = found.low * gamma, found.high * gamma
    low, high = tf.minimum(one, other) + beta, tf.maximum(one, other) + beta
    return _rounded(low, high, tf.maximum(tf.abs(one), tf.abs(other)) + tf.abs(beta), 4)


LAYERS: dict[str, Rule] = {
    "Add": _sum,
    "Average": _sum,
    "Conv1D": _convolution_1d,
    "Concatenate": _each_end,
    "DepthwiseConv2D": _depthwise,
    "LayerNormalization": _layer_normalization,
    "Maximum": _each_end,
    "Minimum": _each_end,
    "Multiply": _product,
    "Subtract": _difference,
    **dict.fromkeys(("ELU", "LeakyReLU"), _rising),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAveragePooling2D"), _mean),
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPooling2D", "MaxPooling1D"), _moved),
    **dict.fromkeys(("Cropping2D", "Permute", "RepeatVector", "Reshape", "UpSampling2D", "ZeroPadding2D"), _moved),
    **dict.fromkeys(("ActivityRegularization", "AlphaDropout", "GaussianDropout", "GaussianNoise"), _unchanged),
    **dict.fromkeys(("Identity", "SpatialDropout1D", "SpatialDropout2D"), _unchanged),
}
OPERATORS: dict[str, Rule] = {
    "Add": _operator(_sum, tf.add),
    "Maximum": _operator(_each_end, tf.maximum),
    "Minimum": _operator(_each_end, tf.minimum),
    "Multiply": _product,
    "Subtract": _operator(_difference, tf.subtract),
}

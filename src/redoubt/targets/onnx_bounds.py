"""Interval bounds (arXiv 1810.12715) of ONNX graphs, operator by operator, wide enough for any order of the sums."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.criteria import Criterion
from redoubt.certify.interval import UNIT, Box, IntervalError
from redoubt.certify.worst_case import of_boxes
from redoubt.core.types import Batch, Bounds
from redoubt.targets.onnx_gradients import KNOWN, attributes_of, constants_of, folded, name_of, needed
from redoubt.targets.onnx_last_layer import LINEAR
from redoubt.targets.onnx_operators import Attributes, given

Value = Any
Rule = Callable[[str, Sequence[Value], Attributes], Box]


def bounds_of_graph(model: onnx.ModelProto, output: str, x: str) -> Callable[[Box], Box]:
    """A function from boxes of inputs to boxes that hold every value of a tensor.

    Args:
        model: the graph.
        output: the tensor.
        x: name of the one input.

    Raises:
        IntervalError: an operator without a sound bound, or another precision than single.
    """
    nodes = needed(model.graph, output)
    for node in nodes:
        if name_of(node) not in RULES and name_of(node) not in CONSTANT:
            raise IntervalError(f"operator {name_of(node)} has no sound bound here")
    wide = [each.name for each in model.graph.initializer if each.data_type in _OTHER]
    if wide:
        raise IntervalError(f"'{wide[0]}' is not in single precision")
    constants = constants_of(model)

    def run(box: Box) -> Box:
        values: dict[str, Value] = {**constants, x: box, "": None}
        for node in nodes:
            inputs = [values[name] for name in node.input]
            if name_of(node) == "Shape" and isinstance(inputs[0], Box):
                # The sides of a tensor do not depend on what it holds.
                values[node.output[0]] = KNOWN["Shape"]([inputs[0].low], attributes_of(node))
            elif any(isinstance(each, Box) for each in inputs):
                name = name_of(node)
                if name not in RULES:
                    raise IntervalError(f"operator {name} has no sound bound here")
                values[node.output[-1 if name == LINEAR else 0]] = RULES[name](name, inputs, attributes_of(node))
            else:
                values.update(zip(node.output, folded(node, inputs), strict=False))
        found = values[output]
        if not isinstance(found, Box):
            raise IntervalError("the output does not depend on the input")
        return found

    return run


def certifier_of_graph(
    graph: Callable[[Box], Box],
    turned: Callable[[tf.Tensor], tf.Tensor],
    bounds: Bounds,
    criterion: Criterion,
    leads: Callable[[Box, tf.Tensor], tf.Tensor] | None = None,
) -> Callable[[Batch, float], NDArray[np.bool_]]:
    """A function that tells which examples no point of the L-inf ball is adversarial for; see `worst_case.certifier`.

    Args:
        graph: of `bounds_of_graph`, to scores.
        turned: brings examples into the form that the graph takes.
        bounds: of the examples.
        criterion: tells classes from numbers.
        leads: bounds of every logit's lead over that of the true class, by the box of inputs, where the last layer
            allows it; see `onnx_last_layer`.
    """

    def worst(box: Box, y: tf.Tensor) -> tf.Tensor:
        if leads is not None and criterion.is_classification:
            return leads(box.through(turned), y)
        outputs = graph(box.through(turned))
        if not criterion.is_classification:
            truth = tf.cast(y, tf.float32)[:, None]
            return tf.where(outputs.high - truth > truth - outputs.low, outputs.high, outputs.low)
        apart = outputs.high - tf.gather(outputs.low, y, axis=1, batch_dims=1)[:, None]
        return tf.where(tf.one_hot(y, apart.shape[1], on_value=True, off_value=False), 0.0, apart)

    return of_boxes(worst, bounds, criterion)


def _widened(box: Box, error: float) -> Box:
    """For so much relative error, and for what a sum that was ordered otherwise rounds."""
    return Box(box.low - error * tf.abs(box.low), box.high + error * tf.abs(box.high))


def _affine(box: Box, product: Callable[[tf.Tensor, bool], tf.Tensor], bias: Any, terms: int) -> Box:
    """Bounds on a sum of `terms` products and a bias.

    Args:
        box: of the inputs.
        product: the map on a tensor; with True that of absolute weights.
        bias: what is added, 0 for nothing.
        terms: per output.
    """
    error = (terms + 3) * UNIT
    centre = product(box.centre, False) + bias
    radius = product(box.radius + error * tf.abs(box.centre), True) * (1.0 + 2.0 * error)
    radius = radius + error * np.abs(bias) + 2.0 * UNIT * tf.abs(centre)
    return Box(centre - radius, centre + radius)


def _constant(value: Value, name: str) -> NDArray[np.float32]:
    if isinstance(value, Box):
        raise IntervalError(f"operator {name} of two tensors that both depend on the input has no sound bound here")
    return np.asarray(value)


def _weights(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    """A convolution, or a product with a constant matrix."""
    kernel, bias = _constant(inputs[1], name), given(inputs, 2)
    terms = int(np.prod(kernel.shape[1:])) if name == "Conv" else int(np.max(kernel.shape))
    if name == "MatMul" and kernel.ndim > 2:
        raise IntervalError("operator MatMul with a stack of matrices has no sound bound here")
    added: Any = 0.0
    if bias is not None:
        added = _constant(bias, name) * np.float32(attributes.get("beta", 1.0))
        added = added.reshape(-1, *[1] * (kernel.ndim - 2)) if name == "Conv" else added

    def product(x: tf.Tensor, absolute: bool) -> tf.Tensor:
        changed = (
            {**attributes, "alpha": abs(attributes["alpha"])} if absolute and "alpha" in attributes else attributes
        )
        return KNOWN[name]([x, np.abs(kernel) if absolute else kernel], changed)

    return _affine(_box(inputs[0], name), product, added, terms)


def _linear_classifier(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    if attributes.get("post_transform", "NONE") not in ("NONE", b"NONE"):
        raise IntervalError("a linear classifier's probabilities have no sound bound here")
    intercepts = np.array(attributes.get("intercepts", [0.0]), np.float32)
    weights = np.array(attributes["coefficients"], np.float32).reshape(len(intercepts), -1)
    if len(intercepts) == 1:
        weights, intercepts = np.concatenate([-weights, weights]), np.concatenate([-intercepts, intercepts])
    return _affine(
        _box(inputs[0], name),
        lambda x, absolute: tf.matmul(x, np.abs(weights) if absolute else weights, transpose_b=True),
        intercepts,
        weights.shape[1],
    )


def _normalization(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    box = _box(inputs[0], name)
    scale, shift, mean, variance = (_constant(each, name).astype(np.float64) for each in inputs[1:])
    sides = [1, -1, *[1] * (len(box.low.shape) - 2)]
    factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    offset = (shift - mean * factor).reshape(sides).astype(np.float32)
    # Whoever folds it into a convolution, or subtracts first, rounds parts that cancel.
    spread = (8.0 * UNIT * (np.abs(shift) + np.abs(mean * factor))).reshape(sides).astype(np.float32)
    factor = factor.reshape(sides).astype(np.float32)
    found = _affine(box, lambda x, absolute: x * (np.abs(factor) if absolute else factor), offset, 4)
    return Box(found.low - spread, found.high + spread)


def _sum(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    """Two tensors, or a tensor and a constant, added or subtracted."""
    one, other = (each if isinstance(each, Box) else Box(*[tf.constant(np.asarray(each))] * 2) for each in inputs)
    low, high = (other.high, other.low) if name == "Sub" else (other.low, other.high)
    sign = -1.0 if name == "Sub" else 1.0
    size = UNIT * 4.0 * (_size(one) + _size(other))
    return Box(one.low + sign * low - size, one.high + sign * high + size)


def _size(box: Box) -> tf.Tensor:
    return tf.maximum(tf.abs(box.low), tf.abs(box.high))


def _scaled(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    """Times a constant, or divided by one."""
    box, constant = (inputs[0], inputs[1]) if isinstance(inputs[0], Box) else (inputs[1], inputs[0])
    if name == "Div" and not isinstance(inputs[0], Box):
        raise IntervalError("a division by what depends on the input has no sound bound here")
    factor = _constant(constant, name).astype(np.float64)
    factor = (1 / factor if name == "Div" else factor).astype(np.float32)
    return _affine(box, lambda x, absolute: x * (np.abs(factor) if absolute else factor), 0.0, 2)


def _mean(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    """An average over places, whatever the order of its sum."""
    box = _box(inputs[0], name)
    terms = int(np.prod([side or 1 for side in box.low.shape[1:]]))
    return _affine(box, lambda x, _: KNOWN[name]([x, *inputs[1:]], attributes), 0.0, terms)


def _scaler(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    return _widened(_monotone(name, inputs, attributes), 4 * UNIT)


def _leaky(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    if not attributes.get("alpha", 0.01) >= 0:
        raise IntervalError("a LeakyRelu that falls has no sound bound here")
    return _widened(_monotone(name, inputs, attributes), 2 * UNIT)


def _monotone(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    """An operator that rises, or falls, with every input that it looks at, without rounding; or moves numbers."""
    for each in inputs[1:]:
        _constant(each, name)
    return _box(inputs[0], name).through(lambda x: KNOWN[name]([x, *inputs[1:]], attributes))


def _joined(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    ends = [[getattr(each, end) if isinstance(each, Box) else each for each in inputs] for end in ("low", "high")]
    return Box(*(KNOWN[name](each, attributes) for each in ends))


def _box(value: Value, name: str) -> Box:
    if not isinstance(value, Box):
        raise IntervalError(f"operator {name} of a constant and a tensor has no sound bound here")
    return value


def _cast(name: str, inputs: Sequence[Value], attributes: Attributes) -> Box:
    if attributes["to"] != onnx.TensorProto.FLOAT:
        raise IntervalError("a change of precision has no sound bound here")
    return _box(inputs[0], name)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Conv", "Gemm", "MatMul"), _weights),
    **dict.fromkeys(("Add", "Sub"), _sum),
    **dict.fromkeys(("Mul", "Div"), _scaled),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), _mean),
    **dict.fromkeys(("Max", "Min", "Concat"), _joined),
    **dict.fromkeys(("Relu", "Clip", "Identity", "Dropout", "MaxPool", "GlobalMaxPool", "ReduceMax"), _monotone),
    **dict.fromkeys(("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Pad", "Neg"), _monotone),
    "ai.onnx.ml.ArrayFeatureExtractor": _monotone,
    "BatchNormalization": _normalization,
    "Cast": _cast,
    "LeakyRelu": _leaky,
    "ai.onnx.ml.Scaler": _scaler,
    LINEAR: _linear_classifier,
}
# Of constants alone, computed before.
CONSTANT = ("Constant", "ConstantOfShape", "Gather", "Shape", "Range")
_OTHER = (onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)

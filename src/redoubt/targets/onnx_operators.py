"""ONNX operators that compute or move numbers, each as TensorFlow code: `(inputs, attributes) -> value`."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from onnx import helper

Inputs = Sequence[Any]
Attributes = Mapping[str, Any]
Operator = Callable[[Inputs, Attributes], Any]


def given(inputs: Inputs, place: int, default: Any = None) -> Any:
    """An optional input."""
    return inputs[place] if len(inputs) > place and inputs[place] is not None else default


def numbers(value: Any) -> list[int]:
    """A tensor of whole numbers that the graph holds as a constant.

    Raises:
        ValueError: it depends on the inputs.
    """
    if isinstance(value, tf.Tensor):
        raise ValueError("a shape, axis or index depends on the inputs")
    return [int(each) for each in np.asarray(value).reshape(-1)]


def static(x: Any) -> list[int]:
    """The sides of a tensor, the first one -1 where any number of examples will do.

    Raises:
        ValueError: another side is open.
    """
    sides = [-1 if side is None else int(side) for side in x.shape]
    if -1 in sides[1:]:
        raise ValueError("a side of a tensor is open")
    return sides


def _two(function: Callable[[Any, Any], Any]) -> Operator:
    return lambda inputs, _: function(*_alike(inputs))


def _alike(inputs: Inputs) -> list[Any]:
    """The same type for both: numpy's constants may be of another one than TensorFlow makes of them."""
    kind = next((each.dtype for each in inputs if isinstance(each, tf.Tensor)), None)
    return [tf.cast(each, kind) if kind is not None else tf.convert_to_tensor(each) for each in inputs]


def _one(function: Callable[[Any], Any]) -> Operator:
    return lambda inputs, _: function(tf.convert_to_tensor(inputs[0]))


def _many(function: Callable[[Any, Any], Any]) -> Operator:
    def apply(inputs: Inputs, attributes: Attributes) -> Any:
        first, *rest = _alike(inputs)
        for each in rest:
            first = function(first, each)
        return first

    return apply


def _mean(inputs: Inputs, attributes: Attributes) -> Any:
    return tf.add_n(_alike(inputs)) / len(inputs)


def _division(inputs: Inputs, attributes: Attributes) -> Any:
    one, other = _alike(inputs)
    return tf.math.floordiv(one, other) if one.dtype.is_integer else one / other


def _clip(inputs: Inputs, attributes: Attributes) -> Any:
    x = tf.convert_to_tensor(inputs[0])
    low, high = given(inputs, 1, attributes.get("min")), given(inputs, 2, attributes.get("max"))
    x = x if low is None else tf.maximum(x, tf.cast(np.asarray(low).reshape(()), x.dtype))
    return x if high is None else tf.minimum(x, tf.cast(np.asarray(high).reshape(()), x.dtype))


def _softmax(function: Callable[..., Any]) -> Operator:
    def apply(inputs: Inputs, attributes: Attributes) -> Any:
        return function(inputs[0], axis=attributes.get("axis", -1))

    return apply


def _gelu(inputs: Inputs, attributes: Attributes) -> Any:
    return tf.nn.gelu(inputs[0], approximate=attributes.get("approximate", "none") == "tanh")


def _prelu(inputs: Inputs, attributes: Attributes) -> Any:
    x, slope = inputs
    return tf.maximum(x, 0.0) + slope * tf.minimum(x, 0.0)


def _hard_sigmoid(inputs: Inputs, attributes: Attributes) -> Any:
    return tf.clip_by_value(attributes.get("alpha", 0.2) * inputs[0] + attributes.get("beta", 0.5), 0.0, 1.0)


def _elu(inputs: Inputs, attributes: Attributes) -> Any:
    x, alpha = inputs[0], attributes.get("alpha", 1.0)
    return tf.where(x > 0, x, alpha * (tf.exp(tf.minimum(x, 0.0)) - 1.0))


def _reduce(function: Callable[..., Any]) -> Operator:
    def apply(inputs: Inputs, attributes: Attributes) -> Any:
        axes = given(inputs, 1, attributes.get("axes"))
        if axes is None and attributes.get("noop_with_empty_axes", 0):
            return inputs[0]
        return function(
            inputs[0], axis=None if axes is None else numbers(axes), keepdims=bool(attributes.get("keepdims", 1))
        )

    return apply


def _l2(x: Any, axis: Any, keepdims: bool) -> Any:
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis=axis, keepdims=keepdims))


def _reshape(inputs: Inputs, attributes: Attributes) -> Any:
    x, target = inputs[0], numbers(inputs[1])
    sides = [None if side is None else int(side) for side in x.shape]
    zero = attributes.get("allowzero", 0)
    target = [(sides[place] or -1) if side == 0 and not zero else side for place, side in enumerate(target)]
    if sides[0] is None and target[0] > 0:
        # Exported for so many examples, one mostly: for any number of them here.
        target[0] = -1
    if target.count(-1) > 1:
        # The first stands for any number of examples, see `_shape`: what the other one is follows from the rest.
        rest = math.prod(side for side in target[1:] if side > 0)
        whole = math.prod(static(x)[1:])
        target = [-1, *(whole // rest if side == -1 else side for side in target[1:])]
    return tf.reshape(x, target)


def _flatten(inputs: Inputs, attributes: Attributes) -> Any:
    axis = attributes.get("axis", 1) % (len(inputs[0].shape) + 1)
    if axis == 0:
        return tf.reshape(inputs[0], [1, -1])
    sides = static(inputs[0])
    return tf.reshape(inputs[0], [-1, math.prod(sides[axis:])])


def _transpose(inputs: Inputs, attributes: Attributes) -> Any:
    return tf.transpose(inputs[0], attributes.get("perm"))


def _squeeze(inputs: Inputs, attributes: Attributes) -> Any:
    axes = given(inputs, 1, attributes.get("axes"))
    return tf.squeeze(inputs[0], None if axes is None else numbers(axes))


def _unsqueeze(inputs: Inputs, attributes: Attributes) -> Any:
    x, axes = tf.convert_to_tensor(inputs[0]), numbers(given(inputs, 1, attributes.get("axes")))
    rank = len(x.shape) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = tf.expand_dims(x, axis)
    return x


def _concat(inputs: Inputs, attributes: Attributes) -> Any:
    return tf.concat(_alike(inputs), attributes["axis"])


def _split(inputs: Inputs, attributes: Attributes) -> Any:
    axis, parts = attributes.get("axis", 0), given(inputs, 1, attributes.get("split"))
    return tf.split(inputs[0], attributes["num_outputs"] if parts is None else numbers(parts), axis)


def _slice(inputs: Inputs, attributes: Attributes) -> Any:
    x = tf.convert_to_tensor(inputs[0])
    starts = numbers(given(inputs, 1, attributes.get("starts")))
    ends = numbers(given(inputs, 2, attributes.get("ends")))
    axes = numbers(given(inputs, 3, attributes.get("axes", range(len(starts)))))
    steps = numbers(given(inputs, 4, [1] * len(starts)))
    where = [slice(None)] * len(x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        last: int | None = None if abs(end) >= 2**31 - 1 else end
        where[axis] = slice(start, last, step)
    return x[tuple(where)]


def _gather(inputs: Inputs, attributes: Attributes) -> Any:
    x, axis = inputs[0], attributes.get("axis", 0)
    index = np.asarray(inputs[1])
    side = x.shape[axis]
    return tf.gather(x, np.where(index < 0, index + side, index) if side is not None else index, axis=axis)


def _pad(inputs: Inputs, attributes: Attributes) -> Any:
    pads, rank = numbers(given(inputs, 1, attributes.get("pads"))), len(inputs[0].shape)
    axes = [axis % rank for axis in numbers(given(inputs, 3, range(rank)))]
    sides = [[0, 0] for _ in range(rank)]
    for place, axis in enumerate(axes):
        sides[axis] = [pads[place], pads[place + len(axes)]]
    mode = attributes.get("mode", "constant")
    if mode == "constant":
        return tf.pad(inputs[0], sides, constant_values=float(np.asarray(given(inputs, 2, 0.0)).reshape(())))
    if mode != "reflect":
        raise ValueError(f"padding by '{mode}' has no form here")
    return tf.pad(inputs[0], sides, "REFLECT")


def _shape(inputs: Inputs, attributes: Attributes) -> Any:
    sides = np.array(static(inputs[0]), np.int64)
    return sides[attributes.get("start", 0) : attributes.get("end", len(sides))]


def _cast(inputs: Inputs, attributes: Attributes) -> Any:
    kind = np.dtype(helper.tensor_dtype_to_np_dtype(attributes["to"]))
    return tf.cast(inputs[0], tf.as_dtype(kind))


def _expand(inputs: Inputs, attributes: Attributes) -> Any:
    target = numbers(inputs[1])
    if -1 in target:
        target[target.index(-1)] = 1
    return inputs[0] * tf.ones(target, inputs[0].dtype)


def _constant(inputs: Inputs, attributes: Attributes) -> Any:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in attributes:
            kind = {"value_float": np.float32, "value_floats": np.float32}.get(name)
            return np.asarray(attributes[name], kind)
    raise ValueError("a constant of another kind than numbers")


def _constant_of_shape(inputs: Inputs, attributes: Attributes) -> Any:
    value = np.asarray(attributes.get("value", np.zeros(1, np.float32)))
    return np.full(numbers(inputs[0]), value.reshape(-1)[0], value.dtype)


def _where(inputs: Inputs, attributes: Attributes) -> Any:
    one, other = _alike(inputs[1:])
    return tf.where(inputs[0], one, other)


OPERATORS: dict[str, Operator] = {
    "Abs": _one(tf.abs),
    "Add": _two(tf.add),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Div": _division,
    "Dropout": lambda inputs, _: inputs[0],
    "Elu": _elu,
    "Equal": _two(tf.equal),
    "Erf": _one(tf.math.erf),
    "Exp": _one(tf.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _gelu,
    "Greater": _two(tf.greater),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda inputs, _: inputs[0] * tf.clip_by_value(inputs[0] / 6.0 + 0.5, 0.0, 1.0),
    "Identity": lambda inputs, _: inputs[0],
    "LeakyRelu": lambda inputs, attributes: tf.nn.leaky_relu(inputs[0], attributes.get("alpha", 0.01)),
    "Less": _two(tf.less),
    "Log": _one(tf.math.log),
    "LogSoftmax": _softmax(tf.nn.log_softmax),
    "Max": _many(tf.maximum),
    "Mean": _mean,
    "Min": _many(tf.minimum),
    "Mul": _two(tf.multiply),
    "Neg": _one(tf.negative),
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _two(tf.pow),
    "Reciprocal": _one(tf.math.reciprocal),
    "ReduceL2": _reduce(_l2),
    "ReduceMax": _reduce(tf.reduce_max),
    "ReduceMean": _reduce(tf.reduce_mean),
    "ReduceMin": _reduce(tf.reduce_min),
    "ReduceSum": _reduce(tf.reduce_sum),
    "Relu": _one(tf.nn.relu),
    "Reshape": _reshape,
    "Selu": _one(tf.nn.selu),
    "Shape": _shape,
    "Sigmoid": _one(tf.sigmoid),
    "Slice": _slice,
    "Softmax": _softmax(tf.nn.softmax),
    "Softplus": _one(tf.math.softplus),
    "Split": _split,
    "Sqrt": _one(tf.sqrt),
    "Squeeze": _squeeze,
    "Sub": _two(tf.subtract),
    "Sum": _many(tf.add),
    "Tanh": _one(tf.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}

"""An ONNX graph as differentiable TensorFlow code, operator by operator; what it says is checked elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper

from redoubt.errors import RedoubtError
from redoubt.targets.onnx_layers import LAYERS
from redoubt.targets.onnx_operators import OPERATORS

# Operators that have a TensorFlow form here.
KNOWN = {**OPERATORS, **LAYERS}


class TranslationError(RedoubtError):
    """An ONNX graph that has no TensorFlow form here; the message names the operator."""


def translate(model: onnx.ModelProto, output: str, given: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function with the graph's own values and TensorFlow's gradients.

    Args:
        model: the graph; its tensors are loaded.
        output: name of the tensor that is wanted.
        given: name of the one input.

    Returns:
        A function of inputs `(examples, ...)`.

    Raises:
        TranslationError: an operator without a TensorFlow form here.
    """
    nodes = _needed(model.graph, output)
    unknown = sorted({_name(node) for node in nodes if _name(node) not in KNOWN})
    if unknown:
        raise TranslationError(f"operator {', '.join(unknown)} has no gradient here")
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}

    def run(x: tf.Tensor) -> tf.Tensor:
        values: dict[str, Any] = {**constants, given: x, "": None}
        for node in nodes:
            results = _apply(node, [values[name] for name in node.input])
            values.update(zip(node.output, results, strict=False))
        return values[output]

    return run


def _needed(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes on which a tensor depends, in order."""
    wanted, found = {output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            found.append(node)
            wanted |= set(node.input)
    return found[::-1]


def _name(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _apply(node: onnx.NodeProto, inputs: list[Any]) -> tuple[Any, ...]:
    attributes: Mapping[str, Any] = {each.name: _value(each) for each in node.attribute}
    if any(isinstance(value, tf.Tensor) for value in inputs):
        return _tuple(KNOWN[_name(node)](inputs, attributes))
    # Constants alone: computed once, outside of any graph, so that shapes stay numbers.
    with tf.init_scope():
        return tuple(np.asarray(each) for each in _tuple(KNOWN[_name(node)](inputs, attributes)))


def _value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value.decode() if isinstance(value, bytes) else value


def _tuple(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)

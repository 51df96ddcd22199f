"""An ONNX graph as differentiable TensorFlow code, operator by operator; what it says is checked elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper

from redoubt.core.errors import RedoubtError
from redoubt.targets.onnx_integers import INTEGERS
from redoubt.targets.onnx_layers import LAYERS
from redoubt.targets.onnx_operators import OPERATORS
from redoubt.targets.onnx_rounding import ROUNDING

# Operators that have a TensorFlow form here.
KNOWN = {**OPERATORS, **LAYERS, **ROUNDING, **INTEGERS}


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
    nodes = needed(model.graph, output)
    unknown = sorted({name_of(node) for node in nodes if name_of(node) not in KNOWN})
    if unknown:
        more = len(unknown) > 1
        raise TranslationError(
            f"operator{'s' * more} {', '.join(unknown)} {'have' if more else 'has'} no gradient here"
        )
    constants = constants_of(model)

    def run(x: tf.Tensor) -> tf.Tensor:
        values: dict[str, Any] = {**constants, given: x, "": None}
        for node in nodes:
            results = _apply(node, [values[name] for name in node.input])
            values.update(zip(node.output, results, strict=False))
        return values[output]

    return run


def rounds(model: onnx.ModelProto, output: str) -> bool:
    """Whether something on the way to an output rounds what the inputs make of it."""
    return any(name_of(node) in ROUNDING or name_of(node) in INTEGERS for node in needed(model.graph, output))


def constants_of(model: onnx.ModelProto) -> dict[str, Any]:
    """The tensors that a graph holds, by name."""
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def needed(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes on which a tensor depends, in order."""
    wanted, found = {output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            found.append(node)
            wanted |= set(node.input)
    return found[::-1]


def name_of(node: onnx.NodeProto) -> str:
    """An operator's name, with its domain where that is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _apply(node: onnx.NodeProto, inputs: list[Any]) -> tuple[Any, ...]:
    if any(isinstance(value, tf.Tensor) for value in inputs):
        return _tuple(KNOWN[name_of(node)](inputs, attributes_of(node)))
    return folded(node, inputs)


def folded(node: onnx.NodeProto, inputs: list[Any]) -> tuple[Any, ...]:
    """What an operator makes of constants alone: computed once, outside of any graph, so that shapes stay numbers."""
    with tf.init_scope():
        return tuple(np.asarray(each) for each in _tuple(KNOWN[name_of(node)](inputs, attributes_of(node))))


def attributes_of(node: onnx.NodeProto) -> Mapping[str, Any]:
    """An operator's attributes as Python has them."""
    return {each.name: _value(each) for each in node.attribute}


def _value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value.decode() if isinstance(value, bytes) else value


def _tuple(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)

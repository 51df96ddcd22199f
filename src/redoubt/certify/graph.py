"""Interval bounds of any graph of Keras layers: joined, shared and nested ones too, each call by its own rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redoubt.certify.graph_rules import rule_of
from redoubt.certify.interval import Box, IntervalError

# What `keras.Model(inputs, outputs)` makes; a subclass may compute anything else.
_FUNCTIONAL = type(keras.Model(*[keras.Input((1,))] * 2))
# Models inside models inside models.
DEEPEST = 20


@dataclass(frozen=True, eq=False)
class Call:
    """One operation, called once.

    Attributes:
        operation: a layer, an operator or a whole network.
        reads: per argument the tensor that it reads, or a number.
        writes: the tensor that it makes.
    """

    operation: Any
    reads: tuple[Any, ...]
    writes: Any


def has_bounds(network: keras.Model) -> bool:
    """Whether every call of a network has a sound bound."""
    try:
        check_bounds(network)
    except IntervalError:
        return False
    return True


def check_bounds(network: keras.Model) -> None:
    """Refuse a network before work is spent on it.

    Raises:
        IntervalError: names the call that has no sound bound.
    """
    for call in calls_of(network):
        if isinstance(call.operation, keras.Model):
            check_bounds(call.operation)
        else:
            rule_of(call.operation)


def bounds_through(network: keras.Model, box: Box) -> Box:
    """Bounds on a network's outputs, sound in float32 too; infinite where nothing is known.

    Args:
        network: Sequential or functional, at inference.
        box: of inputs.

    Raises:
        IntervalError: names a call without a sound bound.
    """
    walk = _Walk(box)
    return walk.known(walk.through(network, calls_of(network), box)[id(network.outputs[0])])


def bounds_before(network: keras.Model, box: Box) -> tuple[Any, Box] | None:
    """A last Dense layer without activation and the bounds of what it reads; None of a network that ends otherwise."""
    *calls, last = calls_of(network)
    layer = last.operation
    if not isinstance(layer, keras.layers.Dense) or layer.activation is not keras.activations.linear:
        return None
    rule_of(layer)
    walk = _Walk(box)
    found = walk.through(network, calls, box)[id(last.reads[0])]
    return (layer, walk.known(found)) if len(found.low.shape) == 2 else None


def calls_of(network: keras.Model) -> list[Call]:
    """What a network computes, each call behind those that it reads.

    Raises:
        IntervalError: a network of its own code, of several inputs or outputs, an argument that is no tensor.
    """
    if type(network) not in (keras.Sequential, _FUNCTIONAL) or not getattr(network, "outputs", None):
        raise IntervalError(f"network '{network.name}' is a {type(network).__name__} of its own code, or was not built")
    if len(network.inputs) != 1 or len(network.outputs) != 1 or network.inputs[0].dtype != "float32":
        raise IntervalError(f"network '{network.name}' has no sound bound: expected one float32 input and one output")
    made, found = {id(network.inputs[0])}, list[Call]()
    open_tensors: list[Any] = [network.outputs[0]]
    while open_tensors:
        tensor = open_tensors[-1]
        if id(tensor) in made:
            open_tensors.pop()
            continue
        call = _call(tensor)
        missing = [each for each in call.reads if isinstance(each, keras.KerasTensor) and id(each) not in made]
        if missing:
            open_tensors += missing
            continue
        found.append(call)
        made.add(id(tensor))
    if not found:
        raise IntervalError(f"network '{network.name}' has no layers: its output is its input")
    return found


def _call(tensor: Any) -> Call:
    operation, index, place = tensor._keras_history
    if isinstance(operation, keras.layers.InputLayer):
        raise IntervalError(f"'{operation.name}' is another input, which has no sound bound")
    node = operation._inbound_nodes[index]
    if place or len(node.output_tensors) != 1:
        raise IntervalError(f"{_said(operation)} has several outputs, which have no sound bound")
    return Call(operation, tuple(_reads(operation, node)), tensor)


def _reads(operation: Any, node: Any) -> Iterator[Any]:
    """The tensors and numbers that a call computes with; what Keras fills in at inference is none."""
    is_layer = isinstance(operation, keras.Layer)
    for value in keras.tree.flatten(list(node.arguments.args)):
        if not isinstance(value, keras.KerasTensor) and (is_layer or not isinstance(value, (int, float))):
            raise IntervalError(f"{_said(operation)} is called with other arguments too, and has no sound bound")
        yield value
    for name, value in node.arguments.kwargs.items():
        flat = keras.tree.flatten(value)
        if not all(each is None for each in flat) and (name, value) != ("training", False):
            raise IntervalError(f"{_said(operation)} is called with '{name}', and has no sound bound")


class _Walk:
    """Bounds of one call after the other.

    A bound that overflows is remembered by its example: what computes with it may make a number of it again, since the
    larger of nothing and 0 is 0 to some.
    """

    def __init__(self, box: Box) -> None:
        self._unknown = tf.zeros(tf.shape(box.low)[:1], tf.bool)

    def through(self, network: keras.Model, calls: Sequence[Call], box: Box, depth: int = 0) -> dict[int, Box]:
        """The bounds of every tensor, by its id."""
        if depth > DEEPEST:
            raise IntervalError(f"network '{network.name}' is nested more than {DEEPEST} deep")
        boxes = {id(network.inputs[0]): box}
        for call in calls:
            given = [boxes[id(each)] if isinstance(each, keras.KerasTensor) else _number(each) for each in call.reads]
            inner = call.operation
            if isinstance(inner, keras.Model):
                found = self.through(inner, calls_of(inner), given[0], depth + 1)[id(inner.outputs[0])]
            else:
                found = rule_of(inner)(inner, given)
                self._look_at(found)
            boxes[id(call.writes)] = found
        return boxes

    def known(self, box: Box) -> Box:
        """Bounds of what was computed, infinite of an example that a bound has overflowed for."""
        unknown = tf.reshape(self._unknown, [-1] + [1] * (len(box.low.shape) - 1))
        return Box(tf.where(unknown, -np.inf, box.low), tf.where(unknown, np.inf, box.high))

    def _look_at(self, box: Box) -> None:
        finite = tf.math.is_finite(box.low) & tf.math.is_finite(box.high)
        self._unknown |= ~tf.reduce_all(finite, axis=list(range(1, len(box.low.shape))))


def _number(value: float) -> Box:
    constant = tf.constant(value, tf.float32)
    return Box(constant, constant)


def _said(operation: Any) -> str:
    sort = "layer" if isinstance(operation, keras.Layer) else "operation"
    return f"{sort} '{operation.name}' ({type(operation).__name__})"

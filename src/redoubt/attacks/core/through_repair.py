"""The gradient through the repair of equalities: a column that follows from others changes whenever they do.

Of `installment == loan / term` a repair sets the installment, whatever a step had done to it. So what the model's
answer gains by the installment is gained by changing loan and term, at the rate that the chain rule says.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from redoubt.bundle.relations.expression import columns
from redoubt.bundle.relations.relation import Relation
from redoubt.core.types import Bounds

# What float32 may keep two sides of an equality apart that hold, as a share.
NEAR = 1e-4
BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}
CALLED: Mapping[str, Callable[..., Any]] = {"abs": tf.abs, "min": tf.minimum, "max": tf.maximum, "sqrt": tf.sqrt}


def through_repair(x: tf.Tensor, gradient: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """A gradient that leaves out what a repair sets, and counts its changes where they come from, as graph code.

    Args:
        x: points that keep the relations, `(rows, inputs)`.
        gradient: of a loss there, likewise.
        bounds: without relations the gradient comes back as it is.
    """
    if bounds.relations is None:
        return gradient
    places = bounds.relations.places
    following = [_rate(x, each, places) for each in bounds.relations.each if _follows(each, bounds, places)]
    # So often, since what a column follows from may follow from others.
    for _ in following:
        for own, rate in following:
            gradient = gradient - gradient * own + tf.reduce_sum(gradient * own, axis=1, keepdims=True) * rate
    return gradient


def _follows(relation: Relation, bounds: Bounds, places: Mapping[str, int]) -> bool:
    """Whether a repair sets the column that is a side by itself: one that cannot change sets the others instead."""
    if not relation.equal or not relation.alone:
        return False
    goal = relation.solved(relation.alone[0])
    return goal is not None and bool(columns(goal)) and bool(bounds.scale[places[relation.alone[0]]] > 0)


def _rate(x: tf.Tensor, relation: Relation, places: Mapping[str, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """The column that a relation sets, one-hot, and how it changes with each input, `(rows, inputs)` both.

    Of a row that does not keep the relation, and owes it nothing, both are 0.
    """
    place, goal = places[relation.alone[0]], relation.solved(relation.alone[0])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        value = _value(goal, lambda name: x[:, places[name]])  # type: ignore[arg-type]
    rate, held = tape.gradient(value, x), x[:, place]
    kept = (tf.abs(value - held) <= NEAR * tf.abs(held))[:, None] & tf.math.is_finite(rate)
    own = tf.reduce_all(kept, axis=1, keepdims=True) & tf.cast(tf.one_hot(place, x.shape[1]), tf.bool)
    return tf.cast(own, tf.float32), tf.where(tf.reduce_any(own, axis=1, keepdims=True), rate, 0.0)


def _value(node: ast.expr, column: Callable[[str], tf.Tensor]) -> Any:
    """An expression that `bundle.relations` has read, of tensors."""
    if isinstance(node, ast.Name):
        return column(node.id)
    if isinstance(node, ast.BinOp):
        return BINARY[type(node.op)](_value(node.left, column), _value(node.right, column))
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, column)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return CALLED[node.func.id](*(_value(part, column) for part in node.args))
    return float(ast.literal_eval(node))

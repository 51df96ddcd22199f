"""Norms, projections, ascent directions and random starts; distances are in units of `Bounds.scale`."""

from typing import Any

import numpy as np
import tensorflow as tf

from redoubt.attacks.core.distances import distance, must_stay_integer, round_integers
from redoubt.attacks.core.repair import keep_relations
from redoubt.core.types import Bounds, Floats, Measure

__all__ = [
    "as_records",
    "as_records_in_graph",
    "distance",
    "inside",
    "must_stay_integer",
    "project",
    "random_start",
    "round_integers",
    "steepest_step",
    "vertex",
]

TINY = 1e-12


def random_start(rng: np.random.Generator, shape: tuple[int, ...], norm: Measure) -> Floats:
    """Points uniform in the unit ball of the norm, `shape` = `(examples, ...)`."""
    if norm == "linf":
        return rng.uniform(-1.0, 1.0, shape).astype(np.float32)
    flat = rng.standard_normal((shape[0], int(np.prod(shape[1:]))))
    radius = rng.uniform(size=(shape[0], 1)) ** (1.0 / flat.shape[1])
    return (flat / np.linalg.norm(flat, axis=1, keepdims=True) * radius).reshape(shape).astype(np.float32)


def steepest_step(gradient: tf.Tensor, norm: Measure, bounds: Bounds) -> tf.Tensor:
    """The change of unit size that raises a linear loss most, in raw units."""
    scaled = gradient * bounds.scale
    if norm == "linf":
        return tf.sign(scaled) * bounds.scale
    # A model that is sure of itself has gradients whose squares are 0 in float32: first make the largest one 1.
    largest = tf.reduce_max(tf.abs(scaled), axis=list(range(1, len(scaled.shape))), keepdims=True)
    scaled = tf.math.divide_no_nan(scaled, largest)
    return scaled / tf.maximum(_length(scaled), TINY) * bounds.scale


def project(
    x: tf.Tensor, x_adv: tf.Tensor, eps: tf.Tensor, norm: Measure, bounds: Bounds, last: tf.Tensor | None = None
) -> tf.Tensor:
    """Clip into the bounds, then draw back along the perturbation into the eps ball round x, then repair relations.

    In this order no length is given away: what clipping cuts off is not cut off again by the ball. A row that cannot
    be repaired goes back to the `last` valid point, or to x; see `keep_relations`.
    """
    change = _allowed(tf.clip_by_value(x_adv, bounds.lower, bounds.upper) - x, bounds)
    if norm == "linf":
        change = tf.clip_by_value(change, -eps * bounds.scale, eps * bounds.scale)
    else:
        usable = np.where(bounds.scale > 0, bounds.scale, 1.0).astype(np.float32)
        unit = tf.where(bounds.scale > 0, change / usable, tf.zeros_like(change))
        length = _length(unit) if norm == "l2" else _sum(unit)
        change = unit * tf.minimum(1.0, eps / tf.maximum(length, TINY)) * bounds.scale
    # Rounding alone can leave the box now.
    near = tf.clip_by_value(x + change, bounds.lower, bounds.upper)
    return _related(x, near, eps, norm, bounds, x if last is None else last, whole=False)


def inside(x: tf.Tensor, x_adv: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """Clip into the bounds, back to x where an input went a way that it may not go, and repair relations."""
    clipped = tf.clip_by_value(x_adv, bounds.lower, bounds.upper)
    found = x + _allowed(clipped - x, bounds) if bounds.one_sided else clipped
    return _related(x, found, np.inf, "linf", bounds, x, whole=False)


def _allowed(change: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """A change without what goes up in an input that may only be lowered, and down in one that may only be raised."""
    if not bounds.one_sided:
        return change
    return tf.where(bounds.falls, tf.where(bounds.rises, change, tf.minimum(change, 0.0)), tf.maximum(change, 0.0))


def as_records(x: Floats, x_adv: Floats, eps: Any, norm: Measure, bounds: Bounds) -> Floats:
    """The valid records that perturbations within eps become: integers rounded towards x, relations kept."""
    return keep_relations(x, round_integers(x, x_adv, bounds), eps, norm, bounds)


def as_records_in_graph(x: tf.Tensor, x_adv: tf.Tensor, eps: tf.Tensor, norm: Measure, bounds: Bounds) -> tf.Tensor:
    """The same as graph code: the record that an attack's point will become."""
    if not np.any(bounds.integer):
        return _related(x, x_adv, eps, norm, bounds, x, whole=True) if bounds.listed else x_adv
    toward = tf.where(x_adv > x, tf.floor(x_adv), tf.math.ceil(x_adv))
    record = tf.where(tf.equal(x, tf.round(x)) & bounds.integer, toward, x_adv)
    return _related(x, record, eps, norm, bounds, x, whole=True)


def _related(
    x: tf.Tensor, x_adv: tf.Tensor, eps: Any, norm: Measure, bounds: Bounds, last: tf.Tensor, *, whole: bool
) -> tf.Tensor:
    """`keep_relations` as a step of a graph, by which no gradient passes."""
    if bounds.relations is None:
        return x_adv

    def repair(x: Floats, x_adv: Floats, eps: Floats, last: Floats) -> Floats:
        return keep_relations(x, x_adv, eps, norm, bounds, last=last, whole=whole)

    given = [x, x_adv, tf.cast(eps, tf.float32), last]
    found = tf.numpy_function(repair, given, tf.float32, stateful=False)
    found.set_shape(x_adv.shape)
    return found


def vertex(x: tf.Tensor, gradient: tf.Tensor, eps: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """The point of the box within an L1 eps of x that raises a linear loss most.

    What is left of eps is spent on the input that gains most by it, up to the end of its range, then on the next.

    Args:
        x: examples `(rows, inputs)`.
        gradient: of the loss, likewise.
        eps: a scalar.
        bounds: the box, the unit of eps, and what may only be raised or lowered.
    """
    up = gradient > 0
    way = tf.where(up, bounds.rises, bounds.falls)
    room = tf.where(up, bounds.upper - x, x - bounds.lower)
    most = tf.where(way, tf.maximum(tf.math.divide_no_nan(room, bounds.scale), 0.0), 0.0)
    gain = tf.where(most > 0, tf.abs(gradient) * bounds.scale, 0.0)
    order = tf.argsort(gain, axis=1, direction="DESCENDING", stable=True)
    ranked = tf.gather(most, order, batch_dims=1)
    spent = tf.clip_by_value(eps - tf.cumsum(ranked, axis=1, exclusive=True), 0.0, ranked)
    taken = tf.gather(spent, tf.argsort(order, axis=1), batch_dims=1)
    return x + tf.where(gain > 0, tf.sign(gradient) * taken, 0.0) * bounds.scale


def _sum(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.abs(x), axis=list(range(1, len(x.shape))), keepdims=True)


def _length(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis=list(range(1, len(x.shape))), keepdims=True))

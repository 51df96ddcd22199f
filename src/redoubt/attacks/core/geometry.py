"""Norms, projections, ascent directions and random starts; distances are in units of `Bounds.scale`."""

import math

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.core.types import Bounds, Floats, Norm

TINY = 1e-12


def distance(change: Floats, norm: Norm, bounds: Bounds) -> NDArray[np.float64]:
    """Size of each example's perturbation, `(examples,)`; infinite where an input changed that must not, or not so."""
    scale = np.broadcast_to(bounds.scale, change.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.where(change == 0, 0.0, np.abs(change.astype(np.float64)) / scale)
    if bounds.one_sided:
        unit[((change > 0) & ~bounds.rises) | ((change < 0) & ~bounds.falls)] = np.inf
    flat = unit.reshape(len(change), math.prod(change.shape[1:]))
    return flat.max(axis=1) if norm == "linf" else np.sqrt(np.square(flat).sum(axis=1))


def random_start(rng: np.random.Generator, shape: tuple[int, ...], norm: Norm) -> Floats:
    """Points uniform in the unit ball of the norm, `shape` = `(examples, ...)`."""
    if norm == "linf":
        return rng.uniform(-1.0, 1.0, shape).astype(np.float32)
    flat = rng.standard_normal((shape[0], int(np.prod(shape[1:]))))
    radius = rng.uniform(size=(shape[0], 1)) ** (1.0 / flat.shape[1])
    return (flat / np.linalg.norm(flat, axis=1, keepdims=True) * radius).reshape(shape).astype(np.float32)


def steepest_step(gradient: tf.Tensor, norm: Norm, bounds: Bounds) -> tf.Tensor:
    """The change of unit size that raises a linear loss most, in raw units."""
    scaled = gradient * bounds.scale
    if norm == "linf":
        return tf.sign(scaled) * bounds.scale
    # A model that is sure of itself has gradients whose squares are 0 in float32: first make the largest one 1.
    largest = tf.reduce_max(tf.abs(scaled), axis=list(range(1, len(scaled.shape))), keepdims=True)
    scaled = tf.math.divide_no_nan(scaled, largest)
    return scaled / tf.maximum(_length(scaled), TINY) * bounds.scale


def project(x: tf.Tensor, x_adv: tf.Tensor, eps: tf.Tensor, norm: Norm, bounds: Bounds) -> tf.Tensor:
    """Clip into the bounds, then draw back along the perturbation into the eps ball round x.

    In this order no length is given away: what clipping cuts off is not cut off again by the ball.
    """
    change = _allowed(tf.clip_by_value(x_adv, bounds.lower, bounds.upper) - x, bounds)
    if norm == "linf":
        change = tf.clip_by_value(change, -eps * bounds.scale, eps * bounds.scale)
    else:
        usable = np.where(bounds.scale > 0, bounds.scale, 1.0).astype(np.float32)
        unit = tf.where(bounds.scale > 0, change / usable, tf.zeros_like(change))
        change = unit * tf.minimum(1.0, eps / tf.maximum(_length(unit), TINY)) * bounds.scale
    # Rounding alone can leave the box now.
    return tf.clip_by_value(x + change, bounds.lower, bounds.upper)


def inside(x: tf.Tensor, x_adv: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """Clip into the bounds, and back to x where an input went a way that it may not go."""
    clipped = tf.clip_by_value(x_adv, bounds.lower, bounds.upper)
    return x + _allowed(clipped - x, bounds) if bounds.one_sided else clipped


def _allowed(change: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """A change without what goes up in an input that may only be lowered, and down in one that may only be raised."""
    if not bounds.one_sided:
        return change
    return tf.where(bounds.falls, tf.where(bounds.rises, change, tf.minimum(change, 0.0)), tf.maximum(change, 0.0))


def round_integers(x: Floats, x_adv: Floats, bounds: Bounds) -> Floats:
    """Integer inputs of `x_adv` rounded toward x where x is whole: no perturbation grows, and none leaves the box."""
    if not np.any(bounds.integer):
        return x_adv
    toward = np.where(x_adv > x, np.floor(x_adv), np.ceil(x_adv))
    return np.where(must_stay_integer(x, bounds), toward, x_adv)


def round_integers_in_graph(x: tf.Tensor, x_adv: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """The same as graph code: the record that an attack's point will become."""
    if not np.any(bounds.integer):
        return x_adv
    toward = tf.where(x_adv > x, tf.floor(x_adv), tf.math.ceil(x_adv))
    return tf.where(tf.equal(x, tf.round(x)) & bounds.integer, toward, x_adv)


def must_stay_integer(x: Floats, bounds: Bounds) -> NDArray[np.bool_]:
    """Which inputs an attack must leave whole, in the shape of x: integer ones that are whole before it."""
    return bounds.integer & (x == np.round(x))


def _length(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis=list(range(1, len(x.shape))), keepdims=True))

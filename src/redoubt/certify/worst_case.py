"""The worst-case outputs over a box of inputs: the last layer merged with what decides between classes."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.criteria import Criterion
from redoubt.bundle.batches import slices
from redoubt.certify.graph import bounds_before, bounds_through
from redoubt.certify.interval import UNIT, Box, affine, bounds_of, is_bounded, through
from redoubt.core.types import Batch, Bounds
from redoubt.models.chain import chain_of

ROWS_AT_ONCE = 500


def ball(x: tf.Tensor, eps: Any, bounds: Bounds) -> Box:
    """The L-inf ball of size eps (in units of `bounds.scale`) around each example, cut at the bounds."""
    down = up = eps * bounds.scale
    if bounds.one_sided:
        down, up = down * np.float32(bounds.falls), up * np.float32(bounds.rises)
    return Box(
        tf.minimum(x, tf.maximum(x - down, bounds.lower)),
        tf.maximum(x, tf.minimum(x + up, bounds.upper)),
    )


def worst_outputs(network: keras.Model, box: Box, y: tf.Tensor, criterion: Criterion) -> tf.Tensor:
    """The worst outputs that the bounds allow: where they are not adversarial, no point of the box is.

    Args:
        network: at inference.
        box: of inputs.
        y: true labels or values `(examples,)`.
        criterion: tells classes from numbers.

    Returns:
        Logits `(examples, classes)`, that of the true class 0 and every other its largest lead over it; or of a number
        the end further from the truth, `(examples, 1)`.

    Raises:
        IntervalError: a layer without a sound bound, or an operation without one in a network that is no plain chain.
    """
    is_chain = is_bounded(network)
    if criterion.is_classification:
        if is_chain:
            *body, last = chain_of(network)
            return _rounded_leads(last, through(body, box), y)
        before = bounds_before(network, box)
        leads = _leads(bounds_through(network, box), y) if before is None else _rounded_leads(*before, y)
        return tf.where(tf.math.is_nan(leads), np.inf, leads)
    ends = bounds_of(network, box) if is_chain else bounds_through(network, box)
    truth = tf.cast(y, tf.float32)[:, None]
    return tf.where(ends.high - truth > truth - ends.low, ends.high, ends.low)


def certifier(
    network: keras.Model, bounds: Bounds, criterion: Criterion
) -> Callable[[Batch, float], NDArray[np.bool_]]:
    """A function that tells, for a batch and an eps, which examples no point of the L-inf ball is adversarial for.

    Mutable categories are switched too: an example is certified if each record that they make of it is. Where there are
    too many of these, each of their inputs is bounded by 0 and 1 alone.

    Raises:
        IntervalError: a layer or an operation without a sound bound.
    """
    return of_boxes(lambda box, y: worst_outputs(network, box, y, criterion), bounds, criterion)


def of_boxes(
    worst: Callable[[Box, tf.Tensor], tf.Tensor], bounds: Bounds, criterion: Criterion
) -> Callable[[Batch, float], NDArray[np.bool_]]:
    """See `certifier`, of anything that has worst outputs.

    Args:
        worst: gives those of boxes of inputs and labels or values.
        bounds: the box inputs live in, and the unit of eps.
        criterion: judges them.
    """
    switches = bounds.switches

    def over(x: tf.Tensor, y: tf.Tensor, eps: tf.Tensor) -> tf.Tensor:
        return worst(ball(x, eps, bounds), y)

    def over_hull(x: tf.Tensor, y: tf.Tensor, eps: tf.Tensor) -> tf.Tensor:
        return worst(_hull(ball(x, eps, bounds), bounds), y)

    given = over_batches(tf.function(over, autograph=False), criterion)
    if switches is None:
        return given
    hull = over_batches(tf.function(over_hull, autograph=False), criterion)

    def certified(batch: Batch, eps: float) -> NDArray[np.bool_]:
        if not eps > 0:
            return given(batch, eps)
        if not switches.is_provable:
            return hull(batch, eps)
        found = given(batch, eps)
        for copy in switches.copies(batch.x):
            left = np.flatnonzero(found)
            if not len(left):
                break
            found[left] = given(Batch(copy, batch.y).take(left), eps)
        return found

    return certified


def _hull(box: Box, bounds: Bounds) -> Box:
    """A box that holds every category of those that are mutable."""
    if bounds.switches is None:
        return box
    inputs = bounds.switches.inputs(box.low.shape[1])
    return Box(tf.where(inputs, 0.0, box.low), tf.where(inputs, 1.0, box.high))


def over_batches(worst: Callable[..., tf.Tensor], criterion: Criterion) -> Callable[[Batch, float], NDArray[np.bool_]]:
    """A function that tells, for a batch and an eps, where the worst outputs are not adversarial.

    Args:
        worst: gives them, of some examples, their labels or values, and an eps.
        criterion: judges them.
    """

    def certified(batch: Batch, eps: float) -> NDArray[np.bool_]:
        pieces = [(batch.x[rows], batch.y[rows]) for rows in slices(len(batch), ROWS_AT_ONCE)]
        outputs = [worst(x, y, tf.constant(eps)).numpy() for x, y in pieces]
        return ~np.concatenate(
            [criterion.is_adversarial(each, y) for each, (_, y) in zip(outputs, pieces, strict=True)]
        )

    return certified


def worst_logits(last: keras.layers.Layer, features: Box, y: tf.Tensor) -> tf.Tensor:
    """Upper bounds of every logit's lead over that of y, `(examples, classes)`; 0 for y itself.

    Bounding the differences of a last Dense layer's logits is tighter than bounding each logit (arXiv 1810.12715).

    Args:
        last: the layer that gives the logits.
        features: what it reads.
        y: classes `(examples,)`.
    """
    if not _is_linear(last):
        return _leads(through([last], features), y)
    weights = tf.transpose(last.kernel)
    lead = weights[None] - tf.gather(weights, y)[:, None]
    bias = last.bias[None] - tf.gather(last.bias, y)[:, None] if last.use_bias else 0.0

    def apply(x: tf.Tensor, absolute: bool) -> tf.Tensor:
        sums = tf.einsum("rcf,rf->rc", tf.abs(lead) if absolute else lead, x)
        return sums if absolute else sums + bias

    return _none_over_itself(affine(features, apply, weights.shape[1]).high, y)


def _is_linear(last: keras.layers.Layer) -> bool:
    return isinstance(last, keras.layers.Dense) and last.activation is keras.activations.linear


def _rounded_leads(last: keras.layers.Layer, features: Box, y: tf.Tensor) -> tf.Tensor:
    """See `worst_logits`; of logits as a network computes them, each rounded by itself."""
    leads = worst_logits(last, features, y)
    if not _is_linear(last):
        return leads
    bias = last.bias if last.use_bias else tf.zeros(last.units)
    return _none_over_itself(leads + rounding_of_leads(tf.transpose(last.kernel), bias, features, y), y)


def rounding_of_leads(weights: tf.Tensor, bias: tf.Tensor, features: Box, y: tf.Tensor) -> tf.Tensor:
    """By how much rounding each logit may change its lead over that of y, `(examples, classes)`.

    Where two rows of weights have much in common, it is more than rounding their difference would.

    Args:
        weights: of the last layer, `(classes, features)`.
        bias: `(classes,)`.
        features: what the layer reads.
        y: classes `(examples,)`.
    """
    largest = tf.maximum(tf.abs(features.low), tf.abs(features.high))
    each = tf.matmul(largest, tf.abs(weights), transpose_b=True) + tf.abs(bias)
    return 2.0 * UNIT * (weights.shape[1] + 8) * (each + tf.gather(each, y, axis=1, batch_dims=1)[:, None])


def _leads(logits: Box, y: tf.Tensor) -> tf.Tensor:
    """By logits' own bounds."""
    return _none_over_itself(logits.high - tf.gather(logits.low, y, axis=1, batch_dims=1)[:, None], y)


def _none_over_itself(leads: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.one_hot(y, leads.shape[1], on_value=True, off_value=False), 0.0, leads)

"""The guard as tensors, for the attacker who knows it: what adaptive attacks differentiate."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.bpda import straight_through
from redoubt.attacks.core.problem import Outputs, rows_of
from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.core.types import Floats
from redoubt.defenses.guards.guard import levels
from redoubt.defenses.guards.median import median
from redoubt.defenses.guards.randomization import resize_and_pad
from redoubt.defenses.guards.squeezing import squeeze


def adaptive_outputs(network: keras.Model, config: GuardConfig, variants: Sequence[str] | None = None) -> Outputs:
    """What an attacker who knows the guard differentiates: BPDA inside, fresh draws for EOT on every call.

    Args:
        network: gives logits, or values.
        config: of the guard.
        variants: those that vote; those of the configuration if None.

    Returns:
        A function of inputs `(batch, ...)` and a seed `(2,)` int32 giving `(batch, classes)`: the mean of the
        variants' log-probabilities (its gradient stays alive where the mean probability saturates), or for a
        regression the mean value.
    """
    chosen = tuple(variants or config.voting)
    return lambda x, seed: _mean(_opinions(network, config, chosen, x, seed))


def detector_evading_outputs(
    network: keras.Model, config: GuardConfig, variants: Sequence[str], threshold: tf.Variable | None = None
) -> Outputs:
    """What an attacker differentiates who must fool the vote and the detector both.

    Args:
        network: gives logits, or values.
        config: of the guard.
        variants: those that vote.
        threshold: read at every call; None leaves the score as it is.

    Returns:
        As `adaptive_outputs`, with the adversarial score, or its multiple of the threshold, as one more column.
    """
    fixed = config.fixed_variants
    needed = (*fixed, *(name for name in variants if name not in fixed))
    voting = [needed.index(name) for name in variants]

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        each = tf.unstack(_opinions(network, config, needed, x, seed), len(needed), axis=1)
        said = [one if one.shape[-1] == 1 else tf.exp(one) for one in each[: len(fixed)]]
        # Rounding is flat where the input changes a little. Let through as in BPDA, its slope would cancel the
        # input's own, and the score would look flat.
        distances = [
            tf.reduce_sum(tf.abs((tf.stop_gradient if name == "squeezed" else tf.identity)(said[i]) - said[0]), 1)
            for i, name in enumerate(fixed)
            if i
        ]
        score = tf.reduce_max(tf.stack(distances, axis=1), axis=1, keepdims=True) / config.output_scale
        if threshold is not None:
            score /= threshold
        return tf.concat([_mean(tf.stack([each[place] for place in voting], axis=1)), score], axis=1)

    return outputs


def _opinions(
    network: keras.Model, config: GuardConfig, names: tuple[str, ...], x: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Log-probabilities or values of the named variants, `(batch, variants, outputs)`; those with a name first."""
    variants = [_fixed(x, config, name)[:, None] for name in names if name in config.fixed_variants]
    if any(name not in config.fixed_variants for name in names):
        variants.append(_random(x, config, seed))
    flat = straight_through(network)(tf.reshape(tf.concat(variants, axis=1), (-1, *config.shape)))
    each = tf.reshape(flat, (-1, len(names), flat.shape[-1]))
    return tf.nn.log_softmax(each) if flat.shape[-1] > 1 else each


def _mean(each: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(each, axis=1)


def _fixed(x: tf.Tensor, config: GuardConfig, name: str) -> tf.Tensor:
    if name == "median":
        return median(x, config.median)
    return squeeze(x, config.bits, *levels(config)) if name == "squeezed" else x


def _random(x: tf.Tensor, config: GuardConfig, seed: tf.Tensor) -> tf.Tensor:
    # The draws come from the one NumPy definition that service uses, so the two cannot drift apart.
    def draw(seed: NDArray[np.int32], rows: int) -> list[Floats]:
        own, these = rows_of(seed, int(rows))
        return [drawn[these] for drawn in config.draw(np.random.default_rng(own), these.stop).values()]

    rows = tf.shape(x)[0]
    if config.kind == "table":
        noise = tf.numpy_function(lambda *given: draw(*given)[0], [seed, rows], tf.float32)
        noise.set_shape((None, config.draws, *config.shape))
        return x[:, None] + noise
    chosen = tf.numpy_function(draw, [seed, rows], [tf.int64, tf.int64])
    sides = [tf.gather(config.placements(axis), index) for axis, index in enumerate(chosen)]
    for axis, side in enumerate(sides):
        side.set_shape((None, config.draws, config.shape[axis], config.shape[axis]))
    return resize_and_pad(x, *sides)

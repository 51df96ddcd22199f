"""Images changed towards what a network sees in them, or where it looks."""

import keras
import numpy as np
import tensorflow as tf

from redoubt.core.types import Batch, Floats
from redoubt.studies.contract import Doubles
from redoubt.studies.convolution.maximized import (
    correlations,
    maximize,
    up_to,
)

FLIPPED = 0.05
CLASSES = np.arange(10)
DREAM_STEPS = 10


def toward(images: Floats, train: Batch) -> float:
    """How far ascents from the average digit went the way to their class's mean: mean correlation of the two ways.

    Args:
        images: where they arrived, `(starts, classes, height, width, channels)`.
        train: rows whose averages are meant.
    """
    middle = train.x.mean(axis=0)
    ways = np.stack([train.x[train.y == digit].mean(axis=0) for digit in CLASSES]) - middle
    return float(np.mean([np.diag(correlations(each - middle, ways)) for each in images]))


def dream(network: keras.Sequential, batch: Batch) -> tuple[Floats, float]:
    """Digits changed so that whatever the second layer sees in them it sees more of, and how much more.

    Climbing half the sum of squares adds to every activation in proportion to what it already is.
    """
    part = up_to(network, "convolution_1")

    def energy(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.square(part(x)), axis=[1, 2, 3]) / 2

    images = maximize(energy, batch.x, DREAM_STEPS)
    before, after = (float(tf.reduce_sum(energy(tf.constant(x)))) for x in (batch.x, images))
    return images, after / before


def flipped(x: Floats, score: Doubles) -> Floats:
    """Images with the twentieth of their pixels where the score is highest turned from p to 1 - p."""
    flat, order = x.reshape(len(x), -1).copy(), np.argsort(-score.reshape(len(x), -1), axis=1)
    chosen = order[:, : max(1, round(FLIPPED * flat.shape[1]))]
    np.put_along_axis(flat, chosen, 1 - np.take_along_axis(flat, chosen, axis=1), axis=1)
    return flat.reshape(x.shape)

"""Images that a network's unit likes best, gradients with respect to pixels, and what both share with digits."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from redoubt.core.types import Batch, Floats
from redoubt.studies.contract import Doubles

Score = Callable[[tf.Tensor], tf.Tensor]
# Largest change of a pixel's root mean square in one step of the ascent; it falls to 0 along a line.
STEP = 0.1
TINY = 1e-9


def maximize(score: Score, start: Floats, steps: int, l1: Floats | float = 0.0, l2: Floats | float = 0.0) -> Floats:
    """Gradient ascent on score(x) - l1 sum |x| - l2 sum x^2 over images with pixels in [0, 1].

    Args:
        score: images `(rows, height, width, channels)` to a value per row `(rows,)`.
        start: where each row starts.
        steps: of the ascent, each of the same length whatever the gradient's.
        l1: weight of the sum of absolute pixels, one for all rows or one each.
        l2: weight of the sum of squares, likewise.
    """

    def step(x: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            pixels = [tf.reduce_sum(each, axis=[1, 2, 3]) for each in (tf.abs(x), tf.square(x))]
            value = score(x) - l1 * pixels[0] - l2 * pixels[1]
        gradient = tape.gradient(value, x)
        length = tf.sqrt(tf.reduce_mean(tf.square(gradient), axis=[1, 2, 3], keepdims=True))
        return tf.clip_by_value(x + size * gradient / (length + TINY), 0.0, 1.0)

    compiled, x = tf.function(step, autograph=False), tf.constant(start)
    for index in range(steps):
        x = compiled(x, tf.constant(STEP * (1 - index / steps), tf.float32))
    return np.asarray(x)


def up_to(network: keras.Sequential, layer: str, side: int | None = None) -> keras.Sequential:
    """The network's layers up to the named one, for squares of another `side` where all of those slide over images."""
    names = [each.name for each in network.layers]
    shape = network.input_shape[1:]
    shape = shape if side is None else (side, side, shape[-1])
    return keras.Sequential([keras.Input(shape), *network.layers[: names.index(layer) + 1]])


def activations(part: keras.Sequential) -> Score:
    """What each unit of the part's last layer makes of images, `(rows, units)`; a filter's is its mean over places."""

    def of(x: tf.Tensor) -> tf.Tensor:
        values = part(x)
        return tf.reduce_mean(values, axis=[1, 2]) if len(values.shape) == 4 else values

    return of


def favourites(part: keras.Sequential, start: Floats, steps: int) -> tuple[Floats, Doubles]:
    """An image for every unit of the part's last layer, all from one start, and how active it makes the unit."""
    of, units = activations(part), part.output_shape[-1]
    images = maximize(lambda x: tf.linalg.diag_part(of(x)), np.repeat(start, units, axis=0), steps)
    return images, np.diag(np.asarray(of(tf.constant(images)), np.float64))


def saliency(network: keras.Sequential, batch: Batch) -> Doubles:
    """|dy/dx| of the true class's output y with respect to every pixel x, `(rows, height, width)`."""
    x = tf.constant(batch.x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = tf.gather(network(x, training=False), batch.y, batch_dims=1)
    return np.abs(np.asarray(tape.gradient(outputs, x), np.float64))[..., 0]


def correlations(first: Floats | Doubles, second: Floats | Doubles) -> Doubles:
    """Pearson's correlation of every image of the first with every one of the second, `(first, second)`."""
    units = []
    for images in (first, second):
        flat = images.reshape(len(images), -1).astype(np.float64)
        flat -= flat.mean(axis=1, keepdims=True)
        units.append(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), TINY))
    return np.asarray(units[0] @ units[1].T)


def likeness(images: Floats, classes: Floats, train: Batch) -> tuple[Doubles, Doubles]:
    """Per image the correlation with the most similar training image of its class, and whether no other beats it."""
    alike = correlations(images, train.x)
    own = train.y == np.asarray(classes)[:, None]
    inside, outside = (np.where(side, alike, -1.0).max(axis=1) for side in (own, ~own))
    return inside, (inside > outside).astype(np.float64)


def repetition(image: Floats | Doubles) -> float:
    """How well a square image agrees with itself moved by 2 pixels to half a side: the overlap's best correlation."""
    side = len(image)
    best = -1.0
    for down in range(side // 2 + 1):
        for right in range(-(side // 2), side // 2 + 1):
            if max(down, abs(right)) < 2:
                continue
            here = image[down:, max(0, right) : side + min(0, right)]
            there = image[: side - down, max(0, -right) : side + min(0, -right)]
            best = max(best, float(correlations(here[None], there[None])[0, 0]))
    return best

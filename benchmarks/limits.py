"""What no attack can beat: the time of the gradients alone, and this machine's best rate of convolution."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redoubt.attacks.core.problem import BATCH
from redoubt.bundle.batches import slices
from redoubt.core.types import Floats

# (rows, side, channels): shapes that suit the machine better than any that MNIST has.
SHAPES = ((16, 56, 64), (32, 28, 64), (32, 28, 128), (64, 14, 256))
ROUNDS, CHEAP = 5, 20.0


@dataclass(frozen=True)
class Timing:
    """Seconds by the clock, and of processor time over all cores, which other programs disturb less."""

    wall: float
    cpu: float


def timed(run: Callable[[], Any], repeats: int) -> Timing:
    """The median of a few runs, of fewer if they take long."""
    runs: list[Timing] = []
    while len(runs) < repeats and sum(each.wall for each in runs) < CHEAP:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        runs.append(Timing(time.perf_counter() - wall, time.process_time() - cpu))
    return Timing(median(each.wall for each in runs), median(each.cpu for each in runs))


def floor(network: keras.Model, x: Floats, passes: int) -> Timing:
    """So many forward and backward passes of all rows in the contract's batches, compiled, and nothing else."""
    gradient = _gradient(lambda inputs: network(inputs, training=False))
    batches = [tf.constant(x[part]) for part in slices(len(x), BATCH)]

    def run() -> None:
        for batch in batches:
            for _ in range(passes):
                gradient(batch)

    for batch in batches:
        gradient(batch)
    return timed(run, ROUNDS)


def multiplications(network: keras.Model) -> int:
    """Multiply-adds of one forward and backward pass of one row: each layer's, once to its outputs, once back."""
    return 2 * sum(_forward(layer) for layer in network.layers)


def peak_rate() -> float:
    """Multiply-adds per second of this machine's best convolution, forward and back to its input."""
    return max(_rate(*shape) for shape in SHAPES)


def _forward(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.layers.Conv2D):
        return int(np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3]))
    return int(np.prod(layer.kernel.shape)) if isinstance(layer, keras.layers.Dense) else 0


def _rate(rows: int, side: int, channels: int) -> float:
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(rows, side, side, channels)), tf.float32)
    kernel = tf.constant(rng.normal(size=(3, 3, channels, channels)), tf.float32)
    gradient = _gradient(lambda inputs: tf.nn.conv2d(inputs, kernel, 1, "SAME"))
    work = 2 * rows * side**2 * 9 * channels**2
    gradient(x)
    return ROUNDS * work / timed(lambda: [gradient(x) for _ in range(ROUNDS)], ROUNDS).wall


def _gradient(outputs: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    # The square, because a convolution's gradient alone does not need the convolution.
    return tf.function(lambda x: tf.gradients(tf.square(outputs(x)), x)[0], autograph=False, reduce_retracing=True)

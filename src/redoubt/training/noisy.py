"""Training for randomized smoothing: on noise (arXiv 1902.02918), or on noise round attacked points (1906.04584)."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from redoubt.attacks.contract import Outputs, Problem
from redoubt.attacks.gradient import PGD
from redoubt.tasks import Bounds
from redoubt.training.adversarial import attacked
from redoubt.training.trainer import Moment


@dataclass(frozen=True, eq=False)
class Noisy:
    """Learns from inputs under Gaussian noise.

    Attributes:
        network: the one that is trained.
        problem: the L2 threat to the smoothed network; see `under_noise`.
        sigma: of the noise, in units of the bounds' scale, > 0.
        attack: moves the inputs first (SmoothAdv); None leaves them (Gaussian augmentation).
    """

    network: keras.Model
    problem: Problem
    sigma: float
    attack: PGD | None = None

    def inputs(self, x: tf.Tensor, y: tf.Tensor, moment: Moment) -> tf.Tensor:
        """Moved inputs under fresh noise; the noise may leave the bounds, as it does where the answer is certified."""
        moved = x if self.attack is None else attacked(self.attack, self.problem, x, y, moment.eps, moment.seed)
        return moved + noise(tf.shape(x), self.sigma, self.problem.bounds, moment.seed + [0, 1])

    def loss(self, x: tf.Tensor, moved: tf.Tensor, y: tf.Tensor, moment: Moment) -> tuple[tf.Tensor, tf.Tensor]:
        """The criterion's own loss."""
        outputs = self.network(moved, training=True)
        return outputs, tf.reduce_mean(self.problem.criterion.loss(outputs, y))


def noise(shape: tf.Tensor, sigma: float, bounds: Bounds, seed: tf.Tensor) -> tf.Tensor:
    """Gaussian noise in raw units."""
    return tf.random.stateless_normal(shape, seed) * sigma * bounds.scale


def under_noise(network: keras.Model, sigma: float, draws: int, bounds: Bounds) -> Outputs:
    """The smoothed network as an attacker sees it, in the form `Problem.outputs` wants.

    Args:
        network: gives logits or values.
        sigma: of the noise.
        draws: averaged per answer, fresh on every call.
        bounds: give the unit of sigma.

    Returns:
        Logarithms of the mean probabilities `(rows, classes)`, or the mean value `(rows, 1)`.
    """

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([[draws], tf.shape(x)], axis=0)
        noisy = x[None] + noise(shape, sigma, bounds, seed + [0, 2])
        flat = network(tf.reshape(noisy, (-1, *x.shape[1:])), training=False)
        each = tf.reshape(flat, (draws, -1, flat.shape[-1]))
        if flat.shape[-1] == 1:
            return tf.reduce_mean(each, axis=0)
        return tf.reduce_logsumexp(tf.nn.log_softmax(each), axis=0) - np.float32(np.log(draws))

    return outputs

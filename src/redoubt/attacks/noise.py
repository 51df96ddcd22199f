"""Random noise of full size: the baseline that every attack must beat."""

from dataclasses import dataclass

import tensorflow as tf

from redoubt.attacks.contract import GradientAttack, Problem
from redoubt.attacks.geometry import ascend, pull_back


@dataclass(frozen=True)
class Noise(GradientAttack):
    """A random corner (L-inf) or a random direction (L2), no gradient used."""

    @property
    def uses_gradients(self) -> bool:
        """It asks the model nothing."""
        return False

    def run(
        self, problem: Problem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`."""
        moved = x + eps * ascend(start, problem.norm, problem.bounds)
        return pull_back(x, moved, eps, problem.norm, problem.bounds)

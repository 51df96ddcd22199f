"""Random noise of full size: the baseline that every attack must beat."""

from dataclasses import dataclass

import tensorflow as tf

from redoubt.attacks.core.base import GradientAttack
from redoubt.attacks.core.geometry import project, steepest_step
from redoubt.attacks.core.problem import AttackProblem


@dataclass(frozen=True)
class Noise(GradientAttack):
    """A random corner (L-inf) or a random direction (L2), no gradient used."""

    @property
    def uses_gradients(self) -> bool:
        """It asks the model nothing."""
        return False

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`."""
        x_adv = x + eps * steepest_step(start, problem.norm, problem.bounds)
        return project(x, x_adv, eps, problem.norm, problem.bounds)

"""Random noise of full size: the baseline that every attack must beat."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.base import GradientAttack
from redoubt.attacks.core.geometry import project, steepest_step
from redoubt.attacks.core.problem import AttackProblem
from redoubt.core.types import Floats


@dataclass(frozen=True)
class Noise(GradientAttack):
    """A random corner (L-inf) or a random direction (L2), no gradient used."""

    @property
    def uses_gradients(self) -> bool:
        """It asks the model nothing."""
        return False

    def perturb_and_switch(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """It takes categories as given: to choose one it would have to ask."""
        return self.perturb(problem, x, y, eps, seed)

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`."""
        x_adv = x + eps * steepest_step(start, problem.norm, problem.bounds)
        return project(x, x_adv, eps, problem.norm, problem.bounds)

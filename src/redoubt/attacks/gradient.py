"""FGSM (arXiv 1412.6572) and projected gradient descent (arXiv 1706.06083)."""

from dataclasses import dataclass

import tensorflow as tf

from redoubt.attacks.contract import Attack, Problem
from redoubt.attacks.geometry import ascend, pull_back


@dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """Climb the loss step by step, pulled back into the ball after each.

    Attributes:
        steps: gradient steps, >= 1.
        step_size: of one step, as a share of eps; None takes Madry's 2.5 / steps.
        random_start: start at a random point of the ball instead of the input itself.
        eot: gradients averaged per step over a random model's draws (arXiv 1802.00420).
    """

    steps: int
    step_size: float | None = None
    random_start: bool = True
    eot: int = 1

    @property
    def starts_at_random(self) -> bool:
        """As the attribute says."""
        return self.random_start

    def run(
        self, problem: Problem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `Attack.run`."""
        norm, bounds = problem.norm, problem.bounds
        share = self.step_size if self.step_size is not None else 2.5 / self.steps

        def step(index: tf.Tensor, moved: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            gradient = tf.zeros_like(moved)
            for draw in range(self.eot):
                gradient += loss_gradient(problem, moved, y, seed + [0, 1000 * (index * self.eot + draw)])
            moved = moved + eps * share * ascend(gradient, norm, bounds)
            return index + 1, pull_back(x, moved, eps, norm, bounds)

        first = pull_back(x, x + eps * start * bounds.scale, eps, norm, bounds)
        _, moved = tf.while_loop(lambda index, _: index < self.steps, step, (tf.constant(0), first))
        return moved


def fgsm() -> PGD:
    """One step from the input to a corner of the ball."""
    return PGD(steps=1, step_size=1.0, random_start=False)


def loss_gradient(problem: Problem, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Gradient of the criterion's loss with respect to the inputs."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        loss = problem.criterion.loss(problem.outputs(x, seed), y)
    return tape.gradient(loss, x)

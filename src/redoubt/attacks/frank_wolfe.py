"""The conditional gradient method (Frank-Wolfe) under a budget: where an L1 ball and a box meet, no projection is near.

Each step goes towards the point of both that a linear model would be worst at, so that of a linear model the first step
is the exact answer. The budget is spent on the inputs that gain most by it, which is what an attacker with costs does
(arXiv 2208.13058).
"""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.active_rows import State, until_adversarial
from redoubt.attacks.core.base import GradientAttack
from redoubt.attacks.core.geometry import as_records_in_graph, project, vertex
from redoubt.attacks.core.gradient import per_example, value_and_grad
from redoubt.attacks.core.losses import Loss
from redoubt.attacks.core.problem import AttackProblem, redrawn
from redoubt.attacks.core.through_repair import through_repair
from redoubt.core.types import Floats, Measure


@dataclass(frozen=True, kw_only=True)
class FrankWolfe(GradientAttack):
    """Step by step towards the worst vertex, by 2 / (t + 2) of the way; the point with the largest margin is kept.

    Attributes:
        steps: gradient steps, >= 1.
        loss: to be maximized.
        eot: gradients averaged per step over a random model's draws.
        targets: wrong classes, or sides of the tolerance, that are then climbed to one by one, >= 1.
    """

    steps: int = 50
    loss: Loss = "margin"
    eot: int = 1
    targets: int = 9

    @property
    def starts_at_random(self) -> bool:
        """Its first step leads to a vertex wherever it starts."""
        return False

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`: whichever way is nearest, then each way by itself where there are several."""
        once = super().perturb
        criterion, ways = problem.criterion.directions(problem.predict(x, seed), y, self.targets)
        aimed = problem.aimed(criterion)
        aims = [(problem, y), *((aimed, way) for way in ways if len(ways) > 1)]
        attempts = (lambda rows, to=to: once(to[0], x[rows], to[1][rows], eps, seed) for to in aims)
        return until_adversarial(problem, x, y, attempts, eps, seed)

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`; inputs are those of a table `(examples, features)`."""
        norm: Measure = problem.norm
        bounds = problem.bounds

        def step(index: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            x_adv = state["x_adv"]
            # A win between whole numbers would be rounded away.
            record = as_records_in_graph(x, x_adv, eps, norm, bounds)
            asked = redrawn(seed, index * self.eot)
            _, margin, gradient = value_and_grad(problem, record, y, asked, self.loss, self.eot)
            # A budget must not be spent on what a repair will set.
            gradient = through_repair(record, gradient, bounds)
            wider = margin > state["margin"]
            share = 2.0 / (tf.cast(index, tf.float32) + 2.0)
            ahead = x_adv + share * (vertex(x, gradient, eps, bounds) - x_adv)
            return index + 1, {
                "x_adv": project(x, ahead, eps, norm, bounds, x_adv),
                "kept": tf.where(per_example(wider, x), x_adv, state["kept"]),
                "margin": tf.where(wider, margin, state["margin"]),
            }

        first = {"x_adv": x, "kept": x, "margin": tf.fill(tf.shape(x)[:1], x.dtype.min)}
        # Once more than it steps, to look at where the last one has led.
        _, state = tf.while_loop(lambda index, _: index <= self.steps, step, (tf.constant(0), first))
        return state["kept"]

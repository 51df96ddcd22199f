"""Adversarial training by many steps (PGD, arXiv 1706.06083); several threats take turns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from redoubt.attacks.core.geometry import steepest_step
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.core.types import Threat
from redoubt.params.recipes import Pgd
from redoubt.params.settings.sections import Eps
from redoubt.training.context import TrainingContext
from redoubt.training.methods.base import Method, threat_of, towards
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import StepState, Trainer


@dataclass(frozen=True, eq=False)
class AdversarialObjective:
    """Learns from attacked inputs alone; of several threats each batch meets the next.

    Attributes:
        network: the one that is trained.
        threats: attacked problems, on this network, each with its eps as a multiple of the ramp's.
        attack: perturbs every batch.
    """

    network: keras.Model
    threats: Sequence[tuple[AttackProblem, float]]
    attack: PGD

    def inputs(self, x: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tf.Tensor:
        """Attacked inputs."""
        under = [
            lambda problem=problem, times=times: perturb_batch(
                self.attack, problem, x, y, times * step_state.eps, step_state.seed
            )
            for problem, times in self.threats
        ]
        return under[0]() if len(under) == 1 else tf.switch_case(step_state.seed[1] % len(under), under)

    def loss(self, x: tf.Tensor, x_adv: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tuple[tf.Tensor, tf.Tensor]:
        """The criterion's own loss."""
        outputs = self.network(x_adv, training=True)
        return outputs, tf.reduce_mean(self.threats[0][0].criterion.loss(outputs, y))


def perturb_batch(
    attack: PGD, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """A batch perturbed from a random point of the ball, as graph code.

    Args:
        attack: how.
        problem: on whom.
        x: inputs `(examples, ...)`.
        y: labels or values `(examples,)`.
        eps: a scalar.
        seed: `(2,)` int32.
    """
    start = tf.random.stateless_uniform(tf.shape(x), seed, -1.0, 1.0)
    if problem.norm == "l2":
        # All inputs weigh the same, whatever their units; those that must not change weigh nothing.
        alike = replace(problem.bounds, scale=(problem.bounds.scale > 0).astype(np.float32))
        start = steepest_step(start, "l2", alike)
    return attack.run(problem, x, y, start, eps, seed)


def _threats(recipe: Pgd, eps: Eps) -> list[Threat]:
    return [threat_of(each, eps) for each in (recipe, *recipe.also)]


def _trainer(recipe: Pgd, context: TrainingContext, problem: AttackProblem, schedule: EpsSchedule) -> Trainer:
    first, *more = _threats(recipe, context.eps)
    threats = [(problem, 1.0), *((context.problem(context.network, each.norm), each.eps / first.eps) for each in more)]
    return towards(AdversarialObjective(context.network, threats, PGD(steps=recipe.steps)), recipe, context, schedule)


METHOD = Method[Pgd](trainer=_trainer, threats=_threats)

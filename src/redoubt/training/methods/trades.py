"""TRADES (arXiv 1901.08573): right on the input itself, and of one opinion around it."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from redoubt.attacks.core.criteria import Criterion
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.losses import Loss
from redoubt.attacks.core.problem import AttackProblem
from redoubt.params.recipes import Trades
from redoubt.training.context import TrainingContext
from redoubt.training.methods.base import Method, towards
from redoubt.training.methods.pgd import perturb_batch
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import StepState, Trainer
from redoubt.training.weighted import row_weights


@dataclass(frozen=True)
class Divergence:
    """How far answers part from others, which `y` holds: logits `(examples, classes)`, or values `(examples, 1)`."""

    criterion: Criterion

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """Kullback-Leibler divergence from y's classes, or the criterion's loss with y for the truth."""
        if not self.criterion.is_classification:
            return self.criterion.loss(outputs, y[:, 0])
        said = tf.nn.log_softmax(y)
        return tf.reduce_sum(tf.exp(said) * (said - tf.nn.log_softmax(outputs)), axis=1)

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The same: there is nothing to win but distance."""
        return self.loss(outputs, y)


@dataclass(frozen=True, eq=False)
class TradesObjective:
    """The objective.

    Attributes:
        network: the one that is trained.
        problem: the threat, on this network.
        attack: looks for the point of the ball where answers part most.
        beta: weight of the second aim, > 0.
    """

    network: keras.Model
    problem: AttackProblem
    attack: PGD
    beta: float

    def inputs(self, x: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tf.Tensor:
        """Inputs answered most differently from x."""
        said = self.network(x, training=False)
        problem = self.problem
        divergence = AttackProblem(problem.outputs, self._divergence, problem.norm, problem.bounds)  # type: ignore[arg-type]
        return perturb_batch(self.attack, divergence, x, said, step_state.eps, step_state.seed)

    def loss(self, x: tf.Tensor, x_adv: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tuple[tf.Tensor, tf.Tensor]:
        """The criterion's loss on x, and beta times how far the answers part."""
        outputs, others = self.network(x, training=True), self.network(x_adv, training=True)
        wrong = self.problem.criterion.loss(outputs, y)
        agreeing = self.beta * self._divergence.loss(others, outputs) * row_weights(self.problem.criterion, y)
        return outputs, tf.reduce_mean(wrong + agreeing)

    @property
    def _divergence(self) -> Divergence:
        return Divergence(self.problem.criterion)


def _trainer(recipe: Trades, context: TrainingContext, problem: AttackProblem, schedule: EpsSchedule) -> Trainer:
    objective = TradesObjective(context.network, problem, PGD(steps=recipe.steps), recipe.beta)
    return towards(objective, recipe, context, schedule)


METHOD = Method[Trades](trainer=_trainer)

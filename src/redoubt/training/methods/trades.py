"""TRADES (arXiv 1901.08573): right on the input itself, and of one opinion around it."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from redoubt.attacks.contract import Problem
from redoubt.attacks.criteria import Criterion
from redoubt.attacks.gradient import PGD
from redoubt.attacks.losses import Loss
from redoubt.params.recipes import Trades
from redoubt.training.ground import Ground
from redoubt.training.methods.base import Method, towards
from redoubt.training.methods.pgd import attacked
from redoubt.training.trainer import Moment, Ramp, Trainer
from redoubt.training.weighted import row_weights


@dataclass(frozen=True)
class Apart:
    """How far answers part from others, which `y` holds: logits `(rows, classes)`, or values `(rows, 1)`."""

    criterion: Criterion

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """Kullback-Leibler divergence from y's classes, or the criterion's loss with y for the truth."""
        if not self.criterion.classes:
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
    problem: Problem
    attack: PGD
    beta: float

    def inputs(self, x: tf.Tensor, y: tf.Tensor, moment: Moment) -> tf.Tensor:
        """Inputs answered most differently from x."""
        said = self.network(x, training=False)
        problem = self.problem
        apart = Problem(problem.outputs, self._apart, problem.norm, problem.bounds)  # type: ignore[arg-type]
        return attacked(self.attack, apart, x, said, moment.eps, moment.seed)

    def loss(self, x: tf.Tensor, moved: tf.Tensor, y: tf.Tensor, moment: Moment) -> tuple[tf.Tensor, tf.Tensor]:
        """The criterion's loss on x, and beta times how far the answers part."""
        outputs, others = self.network(x, training=True), self.network(moved, training=True)
        wrong = self.problem.criterion.loss(outputs, y)
        agreeing = self.beta * self._apart.loss(others, outputs) * row_weights(self.problem.criterion, y)
        return outputs, tf.reduce_mean(wrong + agreeing)

    @property
    def _apart(self) -> Apart:
        return Apart(self.problem.criterion)


def _trainer(recipe: Trades, ground: Ground, problem: Problem, ramp: Ramp) -> Trainer:
    objective = TradesObjective(ground.network, problem, PGD(steps=recipe.steps), recipe.beta)
    return towards(objective, recipe, ground, ramp)


METHOD = Method[Trades](trainer=_trainer)

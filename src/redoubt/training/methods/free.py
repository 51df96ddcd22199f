"""Free adversarial training (arXiv 1904.12843): one backward pass moves the weights and the perturbation both."""

from typing import Any

import keras
import tensorflow as tf

from redoubt.attacks.contract import Problem
from redoubt.attacks.geometry import ascend, pull_back
from redoubt.params.recipes import Free
from redoubt.training.ground import Ground
from redoubt.training.methods.base import Method
from redoubt.training.trainer import Moment, Ramp, Trainer


class Unattacked:
    """Stands where an attack would: the perturbation comes from the update before."""

    def __init__(self, network: keras.Model, problem: Problem) -> None:
        self.network, self.problem = network, problem

    def inputs(self, x: tf.Tensor, y: tf.Tensor, moment: Moment) -> tf.Tensor:
        """The inputs themselves."""
        return x

    def loss(self, x: tf.Tensor, moved: tf.Tensor, y: tf.Tensor, moment: Moment) -> tuple[tf.Tensor, tf.Tensor]:
        """The criterion's own loss."""
        outputs = self.network(moved, training=True)
        return outputs, tf.reduce_mean(self.problem.criterion.loss(outputs, y))


class FreeTrainer(Trainer):
    """Keeps one perturbation per place in the batch, from update to update; give it every batch several times."""

    def __init__(
        self, network: keras.Model, problem: Problem, ramp: Ramp, batch_size: int, seed: int, average: float = 0.0
    ) -> None:
        """As `Trainer`.

        Args:
            network: trained in place.
            problem: the threat, on this network.
            ramp: of eps.
            batch_size: places to keep.
            seed: of nothing but what the ramp and the averages share with the other trainers.
            average: see `Trainer`.
        """
        super().__init__(network, Unattacked(network, problem), ramp, seed, average)
        self.problem = problem
        shape = (batch_size, *network.input_shape[1:])
        self.delta = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="delta")

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One update of both."""
        x, y = data
        moment, problem, rows = self.moment(), self.problem, tf.shape(x)[0]
        moved = pull_back(x, x + self.delta[:rows], moment.eps, problem.norm, problem.bounds)
        with tf.GradientTape() as tape:
            tape.watch(moved)
            outputs, loss = self.objective.loss(x, moved, y, moment)
        variables = self.network.trainable_variables
        *weights, climb = tape.gradient(loss, [*variables, moved])
        further = moved + moment.eps * ascend(climb, problem.norm, problem.bounds)
        change = pull_back(x, further, moment.eps, problem.norm, problem.bounds) - x
        self.delta.assign(tf.concat([change, self.delta[rows:]], axis=0))
        self.update(weights)
        return self.measured(y, outputs, loss)


def _trainer(recipe: Free, ground: Ground, problem: Problem, ramp: Ramp) -> Trainer:
    return FreeTrainer(ground.network, problem, ramp, ground.plan.batch_size, ground.plan.seed, recipe.average)


METHOD = Method[Free](trainer=_trainer, replays=lambda recipe: recipe.replays)

"""Free adversarial training (arXiv 1904.12843): one backward pass moves the weights and the perturbation both."""

from typing import Any

import keras
import tensorflow as tf

from redoubt.attacks.core.geometry import project, steepest_step
from redoubt.attacks.core.problem import AttackProblem
from redoubt.params.recipes import Free
from redoubt.training.context import TrainingContext
from redoubt.training.methods.base import Method
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import StepState, Trainer


class FreeObjective:
    """Stands where an attack would: the perturbation comes from the update before."""

    def __init__(self, network: keras.Model, problem: AttackProblem) -> None:
        self.network, self.problem = network, problem

    def inputs(self, x: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tf.Tensor:
        """The inputs themselves."""
        return x

    def loss(self, x: tf.Tensor, x_adv: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tuple[tf.Tensor, tf.Tensor]:
        """The criterion's own loss."""
        outputs = self.network(x_adv, training=True)
        return outputs, tf.reduce_mean(self.problem.criterion.loss(outputs, y))


class FreeTrainer(Trainer):
    """Keeps one perturbation per place in the batch, from update to update; give it every batch several times."""

    def __init__(
        self,
        network: keras.Model,
        problem: AttackProblem,
        schedule: EpsSchedule,
        batch_size: int,
        seed: int,
        average: float = 0.0,
    ) -> None:
        """As `Trainer`.

        Args:
            network: trained in place.
            problem: the threat, on this network.
            schedule: of eps.
            batch_size: places to keep.
            seed: of nothing but what the ramp and the averages share with the other trainers.
            average: see `Trainer`.
        """
        super().__init__(network, FreeObjective(network, problem), schedule, seed, average)
        self.problem = problem
        shape = (batch_size, *network.input_shape[1:])
        self.delta = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="delta")

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One update of both."""
        x, y = data
        step_state, problem, rows = self.step_state(), self.problem, tf.shape(x)[0]
        x_adv = project(x, x + self.delta[:rows], step_state.eps, problem.norm, problem.bounds)
        with tf.GradientTape() as tape:
            tape.watch(x_adv)
            outputs, loss = self.objective.loss(x, x_adv, y, step_state)
        variables = self.network.trainable_variables
        *weights, climb = tape.gradient(loss, [*variables, x_adv])
        further = x_adv + step_state.eps * steepest_step(climb, problem.norm, problem.bounds)
        change = project(x, further, step_state.eps, problem.norm, problem.bounds) - x
        self.delta.assign(tf.concat([change, self.delta[rows:]], axis=0))
        self.update(weights)
        return self.measured(y, outputs, loss)


def _trainer(recipe: Free, context: TrainingContext, problem: AttackProblem, schedule: EpsSchedule) -> Trainer:
    return FreeTrainer(context.network, problem, schedule, context.plan.batch_size, context.plan.seed, recipe.average)


METHOD = Method[Free](trainer=_trainer, replays=lambda recipe: recipe.replays)

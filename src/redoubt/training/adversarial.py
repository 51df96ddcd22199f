"""PGD adversarial training (arXiv 1706.06083) with an eps that rises from 0."""

import math
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from redoubt.attacks.contract import Problem
from redoubt.attacks.geometry import ascend
from redoubt.attacks.gradient import PGD
from redoubt.tasks import Batch
from redoubt.training.fit import Validate, measure


@dataclass(frozen=True)
class Ramp:
    """eps rises linearly to its full value over the first updates."""

    eps: float
    updates: int

    def at(self, update: tf.Tensor) -> tf.Tensor:
        """Eps at an update, a scalar."""
        return self.eps * tf.minimum(1.0, tf.cast(update, tf.float32) / max(1, self.updates))


class AdversarialTrainer(keras.Model):
    """Trains a network on attacked batches; everything else of `fit` stays Keras's own."""

    def __init__(self, network: keras.Model, problem: Problem, attack: PGD, ramp: Ramp, seed: int) -> None:
        """Wrap a network.

        Args:
            network: trained in place; save it, not the wrapper.
            problem: the training threat, on this network.
            attack: perturbs every batch.
            ramp: of eps, by updates.
            seed: of the attack's random starts.
        """
        super().__init__()
        self.network, self.problem, self.attack, self.ramp, self.seed = network, problem, attack, ramp, seed
        self.built = True

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The network's own output."""
        return self.network(x, training=training)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One update on the attacked batch."""
        x, y = data
        update = tf.cast(self.optimizer.iterations, tf.int32)
        moved = self._attacked(x, y, self.ramp.at(update), tf.stack([self.seed, update]))
        with tf.GradientTape() as tape:
            outputs = self.network(moved, training=True)
            loss = self.compute_loss(x=moved, y=y, y_pred=outputs)
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self._measure(y, outputs, loss)

    def _attacked(self, x: tf.Tensor, y: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        start = tf.random.stateless_uniform(tf.shape(x), seed, -1.0, 1.0)
        if self.problem.norm == "l2":
            start = ascend(start, "l2", self.problem.bounds) / tf.where(
                self.problem.bounds.scale > 0, self.problem.bounds.scale, 1.0
            )
        return tf.stop_gradient(self.attack.run(self.problem, x, y, start, eps, seed))

    def _measure(self, y: tf.Tensor, outputs: tf.Tensor, loss: tf.Tensor) -> dict[str, Any]:
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, outputs)
        return self.get_metrics_result()


def on_attacked_rows(network: keras.Model, problem: Problem, attack: PGD, eps: float, batch: Batch) -> Validate:
    """Loss and metric on rows attacked anew at full eps, from the same random starts every time."""

    def validate() -> dict[str, float]:
        moved = attack(problem, batch.x, batch.y, eps=eps, seed=0)
        return measure(network(moved, training=False).numpy(), batch)

    return validate


def ramp_for(eps: float, share: float, epochs: int, rows: int, batch_size: int) -> Ramp:
    """A ramp over the first `share` of all updates."""
    return Ramp(eps, round(share * epochs * math.ceil(rows / batch_size)))

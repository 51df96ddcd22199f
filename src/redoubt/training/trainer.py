"""The one trainer of every hardened network: an objective says what it learns from, the rest is Keras's `fit`."""

from dataclasses import dataclass
from typing import Any, Protocol

import keras
import tensorflow as tf

from redoubt.training.augment import Augmentation
from redoubt.training.schedules import EpsSchedule

# Averaged weights follow the first updates closely and settle later, as in TensorFlow's moving averages.
WARM_UP = 10.0


@dataclass(frozen=True, eq=False)
class StepState:
    """Where in a training an update stands.

    Attributes:
        eps: of this update, a scalar.
        share: of the ramp that is behind it, in [0, 1].
        seed: `(2,)` int32, of this update's randomness.
    """

    eps: tf.Tensor
    share: tf.Tensor
    seed: tf.Tensor


class Objective(Protocol):
    """What a hardened network learns from."""

    def inputs(self, x: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tf.Tensor:
        """What the batch becomes before the network sees it; no weight gradient flows through it."""
        ...

    def loss(self, x: tf.Tensor, x_adv: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs of the network on what it learns from `(examples, outputs)`, and the loss, a scalar."""
        ...


class Trainer(keras.Model):
    """Trains a network towards an objective.

    Attributes:
        kept: the network to validate and save: the one that is trained, or its running average.
    """

    def __init__(
        self,
        network: keras.Model,
        objective: Objective,
        schedule: EpsSchedule,
        seed: int,
        average: float = 0.0,
        augment: Augmentation | None = None,
    ) -> None:
        """Wrap a network.

        Args:
            network: trained in place.
            objective: what it learns from; it must ask this very network.
            schedule: of eps.
            seed: of the objective's randomness.
            average: share of the averaged weights that each update keeps (arXiv 1803.05407, as a moving average);
                0 keeps none.
            augment: moves the images of every batch before the objective sees them.
        """
        super().__init__()
        self.network, self.objective, self.schedule, self.seed, self.average = (
            network,
            objective,
            schedule,
            seed,
            average,
        )
        self.augment = augment
        self.kept = network
        if average:
            self.kept = keras.models.clone_model(network)
            self.kept.set_weights(network.get_weights())
        self.built = True

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The network's, not their averages."""
        return list(self.network.trainable_variables)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The network's own output."""
        return self.network(x, training=training)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """One update."""
        x, y = data
        step_state = self.step_state()
        if self.augment is not None:
            x = self.augment(x, step_state.seed)
        x_adv = tf.stop_gradient(self.objective.inputs(x, y, step_state))
        with tf.GradientTape() as tape:
            outputs, loss = self.objective.loss(x, x_adv, y, step_state)
        self.update(tape.gradient(loss, self.network.trainable_variables))
        return self.measured(y, outputs, loss)

    def step_state(self) -> StepState:
        """Where the training stands."""
        update = tf.cast(self.optimizer.iterations, tf.int32)
        share = self.schedule.share(update)
        return StepState(self.schedule.eps * share, share, tf.stack([self.seed, update]))

    def update(self, gradients: list[tf.Tensor]) -> None:
        """Move the weights, and their average after them."""
        self.optimizer.apply(gradients, self.network.trainable_variables)
        if self.kept is self.network:
            return
        update = tf.cast(self.optimizer.iterations, tf.float32)
        keep = tf.minimum(self.average, update / (update + WARM_UP))
        for averaged, now in zip(self.kept.weights, self.network.weights, strict=True):
            if averaged.dtype.startswith("float"):
                averaged.assign(keep * averaged + (1.0 - keep) * now)

    def measured(self, y: tf.Tensor, outputs: tf.Tensor, loss: tf.Tensor) -> dict[str, Any]:
        """What Keras shows of an update."""
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, outputs)
        return self.get_metrics_result()

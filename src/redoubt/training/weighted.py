"""A criterion that weighs each example by its class, for whatever a hardening learns from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.criteria import Criterion
from redoubt.attacks.core.losses import Loss
from redoubt.core.types import Floats
from redoubt.training.balance import Weights


@dataclass(frozen=True)
class Weighted:
    """A criterion whose loss weighs each example by its class; an attack's direction is the same under both.

    Attributes:
        criterion: whose aim it keeps; its `y` holds classes.
        weights: per class, >= 0.
    """

    criterion: Criterion
    weights: Weights

    @property
    def is_classification(self) -> bool:
        """Logits."""
        return True

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """The criterion's, weighted."""
        return row_weights(self, y) * self.criterion.loss(outputs, y, kind)

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The criterion's."""
        return self.criterion.margin(outputs, y)

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """As the criterion says."""
        return self.criterion.is_adversarial(outputs, y)

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> tuple[Criterion, list[NDArray[Any]]]:
        """The criterion's."""
        return self.criterion.directions(outputs, y, count)


def row_weights(criterion: Criterion, y: tf.Tensor) -> tf.Tensor | float:
    """The weight of each example, `(examples,)`; 1 where classes do not weigh."""
    if not isinstance(criterion, Weighted):
        return 1.0
    return tf.gather(tf.constant(criterion.weights, tf.float32), tf.cast(y, tf.int32))

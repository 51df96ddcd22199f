"""What an attacker wants, per example: a loss to climb and a test of success."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.params import Task
from redoubt.tasks import Floats


class Criterion(Protocol):
    """An aim; `y` holds one label or value per row."""

    def loss(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """What the attacker climbs, `(rows,)`."""
        ...

    def won(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the attacker has what it wants, `(rows,)`."""
        ...


@dataclass(frozen=True)
class Untargeted:
    """Any class but the true one; `y` holds the true classes."""

    def loss(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Cross-entropy of the true class."""
        return tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs)

    def won(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The true class is not the first choice."""
        return np.asarray(outputs).argmax(axis=1) != y


@dataclass(frozen=True)
class Targeted:
    """One wrong class; `y` holds the classes to be answered."""

    def loss(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Negative cross-entropy of the target class."""
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs)

    def won(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The target class is the first choice."""
        return np.asarray(outputs).argmax(axis=1) == y


@dataclass(frozen=True)
class Tolerance:
    """A regression error above `tolerance` (target units); `y` holds the true values."""

    tolerance: float

    def loss(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Squared error in tolerances."""
        return tf.square((outputs[:, 0] - tf.cast(y, tf.float32)) / self.tolerance)

    def won(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The error exceeds the tolerance, or is not a number."""
        return ~(np.abs(np.asarray(outputs)[:, 0] - y) <= self.tolerance)


def aim(task: Task) -> Criterion:
    """What an untargeted attacker wants of a task."""
    return Untargeted() if task.tolerance is None else Tolerance(task.tolerance)

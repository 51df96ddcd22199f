"""What an attacker wants, per example: losses to maximize, a margin to close and a test of success."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core import losses
from redoubt.attacks.core.losses import Loss
from redoubt.core.types import Floats
from redoubt.params.settings.sections import Tolerant


class Criterion(Protocol):
    """An aim; `y` holds one label or value per example."""

    @property
    def is_classification(self) -> bool:
        """Whether the outputs are logits, and y classes."""
        ...

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """The loss that the attacker maximizes, `(examples,)`; a regression has one loss, whatever the kind."""
        ...

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """How far an input is past the decision boundary, `(examples,)`: negative until it is adversarial."""
        ...

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the attacker has what it wants, `(examples,)`."""
        ...

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> "tuple[Criterion, list[NDArray[Any]]]":
        """The ways to succeed, most promising first, each to be tried by itself.

        Args:
            outputs: of the unperturbed inputs, `(examples, outputs)`.
            y: labels or values `(examples,)`.
            count: how many at most, >= 1.

        Returns:
            A criterion that is adversarial where this one is, and its `y` for each way.
        """
        ...


@dataclass(frozen=True)
class Untargeted:
    """Any class but the true one; `y` holds the true classes."""

    @property
    def is_classification(self) -> bool:
        """Logits."""
        return True

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """Cross-entropy, DLR or margin of the true class."""
        loss: tf.Tensor = getattr(losses, kind)(outputs, y)
        return loss

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The best wrong logit above the true one."""
        return losses.margin(outputs, y)

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The true class is not the first choice."""
        return np.asarray(outputs).argmax(axis=1) != y

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> tuple[Criterion, list[NDArray[Any]]]:
        """Towards each of the most likely wrong classes."""
        others = outputs.copy()
        others[np.arange(len(y)), y] = -np.inf
        likely = np.argsort(-others, axis=1, kind="stable")[:, : min(count, outputs.shape[1] - 1)]
        return TargetedDirection(), [np.stack([y, target], axis=1) for target in likely.T]


@dataclass(frozen=True)
class TargetedDirection:
    """Any class but the true one, by way of a given one; `y` holds true and given classes, `(examples, 2)`."""

    @property
    def is_classification(self) -> bool:
        """Logits."""
        return True

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """Targeted DLR, whatever the kind."""
        return losses.dlr_toward(outputs, y[:, 0], y[:, 1])

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The best wrong logit above the true one."""
        return losses.margin(outputs, y[:, 0])

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The true class is not the first choice."""
        return Untargeted().is_adversarial(outputs, y[:, 0])

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> tuple[Criterion, list[NDArray[Any]]]:
        """This one."""
        return self, [y]


@dataclass(frozen=True)
class Targeted:
    """One wrong class; `y` holds the target classes."""

    @property
    def is_classification(self) -> bool:
        """Logits."""
        return True

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """Negative cross-entropy or margin of the target class, or targeted DLR over the best other class."""
        if kind == "dlr":
            return losses.dlr_toward(outputs, losses.best_other(outputs, y), y)
        loss: tf.Tensor = getattr(losses, kind)(outputs, y)
        return -loss

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The target's logit above the best other one."""
        return -losses.margin(outputs, y)

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The target class is the first choice."""
        return np.asarray(outputs).argmax(axis=1) == y

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> tuple[Criterion, list[NDArray[Any]]]:
        """This one."""
        return self, [y]


@dataclass(frozen=True)
class Tolerance:
    """A regression error above `tolerance` (target units); `y` holds the true values."""

    tolerance: float

    @property
    def is_classification(self) -> bool:
        """A number."""
        return False

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """Squared error in tolerances, whatever the kind."""
        return tf.square((outputs[:, 0] - tf.cast(y, tf.float32)) / self.tolerance)

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The error above the tolerance, in tolerances."""
        return tf.abs(outputs[:, 0] - tf.cast(y, tf.float32)) / self.tolerance - 1.0

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The error exceeds the tolerance, or is not a number."""
        return ~(np.abs(np.asarray(outputs)[:, 0] - y) <= self.tolerance)

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> tuple[Criterion, list[NDArray[Any]]]:
        """Up and down, whatever the count."""
        return SignedError(self.tolerance), [np.stack([y, np.full_like(y, side)], axis=1) for side in (1, -1)]


@dataclass(frozen=True)
class SignedError:
    """A regression error above `tolerance` on one side; `y` holds values and sides (1 or -1), `(examples, 2)`."""

    tolerance: float

    @property
    def is_classification(self) -> bool:
        """A number."""
        return False

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """The error towards that side in tolerances, whatever the kind."""
        y = tf.cast(y, tf.float32)
        return y[:, 1] * (outputs[:, 0] - y[:, 0]) / self.tolerance

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The error above the tolerance, in tolerances."""
        return Tolerance(self.tolerance).margin(outputs, y[:, 0])

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The error exceeds the tolerance on either side, or is not a number."""
        return Tolerance(self.tolerance).is_adversarial(outputs, y[:, 0])

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> tuple[Criterion, list[NDArray[Any]]]:
        """This one."""
        return self, [y]


@dataclass(frozen=True)
class EvadeDetector:
    """Another aim, reached without a detector's notice; the last output is the detector's score.

    Selective gradients (arXiv 2106.15023): an example ascends towards its aim until that is reached, then down the
    score.

    Attributes:
        criterion: what is wanted of the other outputs.
        threshold: score above which an input is noticed, > 0.
    """

    criterion: Criterion
    threshold: float

    @property
    def is_classification(self) -> bool:
        """As the aim's."""
        return self.criterion.is_classification

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """The aim's loss, or where the aim is reached how far the score lies below the threshold."""
        reached = self.criterion.margin(outputs[:, :-1], y) > 0
        return tf.where(reached, self._below_threshold(outputs), self.criterion.loss(outputs[:, :-1], y, kind))

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The lesser of the aim's margin and the room below the threshold."""
        return tf.minimum(self.criterion.margin(outputs[:, :-1], y), self._below_threshold(outputs))

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The aim is reached and the score is not above the threshold."""
        return self.criterion.is_adversarial(outputs[:, :-1], y) & (np.asarray(outputs)[:, -1] <= self.threshold)

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> tuple[Criterion, list[NDArray[Any]]]:
        """The aim's, each without notice."""
        towards, ways = self.criterion.directions(outputs[:, :-1], y, count)
        return EvadeDetector(towards, self.threshold), ways

    def _below_threshold(self, outputs: tf.Tensor) -> tf.Tensor:
        return 1.0 - outputs[:, -1] / self.threshold


def criterion_for(task: Tolerant) -> Criterion:
    """What an untargeted attacker wants of a task."""
    return Untargeted() if task.tolerance is None else Tolerance(task.tolerance)

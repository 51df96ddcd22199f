"""What a recipe works on, and what the methods that carry recipes out have in common."""

from dataclasses import dataclass

import keras

from redoubt.attacks.core.criteria import Criterion
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import Batch, Bounds, Norm
from redoubt.params.settings.sections import Eps
from redoubt.training.balance import Weights
from redoubt.training.fit import Plan
from redoubt.training.weighted import Weighted


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """What a recipe works on.

    Attributes:
        network: untrained; trained in place.
        criterion: what counts as correct.
        bounds: hold the examples of both batches.
        eps: the task's.
        train: examples to learn from.
        validation: examples that choose the epoch.
        plan: as `plan_for` makes it.
        weights: per class, of each example's loss; None weighs all alike.
    """

    network: keras.Model
    criterion: Criterion
    bounds: Bounds
    eps: Eps
    train: Batch
    validation: Batch
    plan: Plan
    weights: Weights | None = None

    @property
    def weighted_criterion(self) -> Criterion:
        """The criterion, weighted by class where classes weigh."""
        return Weighted(self.criterion, self.weights) if self.weights else self.criterion

    def problem(self, network: keras.Model, norm: Norm) -> AttackProblem:
        """The threat to a network in training."""
        return AttackProblem(of_network(network), self.weighted_criterion, norm, self.bounds)

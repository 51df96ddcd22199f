"""What a training method says of itself: everything in which one differs from another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.transformations import Transformations
from redoubt.core.types import Threat
from redoubt.params.recipes import Augmented, Recipe, Sized
from redoubt.params.settings.sections import Eps
from redoubt.training.augment import Augmentation
from redoubt.training.context import TrainingContext
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import Objective, Trainer
from redoubt.training.validation import Judged

R = TypeVar("R", bound=Recipe)


def declared(recipe: Any, eps: Eps) -> list[Threat]:
    """The one threat that a recipe declares, at the task's eps or its own."""
    return [threat_of(recipe, eps)]


def threat_of(sized: Sized, eps: Eps) -> Threat:
    """Norm and size of what perturbs while it trains."""
    return Threat(sized.trained_norm, sized.trained_at(eps))


@dataclass(frozen=True, kw_only=True)
class Method(Generic[R]):
    """How the recipes of one method train a network.

    Attributes:
        trainer: makes the trainer from a recipe, the ground, the first threat to the network, and how eps rises.
        judged: the outputs whose loss chooses the best weights.
        threats: those that it trains against; the first is also tried after every epoch.
        reach: to which multiple of the first threat's eps training goes.
        sigma: of the noise under which an epoch is judged; 0 where it is not.
        held_out: share of the training examples kept back to watch over the method.
        replays: times each batch is given in a row; there are so many times fewer epochs.
    """

    trainer: Callable[[R, TrainingContext, AttackProblem, EpsSchedule], Trainer]
    judged: Judged = "pgd"
    threats: Callable[[R, Eps], list[Threat]] = declared
    reach: Callable[[R], float] = lambda recipe: 1.0
    sigma: Callable[[R], float] = lambda recipe: 0.0
    held_out: Callable[[R], float] = lambda recipe: 0.0
    replays: Callable[[R], int] = lambda recipe: 1


def towards(objective: Objective, recipe: Augmented, context: TrainingContext, schedule: EpsSchedule) -> Trainer:
    """The trainer of a method that differs from others in its objective alone."""
    augment = None
    if recipe.augment is not None:
        augment = Augmentation(Transformations(**recipe.augment.model_dump()), context.bounds)
    return Trainer(context.network, objective, schedule, context.plan.seed, recipe.average, augment)

"""From a recipe in params.yaml to a trainer that is ready to fit, whichever method it names."""

from dataclasses import dataclass

import numpy as np

from redoubt.attacks.core.gradient import PGD
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Batch, Threat
from redoubt.params.recipes import AnyRecipe
from redoubt.training.context import TrainingContext
from redoubt.training.fit import Plan, compile_network
from redoubt.training.methods import METHODS
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import Trainer
from redoubt.training.validation import RobustValidation

WATCHING = PGD(steps=10)


class RecipeError(RedoubtError):
    """A recipe that makes no sense for its task; the message says what came and what would."""


@dataclass(frozen=True)
class TrainingSetup:
    """A compiled trainer, the examples that are left to learn from, and what is measured after each epoch."""

    trainer: Trainer
    train: Batch
    robust_validation: RobustValidation


def plan_for(recipe: AnyRecipe, batch_size: int, learning_rate: float, seed: int) -> Plan:
    """The plan of a recipe; batch size and rate are the selection's, used where the recipe has none of its own."""
    replays = METHODS[recipe.method].replays(recipe)
    return Plan(
        epochs=-(-recipe.epochs // replays),
        batch_size=recipe.batch_size or batch_size,
        learning_rate=recipe.learning_rate or learning_rate,
        decay=True,
        seed=seed,
        replays=replays,
    )


def prepare(recipe: AnyRecipe, context: TrainingContext) -> TrainingSetup:
    """Make a recipe's trainer.

    Raises:
        RecipeError: eps as large as the inputs' range.
        IntervalError: certified training of a network with a layer that has no sound bound.
    """
    method = METHODS[recipe.method]
    threats = method.threats(recipe, context.eps)
    for each in threats:
        _check_size(each, context)
    train, held_out = _parted(context.train, method.held_out(recipe))
    plan, threat = context.plan, threats[0]
    updates = plan.epochs * plan.replays * -(-len(train) // plan.batch_size)
    schedule = EpsSchedule(threat.eps * method.reach(recipe), round(recipe.ramp * updates))
    trainer = method.trainer(recipe, context, context.problem(context.network, threat.norm), schedule)
    compile_network(trainer, plan, len(train), context.network.output_shape[-1])
    validation = RobustValidation(
        network=trainer.kept,
        problem=context.problem(trainer.kept, threat.norm),
        attack=WATCHING,
        eps=threat.eps,
        batch=context.validation,
        judged=method.judged,
        sigma=method.sigma(recipe),
        held_out=held_out,
    )
    return TrainingSetup(trainer, train, validation)


def _check_size(threat: Threat, context: TrainingContext) -> None:
    bounds, shape = context.bounds, context.network.input_shape[1:]
    unit = np.where(bounds.scale > 0, bounds.scale, 1)
    sides = np.broadcast_to(np.where(bounds.scale > 0, (bounds.upper - bounds.lower) / unit, 0), shape)
    largest = float(sides.max() if threat.norm == "linf" else np.sqrt(np.square(sides).sum()))
    # Where nothing can be perturbed there is nothing to harden against, and the attack will say so.
    if largest > 0 and not 0 < threat.eps < largest:
        raise RecipeError(
            f"eps is {threat.eps:g}; it must lie between 0 and the inputs' range, {largest:g} in {threat.norm}"
        )


def _parted(batch: Batch, share: float) -> tuple[Batch, Batch | None]:
    """All but the last examples to learn from, the last ones to watch; None where nothing is to be held out."""
    if not share:
        return batch, None
    kept = len(batch) - max(1, round(share * len(batch)))
    return batch.take(np.arange(kept)), batch.take(np.arange(kept, len(batch)))

"""From a recipe in params.yaml to a trainer that is ready to fit: one place where methods have names."""

from dataclasses import dataclass

import keras
import numpy as np

from redoubt.attacks.criteria import Criterion
from redoubt.attacks.gradient import PGD
from redoubt.attacks.problem import AttackProblem, of_network
from redoubt.attacks.transformations import Transformations
from redoubt.certify.interval import check_bounded
from redoubt.params import Adversarial, Augmented, Eps, Fast, Free, Gaussian, Ibp, Norm, Pgd, Recipe, SmoothAdv, Trades
from redoubt.training.augment import Augmentation
from redoubt.training.balance import Weights
from redoubt.training.fit import Plan, compile_network
from redoubt.training.methods.free import FreeTrainer
from redoubt.training.methods.ibp import IbpObjective, initialize
from redoubt.training.methods.noise import NoiseObjective, under_noise
from redoubt.training.methods.pgd import AdversarialObjective
from redoubt.training.methods.trades import TradesObjective
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import Objective, Trainer
from redoubt.training.validation import RobustValidation
from redoubt.training.weighted import Weighted
from redoubt.types import Batch, Bounds

WATCHING = PGD(steps=10)


class RecipeError(ValueError):
    """A recipe that makes no sense for its task; the message says what came and what would."""


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """What a recipe works on.

    Attributes:
        network: untrained; trained in place.
        criterion: what counts as right.
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


@dataclass(frozen=True)
class TrainingSetup:
    """A compiled trainer, the examples that are left to learn from, and what is measured after each epoch."""

    trainer: Trainer
    train: Batch
    robust_validation: RobustValidation


def plan_for(recipe: Recipe, batch_size: int, learning_rate: float, seed: int) -> Plan:
    """The plan of a recipe; batch size and rate are the selection's, used where the recipe has none of its own."""
    replays = recipe.replays if isinstance(recipe, Free) else 1
    return Plan(
        epochs=-(-recipe.epochs // replays),
        batch_size=recipe.batch_size or batch_size,
        learning_rate=recipe.learning_rate or learning_rate,
        decay=True,
        seed=seed,
        replays=replays,
    )


def prepare(recipe: Adversarial | Ibp | Gaussian | SmoothAdv, context: TrainingContext) -> TrainingSetup:
    """Make a recipe's trainer.

    Raises:
        RecipeError: eps as large as the inputs' range.
        IntervalError: certified training of a network with a layer that has no sound bound.
    """
    norm, eps = _threat(recipe, context.eps)
    _check_size(norm, eps, context)
    for also in recipe.also if isinstance(recipe, Pgd) else ():
        _check_size(also.norm, also.trained_at(context.eps), context)
    train, held_out = context.train, None
    if isinstance(recipe, Fast):
        train, held_out = _parted(train, recipe.held_out)
    reach = eps * (recipe.reach if isinstance(recipe, Ibp) else 1.0)
    plan = context.plan
    updates = plan.epochs * plan.replays * -(-len(train) // plan.batch_size)
    schedule = EpsSchedule(reach, round(recipe.ramp * updates))
    problem = _problem(context.network, norm, context)
    if isinstance(recipe, Free):
        trainer: Trainer = FreeTrainer(context.network, problem, schedule, plan.batch_size, plan.seed, recipe.average)
    else:
        objective, augment = _objective(recipe, context, problem), _augmentation(recipe, context)
        trainer = Trainer(context.network, objective, schedule, plan.seed, recipe.average, augment)
    compile_network(trainer, plan, len(train), context.network.output_shape[-1])
    validation = RobustValidation(
        network=trainer.kept,
        problem=_problem(trainer.kept, norm, context),
        attack=WATCHING,
        eps=eps,
        batch=context.validation,
        judged=_judged(recipe),
        sigma=recipe.sigma if isinstance(recipe, Gaussian | SmoothAdv) else 0.0,
        held_out=held_out,
    )
    return TrainingSetup(trainer, train, validation)


def _objective(
    recipe: Pgd | Fast | Trades | Ibp | Gaussian | SmoothAdv, context: TrainingContext, problem: AttackProblem
) -> Objective:
    network = context.network
    if isinstance(recipe, Pgd):
        size = recipe.trained_at(context.eps)
        more = [(_problem(network, each.norm, context), each.trained_at(context.eps) / size) for each in recipe.also]
        return AdversarialObjective(network, [(problem, 1.0), *more], PGD(steps=recipe.steps))
    if isinstance(recipe, Fast):
        return AdversarialObjective(network, [(problem, 1.0)], PGD(steps=1, step_size=recipe.step))
    if isinstance(recipe, Trades):
        return TradesObjective(network, problem, PGD(steps=recipe.steps), recipe.beta)
    if isinstance(recipe, Ibp):
        check_bounded(network)
        initialize(network, context.plan.seed)
        attack = PGD(steps=recipe.steps) if recipe.steps else None
        return IbpObjective(network, problem, recipe.natural, recipe.regularize, attack)
    if isinstance(recipe, Gaussian):
        return NoiseObjective(network, problem, recipe.sigma, consistency=recipe.consistency)
    noisy = under_noise(network, recipe.sigma, recipe.draws, context.bounds)
    smoothed = AttackProblem(noisy, context.weighted_criterion, "l2", context.bounds)
    return NoiseObjective(network, smoothed, recipe.sigma, PGD(steps=recipe.steps), recipe.consistency)


def _augmentation(recipe: Augmented, context: TrainingContext) -> Augmentation | None:
    if recipe.augment is None:
        return None
    return Augmentation(Transformations(**recipe.augment.model_dump()), context.bounds)


def _problem(network: keras.Model, norm: Norm, context: TrainingContext) -> AttackProblem:
    return AttackProblem(of_network(network), context.weighted_criterion, norm, context.bounds)


def _threat(recipe: Adversarial | Ibp | Gaussian | SmoothAdv, eps: Eps) -> tuple[Norm, float]:
    """Norm and size of training; a network that learns from noise alone is watched within one sigma."""
    if isinstance(recipe, Gaussian):
        return "l2", recipe.sigma
    return recipe.trained_norm, recipe.trained_at(eps)


def _judged(recipe: Recipe) -> str:
    if isinstance(recipe, Ibp):
        return "certified"
    return "noisy" if isinstance(recipe, Gaussian | SmoothAdv) else "pgd"


def _check_size(norm: Norm, eps: float, context: TrainingContext) -> None:
    bounds, shape = context.bounds, context.network.input_shape[1:]
    unit = np.where(bounds.scale > 0, bounds.scale, 1)
    sides = np.broadcast_to(np.where(bounds.scale > 0, (bounds.upper - bounds.lower) / unit, 0), shape)
    largest = float(sides.max() if norm == "linf" else np.sqrt(np.square(sides).sum()))
    # Where nothing can be perturbed there is nothing to harden against, and the attack will say so.
    if largest > 0 and not 0 < eps < largest:
        raise RecipeError(f"eps is {eps:g}; it must lie between 0 and the inputs' range, {largest:g} in {norm}")


def _parted(batch: Batch, share: float) -> tuple[Batch, Batch]:
    """All but the last examples to learn from, the last ones to watch."""
    kept = len(batch) - max(1, round(share * len(batch)))
    return batch.take(np.arange(kept)), batch.take(np.arange(kept, len(batch)))

"""From a recipe in params.yaml to a trainer that is ready to fit: one place where methods have names."""

from dataclasses import dataclass

import keras
import numpy as np

from redoubt.attacks.contract import Problem, of_network
from redoubt.attacks.criteria import Criterion
from redoubt.attacks.gradient import PGD
from redoubt.attacks.transformations import Transformations
from redoubt.certify.interval import check_bounded
from redoubt.params.base import Norm
from redoubt.params.recipes import Adversarial, Augmented, Fast, Free, Gaussian, Ibp, Pgd, Recipe, SmoothAdv, Trades
from redoubt.params.sections import Eps
from redoubt.training.adversarial import Attacked
from redoubt.training.augment import Augmentation
from redoubt.training.balance import Weights
from redoubt.training.certified import Certified, initialize
from redoubt.training.fit import Plan, compile_network
from redoubt.training.free import FreeTrainer
from redoubt.training.noisy import Noisy, under_noise
from redoubt.training.trades import Trades as TradesObjective
from redoubt.training.trainer import Objective, Ramp, Trainer
from redoubt.training.watch import Watch
from redoubt.training.weighted import Weighted
from redoubt.types import Batch, Bounds

WATCHING = PGD(steps=10)


class RecipeError(ValueError):
    """A recipe that makes no sense for its task; the message says what came and what would."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a recipe works on.

    Attributes:
        network: untrained; trained in place.
        criterion: what counts as right.
        bounds: hold the rows of both batches.
        eps: the task's.
        train: rows to learn from.
        validation: rows that choose the epoch.
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
    def aim(self) -> Criterion:
        """The criterion, weighted by class where classes weigh."""
        return Weighted(self.criterion, self.weights) if self.weights else self.criterion


@dataclass(frozen=True)
class Prepared:
    """A compiled trainer, the rows that are left to learn from, and what is measured after each epoch."""

    trainer: Trainer
    train: Batch
    watch: Watch


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


def prepare(recipe: Adversarial | Ibp | Gaussian | SmoothAdv, ground: Ground) -> Prepared:
    """Make a recipe's trainer.

    Raises:
        RecipeError: eps as large as the inputs' range.
        IntervalError: certified training of a network with a layer that has no sound bound.
    """
    norm, eps = _threat(recipe, ground.eps)
    _check_size(norm, eps, ground)
    for also in recipe.also if isinstance(recipe, Pgd) else ():
        _check_size(also.norm, also.trained_at(ground.eps), ground)
    train, held_out = ground.train, None
    if isinstance(recipe, Fast):
        train, held_out = _parted(train, recipe.held_out)
    reach = eps * (recipe.reach if isinstance(recipe, Ibp) else 1.0)
    plan = ground.plan
    updates = plan.epochs * plan.replays * -(-len(train) // plan.batch_size)
    ramp = Ramp(reach, round(recipe.ramp * updates))
    problem = _problem(ground.network, norm, ground)
    if isinstance(recipe, Free):
        trainer: Trainer = FreeTrainer(ground.network, problem, ramp, plan.batch_size, plan.seed, recipe.average)
    else:
        objective, augment = _objective(recipe, ground, problem), _augmentation(recipe, ground)
        trainer = Trainer(ground.network, objective, ramp, plan.seed, recipe.average, augment)
    compile_network(trainer, plan, len(train), ground.network.output_shape[-1])
    watch = Watch(
        network=trainer.kept,
        problem=_problem(trainer.kept, norm, ground),
        attack=WATCHING,
        eps=eps,
        batch=ground.validation,
        judged=_judged(recipe),
        sigma=recipe.sigma if isinstance(recipe, Gaussian | SmoothAdv) else 0.0,
        held_out=held_out,
    )
    return Prepared(trainer, train, watch)


def _objective(recipe: Pgd | Fast | Trades | Ibp | Gaussian | SmoothAdv, ground: Ground, problem: Problem) -> Objective:
    network = ground.network
    if isinstance(recipe, Pgd):
        size = recipe.trained_at(ground.eps)
        more = [(_problem(network, each.norm, ground), each.trained_at(ground.eps) / size) for each in recipe.also]
        return Attacked(network, [(problem, 1.0), *more], PGD(steps=recipe.steps))
    if isinstance(recipe, Fast):
        return Attacked(network, [(problem, 1.0)], PGD(steps=1, step_size=recipe.step))
    if isinstance(recipe, Trades):
        return TradesObjective(network, problem, PGD(steps=recipe.steps), recipe.beta)
    if isinstance(recipe, Ibp):
        check_bounded(network)
        initialize(network, ground.plan.seed)
        attack = PGD(steps=recipe.steps) if recipe.steps else None
        return Certified(network, problem, recipe.natural, recipe.regularize, attack)
    if isinstance(recipe, Gaussian):
        return Noisy(network, problem, recipe.sigma, consistency=recipe.consistency)
    noisy = under_noise(network, recipe.sigma, recipe.draws, ground.bounds)
    smoothed = Problem(noisy, ground.aim, "l2", ground.bounds)
    return Noisy(network, smoothed, recipe.sigma, PGD(steps=recipe.steps), recipe.consistency)


def _augmentation(recipe: Augmented, ground: Ground) -> Augmentation | None:
    if recipe.augment is None:
        return None
    return Augmentation(Transformations(**recipe.augment.model_dump()), ground.bounds)


def _problem(network: keras.Model, norm: Norm, ground: Ground) -> Problem:
    return Problem(of_network(network), ground.aim, norm, ground.bounds)


def _threat(recipe: Adversarial | Ibp | Gaussian | SmoothAdv, eps: Eps) -> tuple[Norm, float]:
    """Norm and size of training; a network that learns from noise alone is watched within one sigma."""
    if isinstance(recipe, Gaussian):
        return "l2", recipe.sigma
    return recipe.trained_norm, recipe.trained_at(eps)


def _judged(recipe: Recipe) -> str:
    if isinstance(recipe, Ibp):
        return "certified"
    return "noisy" if isinstance(recipe, Gaussian | SmoothAdv) else "pgd"


def _check_size(norm: Norm, eps: float, ground: Ground) -> None:
    bounds, shape = ground.bounds, ground.network.input_shape[1:]
    unit = np.where(bounds.scale > 0, bounds.scale, 1)
    sides = np.broadcast_to(np.where(bounds.scale > 0, (bounds.upper - bounds.lower) / unit, 0), shape)
    largest = float(sides.max() if norm == "linf" else np.sqrt(np.square(sides).sum()))
    # Where nothing can be perturbed there is nothing to harden against, and the attack will say so.
    if largest > 0 and not 0 < eps < largest:
        raise RecipeError(f"eps is {eps:g}; it must lie between 0 and the inputs' range, {largest:g} in {norm}")


def _parted(batch: Batch, share: float) -> tuple[Batch, Batch]:
    """All but the last rows to learn from, the last ones to watch."""
    kept = len(batch) - max(1, round(share * len(batch)))
    return batch.take(np.arange(kept)), batch.take(np.arange(kept, len(batch)))

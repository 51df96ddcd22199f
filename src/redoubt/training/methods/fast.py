"""Adversarial training by one step from a random start (arXiv 2001.03994)."""

from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.params.recipes import Fast
from redoubt.training.context import TrainingContext
from redoubt.training.methods.base import Method, towards
from redoubt.training.methods.pgd import AdversarialObjective
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import Trainer


def _trainer(recipe: Fast, context: TrainingContext, problem: AttackProblem, schedule: EpsSchedule) -> Trainer:
    attack = PGD(steps=1, step_size=recipe.step)
    return towards(AdversarialObjective(context.network, [(problem, 1.0)], attack), recipe, context, schedule)


METHOD = Method[Fast](trainer=_trainer, held_out=lambda recipe: recipe.held_out)

"""Adversarial training by one step from a random start (arXiv 2001.03994)."""

from redoubt.attacks.contract import Problem
from redoubt.attacks.gradient import PGD
from redoubt.params.recipes import Fast
from redoubt.training.ground import Ground
from redoubt.training.methods.base import Method, towards
from redoubt.training.methods.pgd import Attacked
from redoubt.training.trainer import Ramp, Trainer


def _trainer(recipe: Fast, ground: Ground, problem: Problem, ramp: Ramp) -> Trainer:
    attack = PGD(steps=1, step_size=recipe.step)
    return towards(Attacked(ground.network, [(problem, 1.0)], attack), recipe, ground, ramp)


METHOD = Method[Fast](trainer=_trainer, held_out=lambda recipe: recipe.held_out)

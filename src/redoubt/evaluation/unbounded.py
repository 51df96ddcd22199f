"""The same examples without a limit: do gradients find what a search of the whole box finds without them?"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Criterion
from redoubt.attacks.core.geometry import as_records
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Bounds, Floats, Norm, Threat
from redoubt.evaluation.diagnostics import MARGIN, Unbounded
from redoubt.evaluation.redraws import Flags
from redoubt.perturbable import immovable

# Points of the box that the search tries per example.
OTHERS, CORNERS, UNIFORM = 200, 100, 100
# Wrong classes that are climbed to.
TARGETS = 9


class Arena(Protocol):
    """A model under attack, whoever it belongs to: its terms, its problems, and its own word on what is adversarial."""

    @property
    def bounds(self) -> Bounds:
        """What holds every example."""
        ...

    @property
    def criterion(self) -> Criterion:
        """What an attacker wants."""
        ...

    @property
    def steps(self) -> int:
        """Of the gradient attacks."""
        ...

    @property
    def seed(self) -> int:
        """Of everything."""
        ...

    @property
    def schema(self) -> Schema:
        """Names the features."""
        ...

    @property
    def undefended(self) -> Mapping[Norm, AttackProblem]:
        """The model, per norm."""
        ...

    def attack(self, attack: Attack, problem: AttackProblem, batch: Batch, eps: float, start: int = 0) -> Floats:
        """Perturbed inputs, re-checked."""
        ...

    def is_adversarial(self, x: Floats, y: NDArray[Any]) -> Flags:
        """Where the model is wrong."""
        ...


def unbounded(arena: Arena, batch: Batch, norm: Norm) -> Unbounded:
    """Attack the examples with an eps that reaches every value of the box, then search the box for what that missed."""
    eps = _across(arena, batch, norm)
    fixed = immovable(batch.x, arena.bounds, eps, arena.schema)
    names = fixed.features if fixed else ()
    attacked = _attacked(arena, batch, Threat(norm, eps))
    if (~attacked).mean() <= MARGIN:
        return Unbounded(attacked, fixed=names)
    searched, tried = _searched(arena, batch)
    return Unbounded(attacked, searched, tried, names)


def _across(arena: Arena, batch: Batch, norm: Norm) -> float:
    """The eps that reaches every value of what can change."""
    bounds = arena.bounds
    unit = np.where(bounds.scale > 0, bounds.scale, 1.0)
    across = np.broadcast_to(np.where(bounds.scale > 0, (bounds.upper - bounds.lower) / unit, 0.0), batch.x.shape[1:])
    return float(across.max() if norm == "linf" else np.linalg.norm(across))


def _attacked(arena: Arena, batch: Batch, threat: Threat) -> Flags:
    """Examples that PGD fools; if it leaves more than a few, those too that it fools on its way to each wrong class.

    Those attacks start at the input: with the whole box for a ball, random starts are a search without gradients.
    """
    steps, problem, criterion = arena.steps, arena.undefended[threat.norm], arena.criterion
    x_adv = arena.attack(PGD(steps=steps, early_stop=True), problem, batch, threat.eps)
    is_adversarial = arena.is_adversarial(x_adv, batch.y)
    if (~is_adversarial).mean() <= MARGIN:
        return is_adversarial
    # The box is the same in both norms, and an L2 step that all features share is rounded away from whole numbers.
    problem, eps = arena.undefended["linf"], _across(arena, batch, "linf")
    towards, ways = criterion.directions(problem.predict(batch.x), batch.y, TARGETS)
    aimed, climb = problem.aimed(towards), PGD(steps=steps, random_start=False)
    for way in ways:
        left = np.flatnonzero(~is_adversarial)
        x_adv = arena.attack(climb, aimed, Batch(batch.x, way).take(left), eps)
        is_adversarial[left] = arena.is_adversarial(x_adv, batch.y[left])
    return is_adversarial


def _searched(arena: Arena, batch: Batch) -> tuple[Flags, int]:
    """Examples that some point of the box fools, no gradient used: others' values, corners and chance."""
    bounds, is_adversarial = arena.bounds, arena.is_adversarial(batch.x, batch.y)
    points = _points(arena, batch)
    for point in points:
        left = np.flatnonzero(~is_adversarial)
        if not len(left):
            break
        some = batch.take(left)
        x_adv = np.where(bounds.scale > 0, np.broadcast_to(point, some.x.shape), some.x).astype(np.float32)
        x_adv = as_records(some.x, bounds.allowed(some.x, x_adv), np.inf, "linf", bounds)
        is_adversarial[left] = arena.is_adversarial(x_adv, some.y)
    return is_adversarial, len(points)


def _points(arena: Arena, batch: Batch) -> Floats:
    """Where to look, `(points, ...)`."""
    bounds, rng, shape = arena.bounds, np.random.default_rng(arena.seed), batch.x.shape[1:]
    lower, upper = np.broadcast_to(bounds.lower, shape), np.broadcast_to(bounds.upper, shape)
    others = batch.x[rng.permutation(len(batch))[:OTHERS]]
    corners = np.where(rng.random((CORNERS, *shape)) < 0.5, lower, upper)
    uniform = lower + rng.random((UNIFORM, *shape)) * (upper - lower)
    return np.concatenate([others, corners, uniform]).astype(np.float32)

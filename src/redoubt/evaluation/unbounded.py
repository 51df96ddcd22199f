"""The same examples without a limit: do gradients find what a search of the whole box finds without them?"""

from dataclasses import replace

import numpy as np

from redoubt.attacks.geometry import round_integers
from redoubt.attacks.gradient import PGD
from redoubt.evaluation.attack_columns import Evaluation
from redoubt.evaluation.diagnostics import MARGIN, Unbounded
from redoubt.evaluation.evaluator import Evaluator
from redoubt.evaluation.importance import share_of
from redoubt.evaluation.redraws import Flags
from redoubt.perturbable import immovable
from redoubt.types import Batch, Floats, Norm, Threat

# Points of the box that the search tries per example.
OTHERS, CORNERS, UNIFORM = 200, 100, 100
# Wrong classes that are climbed to.
TARGETS = 9


def unbounded(evaluation: Evaluation, norm: Norm) -> Unbounded:
    """Attack the examples with an eps that reaches every value of the box, then search the box for what that missed."""
    evaluator, batch = evaluation.evaluator, evaluation.batch
    eps = _across(evaluator, batch, norm)
    fixed = immovable(batch.x, evaluator.config.bounds, eps, evaluator.guarded.schema)
    names = fixed.features if fixed else ()
    importance = share_of(names, evaluation.importance) if names else None
    attacked = _attacked(evaluator, batch, Threat(norm, eps))
    if (~attacked).mean() <= MARGIN:
        return Unbounded(attacked, fixed=names, importance=importance)
    searched, tried = _searched(evaluator, batch)
    return Unbounded(attacked, searched, tried, names, importance)


def _across(evaluator: Evaluator, batch: Batch, norm: Norm) -> float:
    """The eps that reaches every value of what can change."""
    bounds = evaluator.config.bounds
    unit = np.where(bounds.scale > 0, bounds.scale, 1.0)
    across = np.broadcast_to(np.where(bounds.scale > 0, (bounds.upper - bounds.lower) / unit, 0.0), batch.x.shape[1:])
    return float(across.max() if norm == "linf" else np.linalg.norm(across))


def _attacked(evaluator: Evaluator, batch: Batch, threat: Threat) -> Flags:
    """Examples that PGD fools; if it leaves more than a few, those too that it fools on its way to each wrong class.

    Those attacks start at the input: with the whole box for a ball, random starts are a search without gradients.
    """
    steps, problem, criterion = (
        evaluator.config.params.steps,
        evaluator.undefended[threat.norm],
        evaluator.config.criterion,
    )
    x_adv = evaluator.attack(PGD(steps=steps, early_stop=True), problem, batch, threat.eps)
    is_adversarial = evaluator.is_adversarial(x_adv, batch.y)
    if (~is_adversarial).mean() <= MARGIN:
        return is_adversarial
    # The box is the same in both norms, and an L2 step that all features share is rounded away from whole numbers.
    problem, eps = evaluator.undefended["linf"], _across(evaluator, batch, "linf")
    towards, ways = criterion.directions(problem.predict(batch.x), batch.y, TARGETS)
    aimed, climb = replace(problem, criterion=towards, compiled={}), PGD(steps=steps, random_start=False)
    for way in ways:
        left = np.flatnonzero(~is_adversarial)
        x_adv = evaluator.attack(climb, aimed, Batch(batch.x, way).take(left), eps)
        is_adversarial[left] = evaluator.is_adversarial(x_adv, batch.y[left])
    return is_adversarial


def _searched(evaluator: Evaluator, batch: Batch) -> tuple[Flags, int]:
    """Examples that some point of the box fools, no gradient used: others' values, corners and chance."""
    bounds, is_adversarial = evaluator.config.bounds, evaluator.is_adversarial(batch.x, batch.y)
    points = _points(evaluator, batch)
    for point in points:
        left = np.flatnonzero(~is_adversarial)
        if not len(left):
            break
        some = batch.take(left)
        x_adv = np.where(bounds.scale > 0, np.broadcast_to(point, some.x.shape), some.x).astype(np.float32)
        is_adversarial[left] = evaluator.is_adversarial(round_integers(some.x, x_adv, bounds), some.y)
    return is_adversarial, len(points)


def _points(evaluator: Evaluator, batch: Batch) -> Floats:
    """Where to look, `(points, ...)`."""
    bounds, rng, shape = evaluator.config.bounds, np.random.default_rng(evaluator.config.seed), batch.x.shape[1:]
    lower, upper = np.broadcast_to(bounds.lower, shape), np.broadcast_to(bounds.upper, shape)
    others = batch.x[rng.permutation(len(batch))[:OTHERS]]
    corners = np.where(rng.random((CORNERS, *shape)) < 0.5, lower, upper)
    uniform = lower + rng.random((UNIFORM, *shape)) * (upper - lower)
    return np.concatenate([others, corners, uniform]).astype(np.float32)

"""The same rows without a limit: do gradients find what a search of the whole box finds without them?"""

from dataclasses import replace

import numpy as np

from redoubt.attacks.geometry import keep_whole
from redoubt.attacks.gradient import PGD
from redoubt.evaluation.importance import share_of
from redoubt.evaluation.lint import MARGIN, Unlimited
from redoubt.evaluation.redraws import Flags
from redoubt.evaluation.robustness import Evaluation
from redoubt.evaluation.subject import Subject
from redoubt.perturbable import immovable
from redoubt.types import Batch, Floats, Norm, Threat

# Points of the box that the search tries per row.
OTHERS, CORNERS, UNIFORM = 200, 100, 100
# Wrong classes that are climbed to.
TARGETS = 9


def unlimited(evaluation: Evaluation, norm: Norm) -> Unlimited:
    """Attack the rows with an eps that reaches every value of the box, then search the box for what that missed."""
    subject, batch = evaluation.subject, evaluation.batch
    eps = _across(subject, batch, norm)
    fixed = immovable(batch.x, subject.setting.bounds, eps, subject.guarded.schema)
    names = fixed.features if fixed else ()
    importance = share_of(names, evaluation.importance) if names else None
    attacked = _attacked(subject, batch, Threat(norm, eps))
    if (~attacked).mean() <= MARGIN:
        return Unlimited(attacked, fixed=names, importance=importance)
    searched, tried = _searched(subject, batch)
    return Unlimited(attacked, searched, tried, names, importance)


def _across(subject: Subject, batch: Batch, norm: Norm) -> float:
    """The eps that reaches every value of what can change."""
    bounds = subject.setting.bounds
    unit = np.where(bounds.scale > 0, bounds.scale, 1.0)
    across = np.broadcast_to(np.where(bounds.scale > 0, (bounds.upper - bounds.lower) / unit, 0.0), batch.x.shape[1:])
    return float(across.max() if norm == "linf" else np.linalg.norm(across))


def _attacked(subject: Subject, batch: Batch, threat: Threat) -> Flags:
    """Rows that PGD breaks; if it leaves more than a few, those too that it breaks on its way to each wrong answer.

    Those climbs begin at the input: with the whole box for a ball, random starts are a search without gradients.
    """
    steps, problem, criterion = subject.setting.params.steps, subject.plain[threat.norm], subject.setting.criterion
    moved = subject.attack(PGD(steps=steps, stop_when_won=True), problem, batch, threat.eps)
    lost = subject.lost(moved, batch.y)
    if (~lost).mean() <= MARGIN:
        return lost
    # The box is the same in both norms, and an L2 step that all features share is rounded away from whole numbers.
    problem, eps = subject.plain["linf"], _across(subject, batch, "linf")
    towards, ways = criterion.directions(problem.answers(batch.x), batch.y, TARGETS)
    aimed, climb = replace(problem, criterion=towards, compiled={}), PGD(steps=steps, random_start=False)
    for way in ways:
        left = np.flatnonzero(~lost)
        moved = subject.attack(climb, aimed, Batch(batch.x, way).take(left), eps)
        lost[left] = subject.lost(moved, batch.y[left])
    return lost


def _searched(subject: Subject, batch: Batch) -> tuple[Flags, int]:
    """Rows that some point of the box breaks, no gradient used: others' values, corners and chance."""
    bounds, lost = subject.setting.bounds, subject.lost(batch.x, batch.y)
    points = _points(subject, batch)
    for point in points:
        left = np.flatnonzero(~lost)
        if not len(left):
            break
        some = batch.take(left)
        moved = np.where(bounds.scale > 0, np.broadcast_to(point, some.x.shape), some.x).astype(np.float32)
        lost[left] = subject.lost(keep_whole(some.x, moved, bounds), some.y)
    return lost, len(points)


def _points(subject: Subject, batch: Batch) -> Floats:
    """Where to look, `(points, ...)`."""
    bounds, rng, shape = subject.setting.bounds, np.random.default_rng(subject.setting.seed), batch.x.shape[1:]
    lower, upper = np.broadcast_to(bounds.lower, shape), np.broadcast_to(bounds.upper, shape)
    others = batch.x[rng.permutation(len(batch))[:OTHERS]]
    corners = np.where(rng.random((CORNERS, *shape)) < 0.5, lower, upper)
    uniform = lower + rng.random((UNIFORM, *shape)) * (upper - lower)
    return np.concatenate([others, corners, uniform]).astype(np.float32)

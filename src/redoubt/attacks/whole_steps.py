"""Integer features one at a time, without a gradient: what rounding hides from attacks that spread an L2 step.

So does the next of the few values that a feature may take, which lies further away than a step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.geometry import distance, must_stay_integer
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.core.repair import keep_relations
from redoubt.core.types import Bounds, Floats, Measure

SLACK = 1e-6


@dataclass(frozen=True)
class WholeSteps(Attack):
    """In each round the change of one such feature that raises the margin most: by 1, or by all that eps allows.

    A step along the gradient is shared by all features in L2, and rounding takes it back from each whose share is less
    than a whole number; one of them alone might have had it all.

    Attributes:
        rounds: changes per example at most, >= 1.
    """

    rounds: int = 4

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`."""
        x_adv, margin = x.copy(), _margin(problem, x, y, seed)
        for _ in range(self.rounds):
            best, reached = x_adv.copy(), margin.copy()
            for changed in _changed(x_adv, problem.bounds, eps):
                other = keep_relations(x, changed, eps, problem.norm, problem.bounds, last=x_adv)
                rows = np.flatnonzero((margin <= 0) & _allowed(problem, x, other, eps))
                if len(rows):
                    found = _margin(problem, other[rows], y[rows], seed)
                    better = rows[found > reached[rows]]
                    reached[better] = found[found > reached[rows]]
                    best[better] = other[better]
            if np.array_equal(best, x_adv):
                break
            x_adv, margin = best, reached
        return x_adv


def hides_in_rounding(bounds: Bounds, norm: Measure) -> bool:
    """Whether rounding hides a gradient's step: of whole numbers where all features share it, and of listed values."""
    return bool(bounds.listed) or (norm != "linf" and bool(np.any(bounds.integer & (bounds.scale > 0))))


def _changed(x_adv: Floats, bounds: Bounds, eps: float) -> Iterator[Floats]:
    """Every change of one feature that takes whole numbers or few values, made in all examples."""
    for listed, values in bounds.listed.items():
        for value in values:
            other = x_adv.copy()
            other[:, listed] = value
            yield other
    scale = np.broadcast_to(bounds.scale, x_adv.shape[1:])
    for place in np.flatnonzero(np.broadcast_to(bounds.integer, x_adv.shape[1:]) & (scale > 0)):
        for size in sorted({1.0, float(np.floor(eps * float(scale[place]) + SLACK))} - {0.0}):
            for sign in (1.0, -1.0):
                other = x_adv.copy()
                other[:, place] += np.float32(sign * size)
                yield other


def _allowed(problem: AttackProblem, x: Floats, other: Floats, eps: float) -> NDArray[np.bool_]:
    bounds = problem.bounds
    inside = ((other >= bounds.lower) & (other <= bounds.upper)).all(axis=1)
    # What a relation's repair has changed beside the feature may be any number.
    whole = (must_stay_integer(x, bounds) | ~np.asarray(bounds.integer) | (other == x)).all(axis=1)
    allowed: NDArray[np.bool_] = inside & whole & (distance(other - x, problem.norm, bounds) <= eps * (1 + SLACK))
    return allowed


def _margin(problem: AttackProblem, x: Floats, y: NDArray[Any], seed: int) -> Floats:
    found: Floats = problem.criterion.margin(tf.constant(problem.predict(x, seed)), tf.constant(y)).numpy()
    return found

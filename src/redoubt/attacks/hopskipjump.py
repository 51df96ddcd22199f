"""HopSkipJump (arXiv 1904.02144): from a misclassified input along the boundary to a near one, by decisions alone."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.geometry import as_records, distance, project
from redoubt.attacks.core.problem import BATCH, AttackProblem
from redoubt.attacks.query import Flags, QueryAttack, QueryResult, Tally
from redoubt.bundle.batches import slices
from redoubt.core.types import Floats, Ints

# Queries: random inputs tried as a start, and halvings of a step that went too far.
STARTS, RETREATS = 25, 10
TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class HopSkipJump(QueryAttack):
    """Start from any adversarial input, and come nearer for as long as there are queries.

    It never uses scores, only whether a decision is what the attacker wants. An example is done as soon as a
    winning input lies within eps; one that never comes so near is given back as it was.

    An example starts from a random input of the box. Where none of those is adversarial, as for most targets, it starts
    from the nearest of the other given examples that was classified as wanted; only there do other examples matter to
    it.

    Attributes:
        queries: per example, >= 1: one for the input, then those of starts, searches, directions and steps.
        samples: queries for the first estimate of a direction; the t-th takes sqrt(t) times as many.
    """

    samples: int = 100

    def query(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> QueryResult:
        """See `QueryAttack.query`."""
        tally, rows = Tally(problem, x, y, seed), np.arange(len(x))
        outputs = tally.ask(x, rows)
        rows = rows[~tally.is_adversarial(outputs, rows)]
        hunt = _Hunt(problem, tally, x, eps, self.queries, seed)
        rows = hunt.approach(hunt.start(rows, outputs))
        step = 1
        while len(rows := rows[hunt.left(rows) > hunt.reserve]):
            hunt.leap(rows, hunt.slopes(rows, round(self.samples * math.sqrt(step))), step)
            rows = hunt.approach(rows)
            step += 1
        return tally.closed()


class _Hunt:
    """The adversarial input known so far of each example, still farther than eps away."""

    def __init__(self, problem: AttackProblem, tally: Tally, x: Floats, eps: float, queries: int, seed: int) -> None:
        self.tally, self.x, self.eps, self.queries = tally, x, eps, queries
        self.norm, self.bounds = problem.norm, problem.bounds
        self.point = x.copy()
        # A generator per example: an example's luck does not depend on the others.
        self.draws = [np.random.default_rng([seed, row]) for row in range(len(x))]
        self.movable = np.broadcast_to(self.bounds.scale, x.shape[1:]) > 0
        # The paper's precision is inputs ** -1.5, which is coarse where there are few.
        self.halvings = math.ceil(math.log2(max(int(self.movable.sum()) ** 1.5, 1000)))
        self.reserve = self.halvings + 3

    def left(self, rows: Ints) -> Ints:
        """Queries each example has left."""
        return self.queries - self.tally.queries[rows]

    def start(self, rows: Ints, outputs: Floats) -> Ints:
        """Find adversarial inputs; returns the examples that have one."""
        waiting = rows
        for _ in range(STARTS):
            if not len(waiting):
                break
            noise = np.stack([self.draws[row].random(self.x.shape[1:], np.float32) for row in waiting])
            wide = self.bounds.lower + noise * (self.bounds.upper - self.bounds.lower)
            waiting = waiting[~self._try(waiting, wide)]
        for row in waiting:
            wanted = np.flatnonzero(self.tally.is_adversarial(outputs, np.full(len(outputs), row)))[:BATCH]
            if len(wanted):
                change = np.where(self.movable, self.x[wanted] - self.x[row], 0)
                nearest = wanted[distance(change, self.norm, self.bounds).argmin()]
                self._try(np.array([row]), self.x[nearest : nearest + 1])
        return rows[self._far(rows) > 0]

    def approach(self, rows: Ints) -> Ints:
        """Draw the points back to the boundary; returns the examples whose points remain farther than eps."""
        if not len(rows):
            return rows
        near = self._drawn_back(rows, np.full(len(rows), self.eps))
        reached = self._is_adversarial(near, rows)
        self.tally.x_adv[rows[reached]] = near[reached]
        rows = rows[~reached]
        low, high = np.full(len(rows), self.eps), self._far(rows)
        for _ in range(self.halvings if len(rows) else 0):
            middle = (low + high) / 2
            adversarial = self._try(rows, self._drawn_back(rows, middle))
            low, high = np.where(adversarial, low, middle), np.where(adversarial, middle, high)
        return rows

    def slopes(self, rows: Ints, samples: int) -> Floats:
        """Directions in which the decisions turn to the attacker's favour, in units of the scale, `(examples, ...)`."""
        # What remains must pay for the step and the search after it.
        counts = np.minimum(samples, self.left(rows) - self.reserve)
        group = max(BATCH // samples, 1)
        return np.concatenate([self._slopes(rows[part], counts[part]) for part in slices(len(rows), group)])

    def leap(self, rows: Ints, slopes: Floats, step: int) -> None:
        """Go along the slopes, half as far wherever that fails, not at all if nothing succeeds."""
        way = np.sign(slopes) if self.norm == "linf" else _unit(slopes)
        size = self._far(rows) / math.sqrt(step)
        for _ in range(RETREATS):
            if not len(rows):
                break
            change = _like(size, way) * way * self.bounds.scale
            lost = ~self._try(rows, self.point[rows] + change)
            rows, way, size = rows[lost], way[lost], size[lost] / 2

    def _slopes(self, rows: Ints, counts: Ints) -> Floats:
        owners, shape = np.repeat(rows, counts), self.x.shape[1:]
        drawn = [self.draws[row].standard_normal((n, *shape), np.float32) for row, n in zip(rows, counts, strict=True)]
        noise = _unit(np.concatenate(drawn) * self.movable)
        scale = self.bounds.scale
        usable: Floats = np.where(scale > 0, scale, np.float32(1))
        away = _lengths((self.point[rows] - self.x[rows]) / usable)
        size = np.repeat(away * min(1 / max(int(self.movable.sum()), 1), 0.1), counts, axis=0)
        near = self._inside(owners, self.point[owners] + size * noise * scale)
        adversarial = self._is_adversarial(near, owners)
        # Clipping has bent some directions.
        bent = ((near - self.point[owners]) / usable / np.maximum(size, TINY)).astype(np.float32)
        ends = np.cumsum(counts)[:-1]
        return np.stack(
            [_favour(*part) for part in zip(np.split(adversarial, ends), np.split(bent, ends), strict=True)]
        )

    def _try(self, rows: Ints, candidates: Floats) -> Flags:
        """Move the examples' points where the result is adversarial."""
        inside = self._inside(rows, candidates)
        adversarial = self._is_adversarial(inside, rows)
        self.point[rows[adversarial]] = inside[adversarial]
        return adversarial

    def _is_adversarial(self, candidates: Floats, rows: Ints) -> Flags:
        """Query; an example without queries left is not queried and not adversarial."""
        adversarial, asked = np.zeros(len(rows), dtype=bool), self.left(rows) > 0
        if asked.any():
            adversarial[asked] = self.tally.is_adversarial(self.tally.ask(candidates[asked], rows[asked]), rows[asked])
        return adversarial

    def _inside(self, rows: Ints, candidates: Floats, reach: Any = np.inf) -> Floats:
        """Valid records: inside the box and within reach, whole where that must be, unchanged where nothing changes."""
        inside = np.clip(candidates, self.bounds.lower, self.bounds.upper).astype(np.float32)
        inside = self.bounds.allowed(self.x[rows], inside)
        inside = np.where(self.movable, inside, self.x[rows])
        return as_records(self.x[rows], inside, reach, self.norm, self.bounds)

    def _drawn_back(self, rows: Ints, radius: NDArray[np.float64]) -> Floats:
        """The examples' points drawn back to a distance: along the line (L2), or cut off on every side (L-inf)."""
        x, reach = self.x[rows], _like(radius, self.x).astype(np.float32)
        back = project(tf.constant(x), tf.constant(self.point[rows]), reach, self.norm, self.bounds).numpy()
        return self._inside(rows, back, reach)

    def _far(self, rows: Ints) -> NDArray[np.float64]:
        return distance(self.point[rows] - self.x[rows], self.norm, self.bounds)


def _like(values: NDArray[Any], x: Floats) -> NDArray[Any]:
    return values.reshape(-1, *[1] * (x.ndim - 1))


def _lengths(change: Floats) -> Floats:
    return np.sqrt(np.square(change).sum(axis=tuple(range(1, change.ndim)), keepdims=True))


def _unit(change: Floats) -> Floats:
    return change / (_lengths(change) + np.float32(TINY))


def _favour(adversarial: Flags, directions: Floats) -> Floats:
    """Mean direction, each for or against as its decision is (the paper's equation 16)."""
    votes = np.where(adversarial, np.float32(1), np.float32(-1))
    # Where all answers are the same there is no balance to strike: they lie to one side.
    balanced = votes if adversarial.all() or not adversarial.any() else votes - votes.mean()
    return (np.tensordot(balanced, directions, axes=1) / len(adversarial)).astype(np.float32)

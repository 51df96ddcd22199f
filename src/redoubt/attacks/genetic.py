"""Evolutionary search on scores alone, after MOEVA (arXiv 2112.01156), for tables whose columns are related.

MOEVA weighs three objectives against each other: the margin, the distance and the violation of constraints. Here every
candidate is repaired before it is asked about, so that distance and constraints hold for all of them and the margin
alone decides. What the repair cannot mend stays a copy of its parent. Mutable categories are inherited whole from a
parent or from the best candidate, and mutate one at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.geometry import project, round_integers
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.core.repair import keep_relations
from redoubt.attacks.query import QueryAttack, QueryResult, Tally
from redoubt.bundle.switches import Switches
from redoubt.core.types import Floats, Ints

# Of differential evolution: the weight of a difference, and the share of inputs that a child takes from it.
WEIGHT, CROSSED = 0.7, 0.7
# Share of the children that are a parent with a few inputs thrown to an end of their range, or back to the example.
THROWN = 0.5
# Share of the children one of whose mutable categories is drawn anew.
MUTATED = 0.3
# `(numbers per example) -> uniform in [0, 1), (examples, numbers)`.
Draw = Callable[[int], Floats]


@dataclass(frozen=True, kw_only=True)
class GeneticSearch(QueryAttack):
    """A population per example; a child takes its parent's place unless its margin is lower.

    Inputs of any shape are searched as flat ones; it is made for tables, where a few of them carry a perturbation.

    Attributes:
        queries: per example, >= 1: one for the input, the others for whole generations.
        population: candidates per example, >= 4.
    """

    population: int = 20

    def query(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> QueryResult:
        """See `QueryAttack.query`."""
        tally, rows = Tally(problem, x, y, seed), np.arange(len(x))
        rows = rows[~tally.is_adversarial(tally.ask(x, rows), rows)]
        flat = x.reshape(len(x), -1)
        people = np.repeat(flat[rows][:, None], self.population, axis=1)
        margin = np.full(people.shape[:2], -np.inf, np.float32)
        for generation in range((self.queries - 1) // self.population):
            if not len(rows):
                break
            draw = _drawer([seed, generation], rows, len(x))
            ball = _Ball(problem, x[rows], eps)
            born = _born(people, margin, ball, draw) if generation else _first(people, ball, draw)
            children = ball.valid(ball.switched(people, born, margin, draw), people)
            owners = np.repeat(rows, self.population)
            outputs = tally.ask(children.reshape(-1, *x.shape[1:]), owners)
            reached = tally.margin(outputs, owners).reshape(margin.shape)
            adversarial = tally.is_adversarial(outputs, owners).reshape(margin.shape)
            better = (reached >= margin) | adversarial
            people, margin = np.where(better[..., None], children, people), np.where(better, reached, margin)
            done = adversarial.any(axis=1)
            found = people[done, adversarial[done].argmax(axis=1)]
            tally.x_adv[rows[done]] = found.reshape(-1, *x.shape[1:])
            rows, people, margin = rows[~done], people[~done], margin[~done]
        if self.queries > self.population:
            tally.x_adv[rows] = _best(people, margin).reshape(-1, *x.shape[1:])
        return tally.closed()


@dataclass(frozen=True, eq=False)
class _Ball:
    """What some examples may become."""

    problem: AttackProblem
    x: Floats
    eps: float

    @property
    def flat(self) -> Floats:
        """The examples `(rows, 1, inputs)`."""
        return self.x.reshape(len(self.x), 1, -1)

    @property
    def ends(self) -> tuple[Floats, Floats]:
        """Lowest and highest value of each input by itself, `(rows, 1, inputs)`."""
        bounds = self.problem.bounds
        low, high = bounds.ends(self.x, self.eps)
        sides = np.maximum(low, bounds.lower), np.minimum(high, bounds.upper)
        return sides[0].reshape(self.flat.shape), sides[1].reshape(self.flat.shape)

    def switched(self, people: Floats, born: Floats, margin: Floats, draw: Draw) -> Floats:
        """Children with categories: of their parents, `people`, or of the best of these, one of them drawn anew."""
        switches = self.problem.bounds.switches_within(self.eps)
        if switches is None:
            return born
        shape, width = born.shape, born.shape[2]
        best = np.broadcast_to(_best(people, margin)[:, None], shape)
        parents = np.where(draw(shape[1])[..., None] < CROSSED / 2, best, people)
        codes = switches.codes(parents.reshape(-1, width))
        drawn = draw(shape[1] * 4).reshape(-1, 4)
        x = np.repeat(self.flat[:, 0], shape[1], axis=0)
        codes = _mutated(switches, switches.codes(x), codes, drawn)
        return switches.put(born.reshape(-1, width).astype(np.float32), codes).reshape(shape)

    def valid(self, people: Floats, parents: Floats) -> Floats:
        """Candidates `(rows, population, inputs)` as records within eps that keep relations, or as their parents."""
        problem, each = self.problem, people.shape[1]
        x = np.repeat(self.x, each, axis=0)
        tried, last = (part.reshape(x.shape).astype(np.float32) for part in (people, parents))
        eps: Any = np.float32(self.eps)
        switches = problem.bounds.switches
        if switches is not None:
            # Categories are chosen already; what follows is about numbers, and leaves them as they are.
            if problem.norm == "l1":
                # What of eps the switches leave; the parents' are always affordable.
                dear = switches.price(switches.put(x, switches.codes(tried)) != x) > self.eps
                tried = np.where(dear[:, None], last, tried)
            chosen = switches.put(x, switches.codes(tried))
            if problem.norm == "l1":
                eps = (self.eps - switches.price(chosen != x))[:, None].astype(np.float32)
            x = chosen
        free = replace(problem.bounds, relations=None)
        near = project(tf.constant(x), tf.constant(tried), eps, problem.norm, free).numpy()
        near = round_integers(x, near, problem.bounds)
        return keep_relations(x, near, eps, problem.norm, problem.bounds, last=last).reshape(people.shape)


def _drawer(seed: list[int], rows: Ints, count: int) -> Draw:
    # Drawn for all examples, so that an example's luck does not depend on which others still stand.
    rng = np.random.default_rng(seed)
    return lambda numbers: rng.random((count, numbers), np.float32)[rows]


def _first(people: Floats, ball: _Ball, draw: Draw) -> Floats:
    """Every input of every candidate at its lowest or highest value or as it is."""
    return _thrown(people, ball, _like(draw, people))


def _born(people: Floats, margin: Floats, ball: _Ball, draw: Draw) -> Floats:
    """One child per candidate: a step towards the best and along a difference of two others, or a few inputs thrown."""
    rows, size, inputs = people.shape
    one, other = ((draw(size) * size).astype(np.int64) for _ in range(2))
    at = np.arange(rows)[:, None]
    ahead = people + WEIGHT * (_best(people, margin)[:, None] - people) + WEIGHT * (people[at, one] - people[at, other])
    mixed = np.where(_like(draw, people) < CROSSED, ahead, people)
    # One input in a candidate's throw on average, up to a few.
    few = _like(draw, people) < (1 + 2 * draw(size)[..., None]) / inputs
    thrown = np.where(few, _thrown(people, ball, _like(draw, people)), people)
    return np.where(draw(size)[..., None] < THROWN, thrown, mixed)


def _mutated(switches: Switches, given: Ints, codes: Ints, drawn: Floats) -> Ints:
    """Some candidates with one category drawn anew, and another one as given where too many are switched then.

    Args:
        switches: what may be switched.
        given: categories of the examples, `(candidates, columns)`.
        codes: of the candidates, likewise; no more of them switched than may be.
        drawn: uniform numbers, `(candidates, 4)`.
    """
    rows = np.flatnonzero(drawn[:, 0] < MUTATED)
    sizes, found = np.array([size for _, size in switches.places]), codes.copy()
    column = (drawn[rows, 1] * len(sizes)).astype(np.int64)
    found[rows, column] = (drawn[rows, 2] * sizes[column]).astype(np.int64)
    for row, changed in zip(rows, column, strict=True):
        others = np.flatnonzero(found[row] != given[row])
        if len(others) > switches.most:
            others = others[others != changed]
            back = others[int(drawn[row, 3] * len(others))]
            found[row, back] = given[row, back]
    return found


def _thrown(people: Floats, ball: _Ball, drawn: Floats) -> Floats:
    """Inputs at their lowest or highest value, or as they were, each of them as often as the others."""
    low, high = ball.ends
    found: Floats = np.where(drawn < 1 / 3, low, np.where(drawn < 2 / 3, high, ball.flat))
    return np.broadcast_to(found, people.shape)


def _like(draw: Draw, people: Floats) -> Floats:
    return draw(people.shape[1] * people.shape[2]).reshape(people.shape)


def _best(people: Floats, margin: Floats) -> Floats:
    """The candidate with the largest margin of each example, `(rows, inputs)`."""
    best: Floats = people[np.arange(len(people)), margin.argmax(axis=1)]
    return best

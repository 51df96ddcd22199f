"""Mutable categories for any attack: it is run on the example, then from the switches that promise most.

What an attacker may reach is the ball round the example and round each record that switches make of it. A switch is
one of few, so that no gradient has to guess which is best: the model is asked about them, with the numbers as they are
and with those that the attack has found for the categories as given.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.geometry import as_records, distance
from redoubt.attacks.core.problem import AttackProblem
from redoubt.bundle.switches import Switches
from redoubt.core.types import Floats, Ints

# Records attacked per example beside itself, and how many there may be for all to be asked about together.
TRIES, ASKED = 3, 512
SLACK = 1e-5
Perturb = Callable[[AttackProblem, Floats, NDArray[Any], float, int], Floats]


def over_switches(
    perturb: Perturb, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int
) -> Floats:
    """Perturb examples as they are, and those still robust from the records that switches make of them.

    Args:
        perturb: an attack that leaves categories as they are given.
        problem: what is attacked; without switches the attack is all there is.
        x: inputs `(examples, features)`.
        y: labels or values `(examples,)`.
        eps: that the numbers keep within.
        seed: of the attack.

    Returns:
        Per example the perturbation with the largest margin.
    """
    switches = problem.bounds.switches_within(eps)
    if switches is None:
        return perturb(problem, x, y, eps, seed)
    given = categories_as_given(problem)
    best = as_records(x, perturb(given, x, y, eps, seed), eps, problem.norm, problem.bounds)
    margin = _margin(problem, best, y, seed)
    left = np.flatnonzero(~(margin > 0))
    if not len(left):
        return best
    codes = _promising(problem, switches, (x[left], best[left]), y[left], seed)
    # The numbers that were found may do with other categories as they are.
    attempts: list[Perturb] = [lambda _, base, *rest: base, *[perturb] * TRIES]
    bases = [switches.put(best[left], codes[0]), *(switches.put(x[left], each) for each in codes)]
    for attempt, base in zip(attempts, bases, strict=False):
        rows = np.flatnonzero(~(margin[left] > 0))
        if not len(rows):
            break
        at = left[rows]
        left_over = eps - switches.price(base[rows] != x[at]) if problem.norm == "l1" else np.full(len(at), eps)
        found = _with_what_is_left(attempt, given, (base[rows], y[at]), left_over, seed)
        found = as_records(x[at], found, eps, problem.norm, problem.bounds)
        reached = _margin(problem, found, y[at], seed)
        better = (reached > margin[at]) & _affordable(problem, x[at], found, eps)
        best[at[better]], margin[at[better]] = found[better], reached[better]
    return best


def _affordable(problem: AttackProblem, x: Floats, found: Floats, eps: float) -> NDArray[np.bool_]:
    """Where switches and changes of numbers together cost no more than eps; switches that have no price always do."""
    if problem.norm != "l1":
        return np.ones(len(x), np.bool_)
    affordable: NDArray[np.bool_] = distance(found - x, problem.norm, problem.bounds) <= eps * (1 + SLACK)
    return affordable


def _with_what_is_left(
    perturb: Perturb, problem: AttackProblem, rows: tuple[Floats, NDArray[Any]], eps: NDArray[np.float64], seed: int
) -> Floats:
    """Perturb records each by its own eps, `(rows,)`, of which the price of its switches is already taken."""
    found = rows[0].copy()
    for size in np.unique(eps[eps >= 0]):
        some = np.flatnonzero(eps == size)
        found[some] = perturb(problem, rows[0][some], rows[1][some], float(size), seed)
    return found


def categories_as_given(problem: AttackProblem) -> AttackProblem:
    """The same problem for an attack that switches nothing, remembered with all that is compiled for it."""
    key = "categories as given"
    if key not in problem.compiled:
        problem.compiled[key] = replace(problem, bounds=problem.bounds.categories_as_given, compiled={})
    given: AttackProblem = problem.compiled[key]
    return given


def _promising(
    problem: AttackProblem, switches: Switches, numbers: tuple[Floats, ...], y: NDArray[Any], seed: int
) -> list[Ints]:
    """Categories `(examples, columns)` of the records with the largest margins, most promising first."""
    if switches.count <= ASKED:
        return _best(problem, switches, numbers, y, seed)[:TRIES]
    found: list[Ints] = []
    # So many are not asked about together: one column after another, each on top of the best before.
    for _ in range(switches.most):
        found.insert(0, _best(problem, switches.singles(), numbers, y, seed)[0])
        numbers = tuple(switches.put(each, found[0]) for each in numbers)
    return found[:TRIES]


def _best(
    problem: AttackProblem, switches: Switches, numbers: tuple[Floats, ...], y: NDArray[Any], seed: int
) -> list[Ints]:
    margins, codes = [], []
    for copies in zip(*(switches.copies(each) for each in numbers), strict=True):
        margins.append(np.maximum.reduce([_margin(problem, each, y, seed) for each in copies]))
        codes.append(switches.codes(copies[0]))
    ranked, rows = np.argsort(-np.stack(margins), axis=0, kind="stable"), np.arange(len(y))
    return [np.stack(codes)[place, rows] for place in ranked[:TRIES]]


def _margin(problem: AttackProblem, x: Floats, y: NDArray[Any], seed: int) -> Floats:
    found: Floats = problem.criterion.margin(tf.constant(problem.predict(x, seed)), tf.constant(y)).numpy()
    return found

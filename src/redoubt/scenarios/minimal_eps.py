"""The smallest eps at which an attack succeeds, example by example."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.problem import AttackError, AttackProblem
from redoubt.core.types import Batch


def minimal_eps(
    attack: Attack,
    problem: AttackProblem,
    rows: Batch,
    *,
    largest: float,
    tolerance: float,
    seed: int,
    bar: "tqdm[Any] | None" = None,
) -> NDArray[np.float64]:
    """Bisect eps for every example, assuming that an attack that succeeds at an eps succeeds at a larger one.

    Args:
        attack: tried at every eps; its own strength is part of the result.
        problem: what is attacked.
        rows: inputs in raw units, float32 `(examples, ...)`, and labels or values `(examples,)`.
        largest: eps tried first, > 0, in units of `bounds.scale`.
        tolerance: by how much the result may exceed the smallest eps, > 0.
        seed: of every attack.
        bar: moved on by one per example and attack, `attacks(largest, tolerance)` per example in all; an example that
            needs no search moves it by all of its own at once.

    Returns:
        Per example an eps at which the attack did succeed, `(examples,)`: 0 where the clean input is misclassified,
        infinity where even `largest` does not.

    Raises:
        AttackError: largest or tolerance is not above 0; see `Attack`.
    """
    if not (largest > 0 and tolerance > 0):
        raise AttackError(f"largest is {largest} and tolerance {tolerance}; both must be above 0")
    low, high = np.zeros(len(rows)), np.full(len(rows), np.inf)
    high[_is_adversarial(attack, problem, rows, float(largest), seed)] = largest
    if len(rows):
        high[problem.criterion.is_adversarial(problem.predict(rows.x, seed), rows.y)] = 0.0
    searched = np.isfinite(high) & (high > tolerance)
    _advance(bar, len(rows) + (attacks(largest, tolerance) - 1) * int(np.count_nonzero(~searched)))
    while (searched := np.flatnonzero(np.isfinite(high) & (high - low > tolerance))).size:
        middle = (low + high) / 2
        # Examples with the same bounds are attacked together; all examples once per halving, however many groups there
        # are.
        for eps in np.unique(middle[searched]):
            group = searched[middle[searched] == eps]
            adversarial = _is_adversarial(attack, problem, rows.take(group), float(eps), seed)
            high[group[adversarial]], low[group[~adversarial]] = eps, eps
            _advance(bar, len(group))
    return high


def attacks(largest: float, tolerance: float) -> int:
    """How many attacks the search runs on an example that is adversarial at `largest`: one, and one per halving."""
    return 1 + max(0, math.ceil(math.log2(largest / tolerance)))


def _advance(bar: "tqdm[Any] | None", rows: int) -> None:
    if bar is not None:
        bar.update(rows)


def _is_adversarial(attack: Attack, problem: AttackProblem, rows: Batch, eps: float, seed: int) -> NDArray[np.bool_]:
    x_adv = attack(problem, rows.x, rows.y, eps=eps, seed=seed)
    return problem.criterion.is_adversarial(problem.predict(x_adv, seed), rows.y)

"""The smallest eps at which an attack wins, row by row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.contract import Attack, AttackError, Problem
from redoubt.tasks import Floats


def minimal_eps(
    attack: Attack, problem: Problem, x: Floats, y: NDArray[Any], *, largest: float, tolerance: float, seed: int
) -> NDArray[np.float64]:
    """Bisect eps for every row, on the assumption that whoever wins at an eps wins at a larger one.

    Args:
        attack: tried at every eps; its own strength is part of the answer.
        problem: what is attacked.
        x: inputs in raw units, float32 `(rows, ...)`.
        y: labels or values `(rows,)`.
        largest: eps tried first, > 0, in units of `bounds.scale`.
        tolerance: by how much the answer may exceed the smallest eps, > 0.
        seed: of every attack.

    Returns:
        Per row an eps at which the attack did win, `(rows,)`: 0 where the input itself wins, infinity where even
        `largest` does not.

    Raises:
        AttackError: largest or tolerance is not above 0; see `Attack`.
    """
    if not (largest > 0 and tolerance > 0):
        raise AttackError(f"largest is {largest} and tolerance {tolerance}; both must be above 0")
    low, high = np.zeros(len(x)), np.full(len(x), np.inf)
    high[_won(attack, problem, x, y, float(largest), seed)] = largest
    if len(x):
        high[problem.criterion.won(problem.answers(x, seed), y)] = 0.0
    while (searched := np.flatnonzero(np.isfinite(high) & (high - low > tolerance))).size:
        middle = (low + high) / 2
        # Rows with the same bounds are attacked together; all rows once per halving, however many groups there are.
        for eps in np.unique(middle[searched]):
            rows = searched[middle[searched] == eps]
            won = _won(attack, problem, x[rows], y[rows], float(eps), seed)
            high[rows[won]], low[rows[~won]] = eps, eps
    return high


def _won(attack: Attack, problem: Problem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> NDArray[np.bool_]:
    moved = attack(problem, x, y, eps=eps, seed=seed)
    return problem.criterion.won(problem.answers(moved, seed), y)

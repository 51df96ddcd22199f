"""Somebody's own Keras model as a problem, in one line."""

from collections.abc import Callable
from typing import Any

import numpy as np

from redoubt.attacks.core.criteria import Criterion, Untargeted
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import Bounds, Norm


def problem_for(
    model: Callable[..., Any],
    *,
    norm: Norm = "linf",
    bounds: tuple[float, float] = (0.0, 1.0),
    criterion: Criterion | None = None,
) -> AttackProblem:
    """What an attack needs to know: `PGD(steps=40)(problem_for(model), x, y, eps=0.1, seed=0)`.

    Args:
        model: from `(examples, ...)` to logits `(examples, classes)`, or to values `(examples, 1)` with `Tolerance` as
            criterion.
        norm: in which perturbations are measured.
        bounds: smallest and largest value of every input, in the model's own units, which are those of eps too.
        criterion: what the attacker wants; any class but the true one if None.

    Raises:
        ValueError: the bounds are reversed.
    """
    low, high = (np.full(1, end, np.float32) for end in bounds)
    box = Bounds(low, high, np.ones(1, np.float32))
    return AttackProblem(of_network(model), criterion or Untargeted(), norm, box, "network")

"""How far the nearest change of a single prediction is, and which features it takes."""

from dataclasses import dataclass

import numpy as np

from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.ensemble import Ensemble
from redoubt.core.types import Batch, Floats
from redoubt.perturbable import perturbable
from redoubt.scenarios.minimal_eps import minimal_eps

ATTACK = Ensemble(steps=50, restarts=2, queries=200)
# Of the largest eps tried.
PRECISION = 2.0**-10


@dataclass(frozen=True, eq=False)
class Change:
    """An adversarial example near one input.

    Attributes:
        eps: its distance at most, in units of `bounds.scale`.
        x_adv: `(...)`, of one input, with as many features left at their value as a greedy search can leave.
    """

    eps: float
    x_adv: Floats


def nearest_change(problem: AttackProblem, row: Batch, known: Floats, *, largest: float, seed: int) -> Change | None:
    """Search for the adversarial example nearest to a single input: an upper bound of the minimal distance.

    Args:
        problem: what is attacked.
        row: one input `(1, ...)`, and the label or value that counts as correct.
        known: adversarial examples of it found otherwise `(examples, ...)`; the nearest is where the search starts.
        largest: eps tried first, > 0.
        seed: of every attack.

    Returns:
        None if not even `largest` suffices; eps 0 and the input itself where it is misclassified.

    Raises:
        AttackError: see `minimal_eps`.
    """
    if not perturbable(row.x, problem.bounds, largest).any():
        return None
    far = distance(known - row.x, problem.norm, problem.bounds)
    start = Change(float(far.min()), known[far.argmin()]) if far.min(initial=np.inf) <= largest else None
    reach = largest if start is None else start.eps
    eps = float(minimal_eps(ATTACK, problem, row, largest=reach, tolerance=PRECISION * largest, seed=seed)[0])
    if not np.isfinite(eps):
        return start
    x_adv = ATTACK(problem, row.x, row.y, eps=eps, seed=seed) if eps else row.x
    return Change(eps, sparse(problem, row, x_adv[0]))


def sparse(problem: AttackProblem, row: Batch, x_adv: Floats) -> Floats:
    """Put features back, those that were changed least first, as long as the example stays adversarial.

    Args:
        problem: what is attacked.
        row: one input `(1, features)`.
        x_adv: an adversarial example of it `(features,)`.
    """
    x, scale = row.x[0], np.where(problem.bounds.scale > 0, problem.bounds.scale, 1.0)
    kept, relations, switches = x_adv.copy(), problem.bounds.relations, problem.bounds.switches
    sizes, columns = np.abs(x_adv - x) / scale, [np.array([feature]) for feature in range(len(x))]
    if switches is not None:
        # All inputs of a category go back together, and last.
        one_hot = [np.arange(first, first + size) for first, size in switches.places]
        columns = [each for each in columns if not switches.inputs(len(x))[each]] + one_hot
        sizes = np.concatenate([sizes[~switches.inputs(len(x))], np.full(len(one_hot), np.inf, np.float32)])
    for place in np.argsort(sizes, kind="stable"):
        feature = columns[place]
        if (kept[feature] == x[feature]).all():
            continue
        without = kept.copy()
        without[feature] = x[feature]
        if relations is not None and relations.broken(row.x, without[None]).any():
            continue
        if problem.criterion.is_adversarial(problem.predict(without[None]), row.y)[0]:
            kept = without
    return kept

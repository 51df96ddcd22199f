"""Each example decided by the complete verifier, as far as its rounds of branch and bound go: alike on any machine."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.criteria import Criterion, Tolerance, Untargeted
from redoubt.certify.batches import verify_batch
from redoubt.certify.branch_and_bound import Limit
from redoubt.certify.refute import check_not_refuted, ends, points
from redoubt.core.types import Batch, Bounds


@dataclass(frozen=True)
class Terms:
    """What is asked of each example.

    Attributes:
        eps: of the L-inf ball.
        tolerance: largest error that counts as correct, of a number; None for classes.
        rounds: of branch and bound.
        seed: of the points at which proofs are checked.
    """

    eps: float
    tolerance: float | None
    rounds: int
    seed: int


def verdicts(
    network: keras.Model, batch: Batch, intervals: NDArray[np.bool_], bounds: Bounds, terms: Terms
) -> NDArray[np.str_]:
    """Decide what interval bounds leave open.

    Args:
        network: at inference.
        batch: examples with their labels or values.
        intervals: certified by interval bounds, `(examples,)`.
        bounds: the box inputs live in, and the unit of eps.
        terms: of the proof.

    Returns:
        "proven", "adversarial" or "undecided", `(examples,)`.

    Raises:
        ChainError: the network is more than a chain of layers.
        LinearBoundError: a layer without linear bounds.
        RefutedError: the network misclassifies what is proven, at the example or at a point of its ball.
    """
    criterion: Criterion = Untargeted() if terms.tolerance is None else Tolerance(terms.tolerance)
    left = np.flatnonzero(~intervals)
    how: Any = ("complete", Limit(rounds=terms.rounds))
    found = np.full(len(batch), "proven", dtype="U11")
    found[left] = [each.verdict for each in verify_batch(network, criterion, bounds, batch.take(left), terms.eps, how)]
    box, switches = ends(batch.x, terms.eps, bounds), bounds.switches_within(terms.eps)
    for where, point in points(batch.x, *box, terms.seed, switches):
        wrong = criterion.is_adversarial(network.predict_on_batch(point), batch.y)
        check_not_refuted(f"L-inf {terms.eps:g}, complete", found == "proven", wrong, where)
    return found

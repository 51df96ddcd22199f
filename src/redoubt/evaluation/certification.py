"""Which examples interval bounds certify: the one place from which every certified share of a bundle comes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.certificates import proven
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.certify.refute import check_not_refuted, ends, points
from redoubt.core.types import Batch, Bounds, Floats
from redoubt.evaluation.redraws import Flags, majority, redraws


def certified_network(guarded: GuardedModel, batch: Batch, eps: float, tolerance: float | None) -> Flags:
    """Where the network alone is correct throughout the L-inf ball, `(examples,)`.

    Args:
        guarded: the bundle; its network has bounds.
        batch: examples with their labels or values.
        eps: of the ball; 0 tells where it is correct at all.
        tolerance: largest error that counts as correct, of a number; None for classes.
    """
    return proven(guarded.prove_network(batch.x, eps), batch.y, tolerance)


def certified_guarded(guarded: GuardedModel, batch: Batch, eps: float, tolerance: float | None, seed: int) -> Flags:
    """Where the guarded model is correct throughout the ball in most redraws, `(examples,)`.

    Of classes every variant must keep the true one, since then their vote does; a number's ends are averaged as its
    values are.
    """
    proofs = [guarded.prove(batch.x, eps, rng) for rng in redraws(seed)]
    return majority([_all_variants(proof, batch.y, tolerance) for proof in proofs])


def checked_network(
    guarded: GuardedModel, batch: Batch, eps: float, tolerance: float | None, bounds: Bounds, seed: int
) -> Flags:
    """As `certified_network`, once the network has been asked at points of each ball.

    Raises:
        RefutedError: it misclassifies a certified example, at itself, at a corner or at a random point of its ball.
    """
    certified = certified_network(guarded, batch, eps, tolerance)
    for where, point in points(batch.x, *ends(batch.x, eps, bounds), seed, bounds.switches_within(eps)):
        check_not_refuted(f"L-inf {eps:g}", certified, ~_is_correct(guarded.network(point), batch.y, tolerance), where)
    return certified


def _is_correct(outputs: Floats, y: NDArray[Any], tolerance: float | None) -> Flags:
    """Where the class is the true one, or a number lies within the tolerance; see `certified_network`."""
    if tolerance is None:
        same: Flags = outputs.argmax(axis=1) == y
        return same
    within: Flags = np.abs(outputs[:, 0] - y) <= tolerance
    return within


def _all_variants(proof: Floats, y: NDArray[Any], tolerance: float | None) -> Flags:
    if tolerance is not None:
        return proven(proof.mean(axis=1), y, tolerance)
    each = [proven(proof[:, variant], y, None) for variant in range(proof.shape[1])]
    return np.logical_and.reduce(each)

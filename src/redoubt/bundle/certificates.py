"""Reads what `interval_onnx.add_proof` proves of balls of inputs: correct or constant throughout, and how far."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.base.types import Floats

HALVINGS = 6


def proven(proof: Floats, y: NDArray[Any], tolerance: float | None) -> NDArray[np.bool_]:
    """Where no point of the box is misclassified.

    Args:
        proof: smallest leads `(examples, classes)`, or the ends of a number `(examples, 2)`.
        y: true labels or values `(examples,)`.
        tolerance: largest error that counts as correct, of a number; None for classes.
    """
    if tolerance is None:
        lead: Floats = proof[np.arange(len(y)), y]
        return lead > 0
    error: Floats = np.maximum(y - proof[:, 0], proof[:, 1] - y)
    return error <= tolerance


class Proves(Protocol):
    """A guarded model; see `GuardedModel.prove`."""

    @property
    def proves(self) -> bool:
        """Whether its layers have bounds."""
        ...

    def prove(self, x: Floats, eps: float | Floats, rng: np.random.Generator) -> Floats:
        """Leads `(examples, voting, classes)`, or ends `(examples, voting, 2)`."""
        ...


def certified_eps(model: Proves, x: Floats, label: NDArray[np.int64], draws: int, largest: float) -> Floats:
    """How far each input can be moved before its label may change, by halving; rounded down.

    Where every variant that votes keeps the label, so does their vote.

    Args:
        model: guarded.
        x: inputs `(examples, ...)`.
        label: that they were given `(examples,)`.
        draws: seed of the guard's draws of that answer.
        largest: eps looked for.

    Returns:
        L-inf eps `(examples,)`, a multiple of largest / 2^HALVINGS; 0 where not even the first multiple is proven.
    """
    level, step, unit = np.zeros(len(x), dtype=np.int64), 2**HALVINGS, largest / 2**HALVINGS
    if not model.proves or not _keeps(model, x, label, draws, np.full(len(x), unit)).any():
        return level.astype(np.float32)
    while step > 1:
        step //= 2
        level += step * _keeps(model, x, label, draws, (level + step) * unit)
    return (level * unit).astype(np.float32)


def _keeps(model: Proves, x: Floats, label: NDArray[np.int64], draws: int, eps: NDArray[Any]) -> NDArray[np.bool_]:
    leads = model.prove(x, eps.astype(np.float32), np.random.default_rng(draws))
    smallest: Floats = leads[np.arange(len(x)), :, label].min(axis=1)
    return smallest > 0


def certified_interval(model: Proves, x: Floats, eps: float, draws: int) -> Floats:
    """Ends of the guarded value over the ball, `(examples, 2)`: those of the variants, averaged as their values are."""
    ends: Floats = model.prove(x, eps, np.random.default_rng(draws)).mean(axis=1)
    return ends

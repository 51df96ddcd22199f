"""What interval bounds prove of the examples of an evaluation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.certificates import proven
from redoubt.evaluation.subject import REDRAWS, Flags, Subject, majority
from redoubt.types import Batch, Floats


def proven_network(subject: Subject, batch: Batch, eps: float) -> Flags:
    """Where the network alone answers right all over the L-inf ball, `(rows,)`."""
    proof = subject.guarded.prove(batch.x, eps, np.random.default_rng(0))
    return proven(proof[:, 0], batch.y, _tolerance(subject))


def proven_guarded(subject: Subject, batch: Batch, eps: float) -> Flags:
    """Where the guarded model answers right all over the ball in most redraws, `(rows,)`.

    Of classes every variant must keep the true one, since then their vote does; a number's ends are averaged as its
    values are.
    """
    redraws = [np.random.default_rng([subject.setting.seed, i]) for i in range(REDRAWS)]
    return majority([_all_variants(subject, subject.guarded.prove(batch.x, eps, rng), batch.y) for rng in redraws])


def _all_variants(subject: Subject, proof: Floats, y: NDArray[Any]) -> Flags:
    tolerance = _tolerance(subject)
    if tolerance is not None:
        return proven(proof.mean(axis=1), y, tolerance)
    each = [proven(proof[:, variant], y, None) for variant in range(proof.shape[1])]
    return np.logical_and.reduce(each)


def _tolerance(subject: Subject) -> float | None:
    return getattr(subject.setting.criterion, "tolerance", None)

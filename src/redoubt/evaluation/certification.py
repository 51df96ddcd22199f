"""What interval bounds prove of the examples of an evaluation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.certificates import proven
from redoubt.evaluation.evaluator import REDRAWS, Evaluator, Flags, majority
from redoubt.types import Batch, Floats


def certified_network(evaluator: Evaluator, batch: Batch, eps: float) -> Flags:
    """Where the network alone is certified: correct throughout the L-inf ball, `(examples,)`."""
    proof = evaluator.guarded.prove(batch.x, eps, np.random.default_rng(0))
    return proven(proof[:, 0], batch.y, _tolerance(evaluator))


def certified_guarded(evaluator: Evaluator, batch: Batch, eps: float) -> Flags:
    """Where the guarded model is certified throughout the ball in most redraws, `(examples,)`.

    Of classes every variant must keep the true one, since then their vote does; a number's ends are averaged as its
    values are.
    """
    redraws = [np.random.default_rng([evaluator.config.seed, i]) for i in range(REDRAWS)]
    return majority([_all_variants(evaluator, evaluator.guarded.prove(batch.x, eps, rng), batch.y) for rng in redraws])


def _all_variants(evaluator: Evaluator, proof: Floats, y: NDArray[Any]) -> Flags:
    tolerance = _tolerance(evaluator)
    if tolerance is not None:
        return proven(proof.mean(axis=1), y, tolerance)
    each = [proven(proof[:, variant], y, None) for variant in range(proof.shape[1])]
    return np.logical_and.reduce(each)


def _tolerance(evaluator: Evaluator) -> float | None:
    return getattr(evaluator.config.criterion, "tolerance", None)

"""How much a network needs each feature of a table: permutation importance, by its loss."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from redoubt.core.types import Batch, Floats
from redoubt.evaluation.evaluator import Evaluator
from redoubt.perturbable import places

REPEATS = 5
ROWS = 300


def importance(evaluator: Evaluator, batch: Batch) -> dict[str, float]:
    """By how much the mean loss rises when a feature is shuffled among the examples (Breiman 2001), never below 0.

    Args:
        evaluator: whose network alone is asked.
        batch: examples; at most the first `ROWS` are taken.

    Returns:
        Per column of the table, all inputs of a category together; nothing of an image.
    """
    some = batch.take(np.arange(min(ROWS, len(batch))))
    before, rng, found = _loss(evaluator, some), np.random.default_rng(evaluator.config.seed), {}
    for place in places(evaluator.guarded.schema):
        after = [_loss(evaluator, Batch(_shuffled(some.x, place.inputs, rng), some.y)) for _ in range(REPEATS)]
        found[place.name] = max(0.0, float(np.mean(after)) - before)
    return found


def share_of(names: Sequence[str], importances: Mapping[str, float]) -> float | None:
    """The share of all importance that some features carry, in [0, 1]; None where no feature matters."""
    whole = sum(importances.values())
    return round(sum(importances[name] for name in names) / whole, 6) if whole > 0 else None


def _shuffled(x: Floats, inputs: slice, rng: np.random.Generator) -> Floats:
    other = x.copy()
    other[:, inputs] = x[rng.permutation(len(x)), inputs]
    return other


def _loss(evaluator: Evaluator, batch: Batch) -> float:
    outputs = evaluator.guarded.network(batch.x)
    return float(np.mean(evaluator.config.criterion.loss(tf.constant(outputs), tf.constant(batch.y))))

"""Whether the labels that a graph gives beside its scores are the classes of its largest scores."""

from collections.abc import Callable

import numpy as np

from redoubt.core.types import Floats

OTHERWISE = (
    "its labels are not always the classes of its largest scores, by a threshold of its own perhaps: what it says, and"
    " what is attacked, are its labels"
)
# Mixtures of examples, which lie on both sides of the boundaries between their classes.
MIXTURES = 256
# Of the largest score, below which two scores are equal but for rounding.
EQUAL = 1e-4


def are_others(scores: Callable[[Floats], Floats], labels: Callable[[Floats], Floats], x: Floats) -> bool:
    """Compare them on the examples, and between them.

    Args:
        scores: of a graph, `(examples, classes)`.
        labels: of the same graph, as scores of that shape.
        x: a few examples, `(examples, ...)`.

    Returns:
        Whether the two name different classes somewhere, but for ties.
    """
    rng = np.random.default_rng(0)
    one, other = (x[rng.integers(len(x), size=MIXTURES)] for _ in range(2))
    share = rng.random((MIXTURES, *[1] * (x.ndim - 1)), np.float32)
    points = np.concatenate([x, share * one + (np.float32(1) - share) * other])
    found, said = scores(points), labels(points)
    if found.shape != said.shape:
        return False
    best = np.sort(found, axis=1)
    with np.errstate(invalid="ignore"):
        clear = best[:, -1] - best[:, -2] > EQUAL * max(1.0, float(np.abs(found).max(initial=0.0)))
    return bool(np.any(clear & (found.argmax(axis=1) != said.argmax(axis=1))))

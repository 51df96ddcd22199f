"""Learning curves as MLflow shows them."""

import math
from collections.abc import Mapping, Sequence


def by_epoch(curve: Sequence[Mapping[str, float]]) -> dict[str, list[tuple[int, float]]]:
    """A learning curve as one stepped metric per name, epochs counted from 1; a training that diverged has gaps."""
    curves = {
        f"epoch/{name}": [(i + 1, epoch[name]) for i, epoch in enumerate(curve) if math.isfinite(epoch[name])]
        for name in curve[0]
    }
    return {name: points for name, points in curves.items() if points}

"""How a guard's randomness is dealt with when it is judged: a few fresh redraws, and what the majority of them says."""

import numpy as np
from numpy.typing import NDArray

REDRAWS = 3
Flags = NDArray[np.bool_]


def redraws(seed: int) -> list[np.random.Generator]:
    """One generator for each redraw of an example's draws: one lucky draw must not decide it."""
    return [np.random.default_rng([seed, index]) for index in range(REDRAWS)]


def majority(flags: list[Flags]) -> Flags:
    """Where more than half of the lists say True."""
    votes: NDArray[np.int64] = np.sum(flags, axis=0)
    return votes * 2 > len(flags)

"""Points of every eps-ball at which what was proven of it must hold; a proof that one refutes ends the run."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from redoubt.core.errors import RedoubtError
from redoubt.core.types import Bounds, Floats

CORNERS = 2


class RefutedError(RedoubtError):
    """A certified example is misclassified somewhere in its eps-ball: the certificate, or its reading, is wrong."""


def ends(x: Floats, eps: float, bounds: Bounds) -> tuple[Floats, Floats]:
    """Lower and upper ends of the L-inf eps-balls round x, as `margins.ball` has them."""
    low, high = bounds.ends(x, eps)
    low, high = np.minimum(x, np.maximum(low, bounds.lower)), np.maximum(x, np.minimum(high, bounds.upper))
    return low.astype(np.float32), high.astype(np.float32)


def points(x: Floats, low: Floats, high: Floats, seed: int) -> Iterator[tuple[str, Floats]]:
    """Each example itself, random corners of its box, and a random point inside.

    Args:
        x: examples `(examples, ...)`.
        low: lower ends of their boxes.
        high: upper ends.
        seed: of the choice.

    Yields:
        What kind of points they are, and one for each example.
    """
    rng = np.random.default_rng(seed)
    yield "the example itself", x
    for _ in range(CORNERS):
        yield "a corner of its eps-ball", np.where(rng.random(x.shape) < 0.5, low, high)
    inner = low + rng.random(x.shape, dtype=np.float32) * (high - low)
    yield "a random point of its eps-ball", np.clip(inner, low, high)


def check_not_refuted(what: str, certified: NDArray[np.bool_], wrong: NDArray[np.bool_], where: str) -> None:
    """Certified <= robust accuracy, example by example.

    Args:
        what: was proven of.
        certified: correct throughout the ball, `(examples,)`.
        wrong: misclassified at a point of the ball.
        where: that point lies, in words.

    Raises:
        RefutedError: an example that is proven is misclassified.
    """
    refuted = np.flatnonzero(certified & wrong)
    if len(refuted):
        raise RefutedError(
            f"{what}: example {refuted[0]} is certified, and is misclassified at {where}"
            f" ({len(refuted)} such): the bounds are wrong, and no figure here may be believed; please report it"
        )

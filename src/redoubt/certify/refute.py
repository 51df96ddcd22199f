"""Points of every eps-ball at which what was proven of it must hold; a proof that one refutes ends the run."""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.switches import Switches
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Bounds, Floats

CORNERS = 2
# Records that switches make of each example, tried at most.
RECORDS = 32


class RefutedError(RedoubtError):
    """A certified example is misclassified somewhere in its eps-ball: the certificate, or its reading, is wrong."""


def ends(x: Floats, eps: float, bounds: Bounds) -> tuple[Floats, Floats]:
    """Lower and upper ends of the L-inf eps-balls round x, as `margins.ball` has them."""
    low, high = bounds.ends(x, eps)
    low, high = np.minimum(x, np.maximum(low, bounds.lower)), np.maximum(x, np.minimum(high, bounds.upper))
    return low.astype(np.float32), high.astype(np.float32)


def points(
    x: Floats, low: Floats, high: Floats, seed: int, switches: Switches | None = None
) -> Iterator[tuple[str, Floats]]:
    """Each example itself, random corners of its box, and a random point inside; then with other categories.

    Args:
        x: examples `(examples, ...)`.
        low: lower ends of their boxes.
        high: upper ends.
        seed: of the choice.
        switches: of mutable categories; None where there are none, or nothing was proven of them.

    Yields:
        What kind of points they are, and one for each example.
    """
    rng = np.random.default_rng(seed)
    yield "the example itself", x
    for _ in range(CORNERS):
        yield "a corner of its eps-ball", np.where(rng.random(x.shape) < 0.5, low, high)
    inner = low + rng.random(x.shape, dtype=np.float32) * (high - low)
    inner = np.clip(inner, low, high)
    yield "a random point of its eps-ball", inner
    for copy in itertools.islice(switches.copies(inner), RECORDS) if switches is not None else ():
        yield "a random point of its eps-ball with another category", copy


def inside(x_adv: Floats, low: Floats, high: Floats, switches: Switches | None) -> Floats:
    """What an attack found, clipped into the boxes `(examples, ...)`; switched categories are no part of these."""
    clipped = np.clip(x_adv, low, high)
    return clipped if switches is None else np.where(switches.inputs(x_adv.shape[1]), x_adv, clipped)


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

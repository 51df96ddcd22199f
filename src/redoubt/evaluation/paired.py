"""Two columns of results on the same examples: which examples each kept, and how much they go together."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def packed(flags: Flags) -> str:
    """A bit per example, the first one first, as hexadecimal digits."""
    return np.packbits(flags).tobytes().hex()


def unpacked(text: str, n: int) -> Flags:
    """The flags of `n` examples again."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8), count=n).astype(np.bool_)


def correlation(a: Flags, b: Flags) -> float:
    """How much two columns go together, by phi with Newcombe's correction (Newcombe 1998, paired method 10).

    Args:
        a: the examples that one kept `(examples,)`.
        b: those that the other one kept.

    Returns:
        From -1 to 1; 0 where one of them kept all examples or none.
    """
    both, one, other, none = (int(each.sum()) for each in (a & b, a & ~b, ~a & b, ~a & ~b))
    sides = (both + one) * (other + none) * (both + other) * (one + none)
    if not sides:
        return 0.0
    lead = both * none - one * other
    if lead > 0:
        lead = max(lead - len(a) // 2, 0)
    return lead / sqrt(sides)

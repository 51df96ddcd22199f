"""Two ways to ask one network must answer alike."""

import numpy as np

from redoubt.bundle.base.errors import BundleError
from redoubt.core.types import Floats

# The largest difference of any output, as a share of the largest output (of 1 where all are smaller).
AGREEMENT = 1e-3


def require_agreement(found: Floats, expected: Floats, sentence: str) -> None:
    """Refuse answers that are not those of the network they stand for.

    Args:
        found: answers `(examples, outputs)`.
        expected: those of the network itself, likewise.
        sentence: what is said if they differ.

    Raises:
        BundleError: they differ by more than `AGREEMENT`, or are no numbers.
    """
    worst = float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
    if not worst <= AGREEMENT:
        raise BundleError(f"{sentence}: a difference of {worst:g} (relative); at most {AGREEMENT:g}")

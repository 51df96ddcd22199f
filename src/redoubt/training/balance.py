"""Class weights: rare classes weigh as much as frequent ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.params.settings.base import Balance

Weights = tuple[float, ...]


def class_weights(y: NDArray[Any], classes: int, balance: Balance) -> Weights | None:
    """A weight per class, 1 in the mean over the examples: examples / (classes * examples of the class).

    Args:
        y: classes of the training examples `(examples,)`.
        classes: how many there are; one without an example gets 0.
        balance: `none` gives None, which leaves every loss as it is.
    """
    if balance == "none":
        return None
    counts = np.bincount(y, minlength=classes)
    present = np.count_nonzero(counts)
    return tuple(float(len(y) / (present * count)) if count else 0.0 for count in counts)

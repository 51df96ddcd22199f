"""What float32, in which a network computes, keeps of a column that came in float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

# A spread below Keras's least divisor (1e-7) would not be scaled to 1; above, its square is infinite in float32.
SMALLEST_STD, LARGEST_STD = 1e-6, 1e18
# The share of a column's different values that must stay different in float32,
KEPT = 0.9
# unless its steps are that small beside the spread: then what falls together was the same for any purpose.
_FINE = 1e-3
# Whole numbers are told apart by one.
_FINE_WHOLE = 1e-6


@dataclass(frozen=True)
class Precision:
    """A column that varies, in float64 and in float32.

    Attributes:
        std: standard deviation in float64.
        largest: the value farthest from 0.
        step: distance of float32's neighbours there.
        distinct: different values in float64.
        kept: different values in float32.
        whole: whether all values are whole numbers.
    """

    std: float
    largest: float
    step: float
    distinct: int
    kept: int
    whole: bool = False

    @property
    def matters(self) -> bool:
        """Whether values fall together that a step of the column's spread tells apart."""
        return self.kept < self.distinct and self.step > (_FINE_WHOLE if self.whole else _FINE) * self.std


def measure(cells: "pd.Series[Any]") -> Precision | None:
    """What is kept of a column of numbers; None where nothing varies, or where what varies is not finite.

    Args:
        cells: float64, empty cells NaN.
    """
    values = cells.dropna().to_numpy(np.float64)
    if not len(values) or values.min() == values.max() or not np.isfinite(values).all():
        return None
    with np.errstate(over="ignore", under="ignore"):
        std = float(values.std())
        kept = len(np.unique(values.astype(np.float32)))
        largest = float(values[np.abs(values).argmax()])
        step = float(np.spacing(np.float32(abs(largest))))
    return Precision(std, largest, step, len(np.unique(values)), kept, bool((values % 1 == 0).all()))

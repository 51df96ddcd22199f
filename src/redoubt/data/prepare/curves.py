"""Curves that spread a skewed feature out: rising, linear between quantiles of the training rows.

Each value is taken to the normal score of its rank, as a rank-based inverse normal transformation does. What only rises
in one feature takes the ends of an interval to the ends of an interval, so that certificates lose nothing by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from redoubt.core.types import Floats

# Shares of the rows below a knot; the smallest and the largest value are knots too.
LEVELS = (0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99)
# By so much of its gap a knot lies below the value it stands for: on a knot itself the slope has two values, and where
# many rows share one value no attack should find it to be 0.
ASIDE = 1e-3


@dataclass(frozen=True)
class Curve:
    """A rising function of one number, linear between its knots.

    Attributes:
        knots: in raw units, rising, at least two.
        values: at the knots, rising; of the training rows they come to mean 0 and standard deviation 1.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]

    def to_json(self) -> dict[str, list[float]]:
        """Plain lists; every digit survives."""
        return {"knots": list(self.knots), "values": list(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Curve":
        """The inverse of `to_json`."""
        return cls(tuple(data["knots"]), tuple(data["values"]))


def fitted(values: Floats) -> Curve | None:
    """The curve of one feature; None where all of it is one value.

    Args:
        values: of the training rows, none of them NaN, `(rows,)`.
    """
    ordered = np.sort(values.astype(np.float64))
    at = np.quantile(ordered, LEVELS, method="closest_observation")
    knots = np.unique([ordered[0], *at, ordered[-1]])
    if len(knots) < 2:
        return None
    below, upto = (np.searchsorted(ordered, knots, side) for side in ("left", "right"))
    scores = ndtri(0.5 * (below + upto) / len(ordered))
    made: NDArray[np.float64] = np.interp(ordered, knots, scores)
    scores = (scores - made.mean()) / made.std()
    gaps = np.diff(knots)
    nearest = np.minimum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1]))
    return Curve(tuple((knots - ASIDE * nearest).tolist()), tuple(scores.tolist()))

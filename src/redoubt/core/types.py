"""The nouns everything else speaks: arrays, batches, and the bounds an attack must respect."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.base.types import Floats, Ints, Kind
from redoubt.bundle.relations.table import Relations
from redoubt.bundle.switches import Switches

__all__ = ["PIXELS", "Batch", "Bounds", "Floats", "Ints", "Kind", "Measure", "Norm", "Threat"]

Norm = Literal["linf", "l2"]
# What a perturbation is measured by: beside the norms of a task the sum of what every change costs.
Measure = Literal["linf", "l2", "l1"]


@dataclass(frozen=True)
class Threat:
    """What an attacker may do: perturb an input by at most `eps` in a norm, in units of `Bounds.scale`."""

    norm: Norm
    eps: float


@dataclass(frozen=True)
class Bounds:
    """The box that inputs live in, and the unit in which a perturbation is measured.

    Attributes:
        lower: smallest value, broadcastable to one input.
        upper: largest value, likewise.
        scale: what eps = 1 means: 1 for pixels, a feature's standard deviation on the training set for tables,
            0 for an input that no eps may change (one-hot categories, immutable features).
        integer: which inputs are whole numbers and stay so; robustness is then a statement about real records.
        falls: which inputs an attacker may lower.
        rises: which inputs an attacker may raise.
        relations: between the inputs of a table, which a perturbation may not break; None if there are none.
        switches: categories that may be switched beside what eps allows, whatever its size; None if there are none.
    """

    lower: Floats
    upper: Floats
    scale: Floats
    integer: NDArray[np.bool_] | np.bool_ = np.False_
    falls: NDArray[np.bool_] | np.bool_ = np.True_
    rises: NDArray[np.bool_] | np.bool_ = np.True_
    relations: Relations | None = None
    switches: Switches | None = None

    def __post_init__(self) -> None:
        if np.any(self.lower > self.upper):
            raise ValueError(f"bounds reversed: lower {self.lower.min()} is above upper {self.upper.max()}")
        if np.any(self.scale < 0):
            raise ValueError(f"scale must not be negative; got {self.scale.min()}")

    @property
    def one_sided(self) -> bool:
        """Whether some input may only be raised, or only lowered."""
        return not (np.all(self.falls) and np.all(self.rises))

    @property
    def listed(self) -> dict[int, Floats]:
        """By input of a table the only values that it may take, of each that a relation says this of."""
        return {} if self.relations is None else self.relations.allowed

    def switches_within(self, eps: float) -> Switches | None:
        """The switches of an attack of that size: one of size 0 is none, and changes nothing."""
        return self.switches if eps > 0 and self.switches is not None and self.switches.count else None

    @property
    def categories_as_given(self) -> "Bounds":
        """The same for who switches no category."""
        return replace(self, switches=None)

    def covering(self, x: Floats) -> "Bounds":
        """The same bounds, widened to hold rows that were not among the training rows."""
        lower, upper = np.minimum(self.lower, x.min(axis=0)), np.maximum(self.upper, x.max(axis=0))
        return replace(self, lower=lower, upper=upper)

    def allowed(self, x: Floats, x_adv: Floats) -> Floats:
        """What of a perturbation an attacker may do: each input at its own value where it went the wrong way."""
        if not self.one_sided:
            return x_adv
        wrong = ((x_adv > x) & ~self.rises) | ((x_adv < x) & ~self.falls)
        return np.where(wrong, x, x_adv).astype(np.float32)

    def ends(self, x: Floats, eps: float) -> tuple[Floats, Floats]:
        """Lowest and highest values within an L-inf eps of x, which need not lie in the box."""
        reach = np.float32(eps) * self.scale
        return self.allowed(x, x - reach), self.allowed(x, x + reach)

    def check(self, x: Floats) -> None:
        """Refuse inputs that are not finite or lie outside.

        Raises:
            ValueError: names the first offending value.
        """
        if not np.isfinite(x).all():
            raise ValueError("inputs hold NaN or infinity")
        slack = 1e-6 * np.maximum(1.0, np.abs(self.upper))
        if np.any(x < self.lower - slack) or np.any(x > self.upper + slack):
            raise ValueError(f"inputs span [{x.min():g}, {x.max():g}], outside their bounds")


PIXELS = Bounds(np.float32(0.0), np.float32(1.0), np.float32(1.0))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Batch:
    """Inputs `(rows, ...)` float32 in raw units, and targets `(rows,)`: class indices or numbers."""

    x: Floats
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: NDArray[Any]) -> "Batch":
        """The rows of an index array."""
        return Batch(self.x[index], self.y[index])

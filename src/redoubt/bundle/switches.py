"""Categories that an attacker may switch: one-hot columns, and how many of a record's may be another one at once."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.base.types import Floats, Ints

# Records per example up to which a proof goes through all of them; where there are more, nothing is proven.
MOST_PROVEN = 256


@dataclass(frozen=True)
class Switches:
    """The mutable categories of a table.

    Attributes:
        names: of the columns.
        places: of each the first of its network inputs, and how many there are: one per category.
        most: how many columns of one example may be switched at once, >= 1.
        prices: what a switch of each column costs; none where switches are counted alone.
        budget: what the switches of one example may cost together.
    """

    names: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    most: int
    prices: tuple[float, ...] = field(default=(), repr=False)
    budget: float = field(default=math.inf, repr=False)

    @property
    def count(self) -> int:
        """How many other records the switches make of each example."""
        return sum(math.prod(self.places[each][1] - 1 for each in chosen) for chosen in self._chosen)

    @property
    def is_provable(self) -> bool:
        """Whether there are so few records that a proof goes through all of them."""
        return self.count <= MOST_PROVEN

    @property
    def _chosen(self) -> Iterator[tuple[int, ...]]:
        """The sets of columns that may be switched at once."""
        for r in range(1, min(self.most, len(self.places)) + 1):
            for chosen in itertools.combinations(range(len(self.places)), r):
                if not self.prices or sum(self.prices[each] for each in chosen) <= self.budget:
                    yield chosen

    def price(self, changed: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What the switches of each example cost, `(rows,)`.

        Args:
            changed: which inputs are others than before, `(rows, inputs)`.
        """
        each = [changed[:, first : first + size].any(axis=1) for first, size in self.places]
        return np.stack(each, axis=1) @ np.array(self.prices or [0.0] * len(each))

    def inputs(self, width: int) -> NDArray[np.bool_]:
        """Which network inputs belong to these columns, `(width,)`; a column of one category is no choice."""
        found = np.zeros(width, np.bool_)
        for first, size in self.places:
            found[first : first + size] = size > 1
        return found

    def codes(self, x: Floats) -> Ints:
        """The number of each column's category, `(rows, columns)`, of examples `(rows, inputs)`."""
        return np.stack([x[:, first : first + size].argmax(axis=1) for first, size in self.places], axis=1)

    def put(self, x: Floats, codes: Ints) -> Floats:
        """Examples `(rows, inputs)` with other categories `(rows, columns)`."""
        found = x.copy()
        for place, (first, size) in enumerate(self.places):
            found[:, first : first + size] = np.eye(size, dtype=x.dtype)[codes[:, place]]
        return found

    def copies(self, x: Floats) -> Iterator[Floats]:
        """Every other record that switches make of examples, `(rows, inputs)` each, `count` in all."""
        codes = self.codes(x)
        for chosen in self._chosen:
            for steps in itertools.product(*(range(1, self.places[each][1]) for each in chosen)):
                other = codes.copy()
                for place, step in zip(chosen, steps, strict=True):
                    other[:, place] = (codes[:, place] + step) % self.places[place][1]
                yield self.put(x, other)

    def worst(self, x: Floats, prove: Callable[[Floats], Floats], ends: bool) -> Floats:
        """What holds of examples and of every record that switches make of them.

        Args:
            x: examples `(rows, inputs)`.
            prove: smallest leads `(rows, ..., classes)`, or the two ends of a number on the last axis.
            ends: whether it is ends.

        Returns:
            As `prove`; where there are too many records to go through, what says nothing: -inf, or an endless interval.
        """
        found = prove(x)
        if not self.is_provable:
            unknown = np.array([-np.inf, np.inf], np.float32) if ends else np.float32(-np.inf)
            return np.broadcast_to(unknown, found.shape).copy()
        for copy in self.copies(x):
            other = prove(copy)
            # NaN stays: a bound that is no number holds of nothing.
            low, high = np.minimum(found, other), np.maximum(found, other)
            found = np.concatenate([low[..., :1], high[..., 1:]], axis=-1) if ends else low
        return found

    def singles(self) -> "Switches":
        """The same where one column at a time is switched."""
        return replace(self, most=1)

    def switched(self, x: Floats, x_adv: Floats) -> NDArray[np.bool_]:
        """Which columns of each example are another category than before, `(rows, columns)`."""
        each = [slice(first, first + size) for first, size in self.places]
        return np.stack([(x[:, some] != x_adv[:, some]).any(axis=1) for some in each], axis=1)

    def torn(self, x: Floats, x_adv: Floats) -> NDArray[np.bool_]:
        """Which columns of each example have changed and are one category no longer, `(rows, columns)`."""
        found = self.switched(x, x_adv)
        for place, (first, size) in enumerate(self.places):
            some = x_adv[:, first : first + size]
            found[:, place] &= ~(((some == 0) | (some == 1)).all(axis=1) & (some.sum(axis=1) == 1))
        return found

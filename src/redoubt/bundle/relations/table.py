"""The relations of a table over the network's inputs: which examples keep which of them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.base.types import Floats
from redoubt.bundle.relations.expression import Values
from redoubt.bundle.relations.relation import ROOM, Relation, parse


@dataclass(frozen=True)
class Relations:
    """All relations of a table.

    Attributes:
        each: in the order declared.
        places: the network input of every column that one of them names.
    """

    each: tuple[Relation, ...]
    places: Mapping[str, int]

    @classmethod
    def of(cls, lines: Iterable[str], places: Mapping[str, int]) -> "Relations":
        """Read lines over columns whose inputs are known.

        Args:
            lines: see `parse`.
            places: network input by column; may hold further columns.

        Raises:
            ValueError: a line that cannot be read.
        """
        each = tuple(relation for line in lines for relation in parse(line))
        return cls(each, {name: places[name] for relation in each for name in relation.columns})

    @property
    def lines(self) -> tuple[str, ...]:
        """As they were declared."""
        return tuple(dict.fromkeys(relation.text for relation in self.each))

    @property
    def allowed(self) -> dict[int, Floats]:
        """By network input the only values that it may take, rising, of each that is said to take some."""
        return {self.places[each.columns[0]]: np.array(each.values, np.float32) for each in self.each if each.values}

    def values(self, x: Floats) -> dict[str, Values]:
        """The columns of examples `(rows, inputs)`, in the precision that relations are looked at."""
        return {name: x[:, place].astype(np.float64) for name, place in self.places.items()}

    def holds(self, x: Floats, room: float = ROOM) -> NDArray[np.bool_]:
        """Which relations examples `(rows, inputs)` keep, `(rows, relations)`."""
        values = self.values(x)
        return np.stack([np.broadcast_to(each.holds(values, room), len(x)) for each in self.each], axis=1)

    def broken(self, x: Floats, x_adv: Floats, room: float = ROOM) -> NDArray[np.bool_]:
        """Which relations a perturbation breaks that hold before it, `(rows, relations)`.

        An example that breaks a relation itself, such as one whose empty cell is filled in, owes it nothing.
        """
        return self.holds(x) & ~self.holds(x_adv, room)


def check_columns(
    line: str,
    numbers: Collection[str],
    categories: Collection[str],
    immutable: Collection[str],
    integer: Collection[str],
) -> tuple[str, ...]:
    """Refuse a relation over what it cannot be about.

    Args:
        line: see `parse`.
        numbers: columns of numbers.
        categories: columns of categories.
        immutable: columns that no attacker can change.
        integer: columns of whole numbers.

    Returns:
        Columns that are none, for who knows more about them to complain about.

    Raises:
        ValueError: it cannot be read, is about a category, or about nothing that can change, or is strict between what
            are no whole numbers, or lists a part of one.
    """
    strangers: list[str] = []
    for relation in parse(line):
        for name in relation.columns:
            if name in categories:
                raise ValueError(f"relation '{line}' names the category '{name}'; relations are between numbers")
            if name not in numbers:
                strangers.append(name)
        real = [name for name in relation.columns if name in numbers and name not in integer] if relation.strict else []
        if real:
            said = f"relation '{line}' is strict, and '{real[0]}' is not of whole numbers ('integer')"
            raise ValueError(f"{said}: write <= or >=")
        part = next((value for value in relation.values if not value.is_integer()), None)
        if part is not None and relation.columns[0] in integer:
            raise ValueError(f"relation '{line}' lists {part:g}, and '{relation.columns[0]}' is of whole numbers")
        if not strangers and set(relation.columns) <= set(immutable):
            raise ValueError(
                f"relation '{line}' is between immutable columns only, which no attack changes: leave it out, or"
                f" take one of {', '.join(relation.columns)} out of 'immutable'"
            )
    return tuple(strangers)

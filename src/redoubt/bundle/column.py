"""One column of a table, and what an empty cell of it counts as."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from redoubt.bundle.words import one_of

# A Python float, which any integer can be compared with.
LARGEST = float(np.finfo(np.float32).max)
# Longest name of a column, category or class.
LONGEST = 1000

Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]
# No more than float32 holds: what is compared with it is turned into float32 first.
Limit = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


def repeated(names: Sequence[str]) -> str | None:
    """The first name that is repeated; None if none is."""
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def unset(value: object) -> bool:
    """What is left out of a schema on disk, so that one without it has the bytes and the digest it always had."""
    return not value if isinstance(value, tuple) else value is None or value is False


class Missing(BaseModel):
    """What an empty cell counts as.

    Attributes:
        how: a statistic of the training rows, or `category`, a category of its own.
        value: that number or category; None where it is not fitted yet.
        indicator: whether one more input of the network says that the cell was empty; no attacker reaches it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: Literal["median", "mean", "mode", "category"]
    value: Limit | Text | None = None
    indicator: bool = False


class Column(BaseModel):
    """One column of a table: a number, a whole number, or one of a fixed set of categories.

    Attributes:
        categories: the values of a category.
        immutable: whether it is beyond an attacker's reach; a category is, unless it is `mutable`.
        mutable: of a category, whether an attacker may switch it to another one.
        direction: the only way that an attacker may change it; None lets him raise and lower it.
        limits: smallest and largest valid number; None takes those of the training rows for an attacker's box.
        unit: of eps in raw units, 0 lets nothing change; None takes the training rows' standard deviation.
        missing: what an empty cell counts as; None refuses it.
        other: the category that an unknown one counts as; None refuses it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    kind: Literal["number", "integer", "category"]
    categories: tuple[Text, ...] = ()
    immutable: bool = False
    limits: tuple[Limit, Limit] | None = None
    direction: Literal["up", "down"] | None = Field(default=None, exclude_if=unset)
    unit: Annotated[float, Field(ge=0.0, le=LARGEST, allow_inf_nan=False)] | None = Field(
        default=None, exclude_if=unset
    )
    missing: Missing | None = Field(default=None, exclude_if=unset)
    other: Text | None = Field(default=None, exclude_if=unset)
    mutable: bool = Field(default=False, exclude_if=unset)

    @model_validator(mode="after")
    def _values_fit_the_kind(self) -> Self:
        if (self.kind == "category") != bool(self.categories):
            raise ValueError(f"column {self.name!r} of kind {self.kind} has {len(self.categories)} categories")
        twice = repeated(self.categories)
        if twice is not None:
            raise ValueError(f"column {self.name!r} has category {twice!r} twice")
        if self.limits and self.kind == "category":
            raise ValueError(f"column {self.name!r} of categories has limits; expected none")
        if self.kind == "category" and (self.direction or self.unit is not None):
            raise ValueError(f"column {self.name!r} of categories has a direction or a unit; expected none")
        if self.mutable and (self.kind != "category" or self.immutable):
            raise ValueError(f"column {self.name!r} is mutable; expected that of categories that are not immutable")
        if self.limits and self.limits[0] > self.limits[1]:
            raise ValueError(f"column {self.name!r} has limits {list(self.limits)}; expected the smaller first")
        if self.other is not None and self.other not in self.categories:
            raise ValueError(f"column {self.name!r}: other is {self.other!r}; expected one of its categories")
        return self

    @model_validator(mode="after")
    def _fills_empty_cells_by_its_kind(self) -> Self:
        if self.missing is None:
            return self
        ways = ("mode", "category") if self.kind == "category" else ("median", "mean", "mode")
        if self.missing.how not in ways or (self.missing.indicator and self.kind == "category"):
            raise ValueError(f"column {self.name!r} of kind {self.kind}: missing is {self.missing.how!r}")
        value = self.missing.value
        if value is not None and fault_of(self, value):
            raise ValueError(f"column {self.name!r}: an empty cell counts as {value!r}, which is no valid value of it")
        return self

    @property
    def numbers(self) -> tuple[bool, ...]:
        """Per network input that it takes, whether it is the number itself, and no 0 or 1 that says which it is."""
        if self.kind == "category":
            return (False,) * len(self.categories)
        return (True, False) if self.missing and self.missing.indicator else (True,)

    @property
    def fills(self) -> bool:
        """Whether it is known what an empty cell counts as, so that null is taken."""
        return self.missing is not None and self.missing.value is not None

    @property
    def inputs(self) -> int:
        """How many network inputs it takes."""
        return len(self.numbers)

    @property
    def example(self) -> str | float:
        """A valid value: the first category, or the number nearest to 0."""
        if self.kind == "category":
            return self.categories[0]
        low, high = self.limits or (0.0, 0.0)
        nearest = min(max(0.0, low), high)
        return nearest if self.kind == "number" else math.copysign(math.ceil(abs(nearest)), nearest)


def expected_of(column: Column) -> str:
    """What a cell may hold, in words."""
    return one_of(column.categories) if column.kind == "category" else "a finite number"


def fault_of(column: Column, value: Any) -> str:
    """What a value of a column should be that it is not; empty for a valid one."""
    if column.kind == "category":
        return "" if value in column.categories else expected_of(column)
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not abs(value) <= LARGEST:
        return "a finite number"
    if column.kind == "integer" and not float(value).is_integer():
        return "a whole number"
    # In the network's own precision, in which an attacked value may lie on the very limit.
    if column.limits and not np.float32(column.limits[0]) <= np.float32(value) <= np.float32(column.limits[1]):
        return f"a number from {column.limits[0]:g} to {column.limits[1]:g}"
    return ""

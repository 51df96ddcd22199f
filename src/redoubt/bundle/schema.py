"""The schema of a task's inputs and answers, and how a record becomes the network's input."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.base.types import Floats, Kind, Name
from redoubt.bundle.dates import EXPECTED, Dated, as_asked, moment
from redoubt.bundle.relations.table import Relations, check_columns
from redoubt.bundle.words import meant, normal, one_of, unlike

# A Python float, which any integer can be compared with.
LARGEST = float(np.finfo(np.float32).max)

# Values of one input: an image of 1182 x 1182 pixels in colour, or so many columns.
MOST_VALUES = 2**22
# Longest name of a column, category or class.
LONGEST = 1000


def _not_too_large(shape: tuple[int, ...]) -> tuple[int, ...]:
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"{math.prod(shape):,} values in one input; expected at most {MOST_VALUES:,}")
    return shape


# Of one input: `(features,)` or `(height, width, channels)`.
Shape = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_VALUES)], ...],
    Field(min_length=1, max_length=3),
    AfterValidator(_not_too_large),
]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]


# No more than float32 holds: what is compared with it is turned into float32 first.
Limit = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


def _twice(names: Sequence[str]) -> str | None:
    """The first name that stands there a second time."""
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def _unset(value: object) -> bool:
    """What is left out of a schema on disk, so that one without it has the bytes and the digest it always had."""
    return not value if isinstance(value, tuple) else value is None


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
        immutable: whether it is beyond an attacker's reach; a category always is.
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
    direction: Literal["up", "down"] | None = Field(default=None, exclude_if=_unset)
    unit: Annotated[float, Field(ge=0.0, le=LARGEST, allow_inf_nan=False)] | None = Field(
        default=None, exclude_if=_unset
    )
    missing: Missing | None = Field(default=None, exclude_if=_unset)
    other: Text | None = Field(default=None, exclude_if=_unset)

    @model_validator(mode="after")
    def _values_fit_the_kind(self) -> Self:
        if (self.kind == "category") != bool(self.categories):
            raise ValueError(f"column {self.name!r} of kind {self.kind} has {len(self.categories)} categories")
        twice = _twice(self.categories)
        if twice is not None:
            raise ValueError(f"column {self.name!r} has category {twice!r} twice")
        if self.limits and self.kind == "category":
            raise ValueError(f"column {self.name!r} of categories has limits; expected none")
        if self.kind == "category" and (self.direction or self.unit is not None):
            raise ValueError(f"column {self.name!r} of categories has a direction or a unit; expected none")
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
        if value is not None and _wrong(self, value):
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


class Schema(BaseModel):
    """What a task's inputs and answers look like, and how a record becomes the network's input.

    Attributes:
        columns: the table's columns in the network's order; empty for images.
        shape: of one network input, `(features,)` or `(height, width, channels)`.
        labels: class names in the order of the logits; empty for regression.
        threshold: of two classes, the probability of the second from which on it is the answer, by the logits as they
            were trained; the last bias holds it, so that the larger logit of the network is the answer. None if it was
            not chosen.
        relations: what holds between the numbers of every valid record, one line each (see `bundle.relations`): no
            attack may break it. A record that breaks one is answered all the same.
        dates: of a table, columns of dates whose parts are among its columns; an input may hold either.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Name
    kind: Kind
    target: Text
    columns: tuple[Column, ...] = ()
    shape: Shape
    labels: tuple[Text, ...] = ()
    threshold: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(default=None, exclude_if=_unset)
    relations: tuple[Text, ...] = Field(default=(), exclude_if=_unset)
    dates: tuple[Dated, ...] = Field(default=(), exclude_if=_unset)

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Self:
        image, inputs = self.kind == "image", sum(column.inputs for column in self.columns)
        if image and (self.columns or len(self.shape) != 3):
            raise ValueError(f"an image has no columns and a shape of three sides; got shape {list(self.shape)}")
        if not image and self.shape != (inputs,):
            raise ValueError(f"the columns take {inputs} inputs; got shape {list(self.shape)}")
        if not self.is_classification and self.labels:
            raise ValueError("a regression has no labels")
        if self.is_classification and not self.labels:
            raise ValueError("expected labels, the names of the classes; got none")
        for name in (name for dated in self.dates for name in dated.columns):
            if name not in [column.name for column in self.columns]:
                raise ValueError(f"{name!r} is a part of a date and no column")
        for noun, names in (("label", self.labels), ("column", tuple(column.name for column in self.columns))):
            twice = _twice(names)
            if twice is not None:
                raise ValueError(f"{noun} {twice!r} appears twice")
        return self

    @model_validator(mode="after")
    def _relations_are_between_numbers(self) -> Self:
        numbers = [column.name for column in self.columns if column.kind != "category"]
        categories = [column.name for column in self.columns if column.kind == "category"]
        immutable = [column.name for column in self.columns if column.immutable]
        for line in self.relations:
            strangers = check_columns(line, numbers, categories, immutable)
            if strangers:
                raise ValueError(f"relation '{line}' names {strangers[0]!r}; expected one of {', '.join(numbers)}")
        return self

    @property
    def is_classification(self) -> bool:
        """Whether the answers are classes, of tables or of images, and not numbers."""
        return self.kind != "regression"

    @property
    def outputs(self) -> int:
        """Width of the network's output: one per class, or 1 for a number."""
        return len(self.labels) if self.is_classification else 1

    @property
    def input_names(self) -> list[str]:
        """A name per network input of a table: numbers by name, categories as `column=value`."""
        return [
            name
            for column in self.columns
            for name in (
                [f"{column.name}={c}" for c in column.categories]
                if column.kind == "category"
                else [column.name, f"{column.name} is missing"][: column.inputs]
            )
        ]

    @property
    def numeric(self) -> NDArray[np.bool_]:
        """Which network inputs of a table are numbers, `(features,)`; one-hot inputs are False."""
        return self._flags(lambda column: True)

    @property
    def integer(self) -> NDArray[np.bool_]:
        """Which network inputs of a table are whole numbers, `(features,)`."""
        return self._flags(lambda column: column.kind == "integer")

    @property
    def mutable(self) -> NDArray[np.bool_]:
        """Which network inputs of a table an attacker can change, `(features,)`."""
        return self._flags(lambda column: not column.immutable)

    @property
    def directions(self) -> dict[str, NDArray[np.bool_] | np.bool_]:
        """Which network inputs of a table an attacker may lower (`falls`) and raise (`rises`), `(features,)` or all."""
        if all(column.direction is None for column in self.columns):
            return {"falls": np.True_, "rises": np.True_}
        ways = [column.direction if number else None for column in self.columns for number in column.numbers]
        return {name: np.array([way != other for way in ways]) for name, other in (("falls", "up"), ("rises", "down"))}

    @property
    def related(self) -> Relations | None:
        """What holds between the network inputs of every valid record; None if nothing is declared."""
        if not self.relations:
            return None
        firsts = np.cumsum([0, *(column.inputs for column in self.columns)]).tolist()
        return Relations.of(
            self.relations, {column.name: first for column, first in zip(self.columns, firsts[:-1], strict=True)}
        )

    @property
    def units(self) -> Floats:
        """Declared unit of eps per network input of a table, `(features,)`; NaN where it is the standard deviation."""
        units = [
            np.nan if column.unit is None or not number else column.unit
            for column in self.columns
            for number in column.numbers
        ]
        return np.array(units, dtype=np.float32)

    @property
    def limits(self) -> Floats:
        """Smallest and largest valid value per network input of a table, `(features, 2)`; NaN where not declared."""
        nothing = (np.nan, np.nan)
        ends = [
            (column.limits or nothing) if is_number else nothing
            for column in self.columns
            for is_number in column.numbers
        ]
        return np.array(ends, dtype=np.float32).reshape(-1, 2)

    def _flags(self, has: Callable[[Column], bool]) -> NDArray[np.bool_]:
        flags = [is_number and has(column) for column in self.columns for is_number in column.numbers]
        return np.array(flags, dtype=bool)

    def with_parts(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """A record with the parts of each date that it holds in place of the date.

        Raises:
            InputError: what is no date, or a date beside its own parts.
        """
        found = dict(record) if self.dates else record
        for dated in self.dates:
            if dated.name not in record:
                continue
            value = record[dated.name]
            empty = value is None or (isinstance(value, str) and not value.strip())
            when = None if empty else moment(value)
            if when is None and not empty:
                raise InputError(f"column '{dated.name}' is {value!r}; {EXPECTED}")
            twice = next((name for name in dated.columns if name in record), None)
            if twice is not None:
                raise InputError(f"'{dated.name}' gives the column '{twice}' already; leave one of them out")
            parts = dict.fromkeys(dated.columns) if when is None else dated.of(when)
            found = {name: cell for name, cell in found.items() if name != dated.name} | parts
        return found

    def encode(self, records: Sequence[Mapping[str, Any]]) -> Floats:
        """Turn records in raw units into network inputs, categories one-hot.

        Args:
            records: one mapping per row, keyed by column name; a date may stand for its parts. What is None or left
                out counts as the column's `missing` says, and so does a category that is blank. Categories are taken in
                their normal form.

        Returns:
            Array `(rows, features)`, float32.

        Raises:
            InputError: a missing or unknown column, an empty cell or a category never seen where the column does not
                say what it counts as, not a finite number, a number that is not whole or outside its limits where the
                column says so.
        """
        return np.array(
            [self._encode_one(row, record) for row, record in enumerate(records)], dtype=np.float32
        ).reshape(len(records), *self.shape)

    def _encode_one(self, row: int, given: Mapping[str, Any]) -> list[float]:
        try:
            record = self.with_parts(given)
        except InputError as error:
            raise InputError(f"input {row}: {error}") from None
        names = [column.name for column in self.columns]
        unknown = next((f"unknown column '{key}'" for key in record if key not in names), None)
        missing = next((each.name for each in self.columns if each.name not in record and not each.fills), None)
        if unknown or missing:
            [first, *_], asked = (as_asked(each, self.dates, given) for each in ([missing or ""], names))
            wrong = f"column '{first}' is missing" if missing else unknown
            raise InputError(f"input {row}: {wrong}; expected {', '.join(asked)}")
        return [value for column in self.columns for value in _encode_cell(row, column, record.get(column.name))]


def _encode_cell(row: int, column: Column, value: Any) -> list[float]:
    if value is None or _is_blank(column, value):
        if column.missing is None or column.missing.value is None:  # as `fills`, which mypy cannot follow
            came = "null" if value is None else f"{value!r}, which is empty"
            raise InputError(
                f"input {row}: column '{column.name}' is {came}; expected {_expected(column)}: the task declares no"
                " `missing` policy for it"
            )
        filled = _encode_cell(row, column, column.missing.value)
        return [filled[0], 1.0] if column.missing.indicator else filled
    if column.kind == "category":
        found = meant(value, column.categories)
        if found is None:
            if column.other is None or not isinstance(value, str):
                raise InputError(f"input {row}: column '{column.name}' is {unlike(value, column.categories)}")
            found = column.other
        return [float(found == category) for category in column.categories]
    wrong = _wrong(column, value)
    if wrong:
        raise InputError(f"input {row}: column '{column.name}' is {value!r}; expected {wrong}")
    return [float(value), 0.0][: column.inputs]


def _is_blank(column: Column, value: Any) -> bool:
    """Whether a word is an empty cell; an old bundle may have it as a category."""
    is_word = column.kind == "category" and isinstance(value, str) and value not in column.categories
    return is_word and not normal(value)


def _expected(column: Column) -> str:
    return one_of(column.categories) if column.kind == "category" else "a finite number"


def _wrong(column: Column, value: Any) -> str:
    """What a value of a column should be that it is not; empty for a valid one."""
    if column.kind == "category":
        return "" if value in column.categories else _expected(column)
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not abs(value) <= LARGEST:
        return "a finite number"
    if column.kind == "integer" and not float(value).is_integer():
        return "a whole number"
    # In the network's own precision, in which an attacked value may lie on the very limit.
    if column.limits and not np.float32(column.limits[0]) <= np.float32(value) <= np.float32(column.limits[1]):
        return f"a number from {column.limits[0]:g} to {column.limits[1]:g}"
    return ""

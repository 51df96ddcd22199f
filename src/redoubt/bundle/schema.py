"""The schema of a task's inputs and answers, and how a record becomes the network's input."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.base.types import Floats, Kind, Name
from redoubt.bundle.column import Column, Text, expected_of, fault_of, repeated, unset
from redoubt.bundle.dates import EXPECTED, Dated, as_asked, empty_as, moment
from redoubt.bundle.relations.table import Relations, check_columns
from redoubt.bundle.switches import Switches
from redoubt.bundle.words import meant, normal, unlike

# Values of one input: an image of 1182 x 1182 pixels in colour, or so many columns.
MOST_VALUES = 2**22


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
        switches: how many of the mutable categories an attacker may switch in one example; None where none is mutable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Name
    kind: Kind
    target: Text
    columns: tuple[Column, ...] = ()
    shape: Shape
    labels: tuple[Text, ...] = ()
    threshold: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(default=None, exclude_if=unset)
    relations: tuple[Text, ...] = Field(default=(), exclude_if=unset)
    dates: tuple[Dated, ...] = Field(default=(), exclude_if=unset)
    switches: Annotated[int, Field(ge=1)] | None = Field(default=None, exclude_if=unset)

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
            twice = repeated(names)
            if twice is not None:
                raise ValueError(f"{noun} {twice!r} appears twice")
        return self

    @model_validator(mode="after")
    def _relations_are_between_numbers(self) -> Self:
        numbers = [column.name for column in self.columns if column.kind != "category"]
        categories = [column.name for column in self.columns if column.kind == "category"]
        immutable = [column.name for column in self.columns if column.immutable]
        integer = [column.name for column in self.columns if column.kind == "integer"]
        for line in self.relations:
            strangers = check_columns(line, numbers, categories, immutable, integer)
            if strangers:
                raise ValueError(f"relation '{line}' names {strangers[0]!r}; expected one of {', '.join(numbers)}")
        return self

    @model_validator(mode="after")
    def _switches_are_of_mutable_categories(self) -> Self:
        count = sum(column.mutable for column in self.columns)
        if (self.switches is None) != (count == 0) or (self.switches or 0) > count:
            raise ValueError(f"switches is {self.switches}, of {count} mutable categories; expected 1 to as many")
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
        """Which network inputs of a table an attacker can change by an eps, `(features,)`: no category is one."""
        return self._flags(lambda column: not column.immutable)

    @property
    def directions(self) -> dict[str, NDArray[np.bool_] | np.bool_]:
        """Which network inputs of a table an attacker may lower (`falls`) and raise (`rises`), `(features,)` or all."""
        if all(column.direction is None for column in self.columns):
            return {"falls": np.True_, "rises": np.True_}
        ways = [column.direction if number else None for column in self.columns for number in column.numbers]
        return {name: np.array([way != other for way in ways]) for name, other in (("falls", "up"), ("rises", "down"))}

    @property
    def firsts(self) -> dict[str, int]:
        """The first network input of each column."""
        firsts = np.cumsum([0, *(column.inputs for column in self.columns)]).tolist()
        return {column.name: first for column, first in zip(self.columns, firsts[:-1], strict=True)}

    @property
    def related(self) -> Relations | None:
        """What holds between the network inputs of every valid record; None if nothing is declared."""
        return Relations.of(self.relations, self.firsts) if self.relations else None

    @property
    def switching(self) -> Switches | None:
        """Which categories an attacker may switch; None if none is mutable."""
        if self.switches is None:
            return None
        mutable = [column for column in self.columns if column.mutable]
        places = tuple((self.firsts[column.name], column.inputs) for column in mutable)
        return Switches(tuple(column.name for column in mutable), places, self.switches)

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
            InputError: what is no date, an empty one without a policy, or a date beside its own parts.
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
            if empty:
                dated.require_policies(value, [each.name for each in self.columns if not each.fills])
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
            raise InputError(
                f"input {row}: column '{column.name}' is {empty_as(value)}; expected {expected_of(column)}: the task"
                " declares no `missing` policy for it"
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
    wrong = fault_of(column, value)
    if wrong:
        raise InputError(f"input {row}: column '{column.name}' is {value!r}; expected {wrong}")
    return [float(value), 0.0][: column.inputs]


def _is_blank(column: Column, value: Any) -> bool:
    """Whether a word is an empty cell; an old bundle may have it as a category."""
    is_word = column.kind == "category" and isinstance(value, str) and value not in column.categories
    return is_word and not normal(value)

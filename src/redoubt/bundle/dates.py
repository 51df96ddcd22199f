"""Dates as the whole numbers that a network takes of them: the same for training rows and for what is asked."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from redoubt.bundle.base.errors import InputError

Part = Literal["year", "month", "day", "weekday", "hour", "days"]
# Weekdays count from Monday, 1, to Sunday, 7.
_PARTS: Mapping[Part, Callable[[datetime, date], int]] = {
    "year": lambda when, start: when.year,
    "month": lambda when, start: when.month,
    "day": lambda when, start: when.day,
    "weekday": lambda when, start: when.isoweekday(),
    "hour": lambda when, start: when.hour,
    "days": lambda when, start: (when.date() - start).days,
}
PARTS: tuple[Part, ...] = tuple(_PARTS)
_MONTH = re.compile(r"\d{4}-\d{2}")
EXPECTED = "expected a date such as 2024-05-31 or 2024-05-31T17:20"


class Dated(BaseModel):
    """A column of dates, and the parts of it that are columns of whole numbers.

    Attributes:
        start: what `days` counts from: the earliest date of the source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=1000)]
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    start: Annotated[date, PlainSerializer(date.isoformat, return_type=str)]

    @property
    def columns(self) -> tuple[str, ...]:
        """What the parts are called."""
        return part_names(self.name, self.parts)

    def require_policies(self, value: object, unfilled: Collection[str]) -> None:
        """Refuse an empty date, by its own name, if something must be said of its parts.

        Args:
            value: None, or blanks.
            unfilled: columns of which the task does not say what an empty cell counts as.

        Raises:
            InputError: some part is one of them.
        """
        without = [name for name in self.columns if name in unfilled]
        if without:
            which = "its parts" if len(without) == len(self.columns) else ", ".join(map(repr, without))
            came = f"column '{self.name}' is {empty_as(value)}"
            raise InputError(f"{came}; {EXPECTED}: the task declares no `missing` policy for {which}")

    def of(self, when: datetime) -> dict[str, int]:
        """The parts of a moment, by their columns."""
        return {f"{self.name}_{part}": _PARTS[part](when, self.start) for part in self.parts}


def empty_as(value: object) -> str:
    """What is said of an empty cell that came: null, or a word of blanks."""
    return "null" if value is None else f"{value!r}, which is empty"


def part_names(name: str, parts: tuple[Part, ...]) -> tuple[str, ...]:
    """What the parts of a column of dates are called, as columns."""
    return tuple(f"{name}_{part}" for part in parts)


def as_asked(columns: Iterable[str], dates: Iterable[Dated], given: Collection[str] = ()) -> list[str]:
    """The names that a record needs for some columns: a date's own for its parts, where none of these is given."""
    own = {part: each.name for each in dates if not {*each.columns} & {*given} for part in each.columns}
    return list(dict.fromkeys(own.get(name, name) for name in columns))


def moment(text: object) -> datetime | None:
    """A date, a month or a time as ISO 8601 writes it, None for anything else; one with an offset is taken in UTC."""
    if not isinstance(text, str):
        return None
    text = text.strip()
    try:
        found = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
        return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None

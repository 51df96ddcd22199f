"""Columns of dates as people write them: read as moments, in UTC where they name an offset."""

import re
from typing import Any

import numpy as np
import pandas as pd

from redoubt.data.shared.looks import DATE, MISSING

_HALF_DAY = re.compile(
    r"^(?P<day>\d{4}-\d\d-\d\d)[ T]+(?P<hour>0?[1-9]|1[0-2])(?P<rest>(?::\d\d(?::\d\d(?:\.\d+)?)?)?)"
    r"\s*(?P<half>[AaPp])\.?[Mm]\.?$"
)


def moments(cells: "pd.Series[Any]") -> tuple["pd.Series[Any]", "pd.Series[bool]"] | None:
    """What a column of dates says, and which cells are neither empty nor a date.

    Args:
        cells: dates, or text.

    Returns:
        Moments without a time zone, NaT where a cell is none; None where the dates can be read with the day or the
        month first.
    """
    if pd.api.types.is_datetime64_any_dtype(cells):
        found = cells.dt.tz_convert("UTC").dt.tz_localize(None) if cells.dt.tz is not None else cells
        return found, pd.Series(data=False, index=cells.index)
    text = cells.astype("str").str.strip()
    empty = cells.isna() | text.str.casefold().isin(MISSING)
    first = day_first(text[~empty])
    if first is None:
        return None
    # pandas reads numbers, times and the word "today" as dates too.
    other = ~text.str.fullmatch(DATE) | text.str.fullmatch(r"\d*(?:[.,]\d*)?")
    found = parsed(text.mask(empty | other), first)
    return found, found.isna() & ~empty


def parsed(text: "pd.Series[Any]", first: bool) -> "pd.Series[Any]":
    """Text as moments, in UTC where it names an offset, NaT where pandas reads none.

    Args:
        text: dates and times.
        first: whether the day comes first where no year does; pandas would let it before the month even behind a year.
    """
    text = as_iso(text, first)
    by_year = text.str.match(r"\d{4}").fillna(value=False).to_numpy(bool)
    found = np.full(len(text), "NaT", "datetime64[us]")
    for rows, day in ((by_year, False), (~by_year, first)):
        read = pd.to_datetime(text[rows], errors="coerce", format="mixed", dayfirst=day, utc=True)
        found[rows] = read.dt.tz_localize(None).to_numpy("datetime64[us]")
    return pd.Series(found, text.index, name=text.name)


def as_iso(text: "pd.Series[Any]", first: bool) -> "pd.Series[Any]":
    """Dates with the year at their end, or with AM and PM, as ISO 8601 writes them: ten times as fast for pandas.

    Args:
        text: dates and times.
        first: whether the day comes before the month.
    """

    def turned(found: "re.Match[str]") -> str:
        one, two, year = found.groups()
        day, month = (one, two) if first else (two, one)
        # Two digits as `strptime` takes them: the same in any year.
        century = "" if len(year) == 4 else "20" if int(year) < 69 else "19"
        return f"{century}{year}-{month:0>2}-{day:0>2}"

    text = text.str.replace(r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})(?!\d)", turned, regex=True)
    for pattern, instead in ((r"^(\d{4})-(\d)-", r"\1-0\2-"), (r"^(\d{4}-\d{2})-(\d)(?!\d)", r"\1-0\2")):
        text = text.str.replace(pattern, instead, regex=True)
    return text.str.replace(_HALF_DAY, _whole_day, regex=True)


def _whole_day(found: "re.Match[str]") -> str:
    hour = int(found["hour"]) % 12 + 12 * (found["half"] in "pP")
    return f"{found['day']}T{hour:02d}{found['rest'] or ':00'}"


def day_first(text: "pd.Series[Any]") -> bool | None:
    """Whether dates such as 31.5.2024 begin with the day: some day above 12, or a dot, says so; None if nothing does.

    Also where dates say both.
    """
    fields = text.str.extract(r"^(\d{1,2})([./-])(\d{1,2})\2").dropna()
    if fields.empty:
        return False
    first, second = int(fields[0].astype(int).max()), int(fields[2].astype(int).max())
    if (first > 12) == (second > 12) and not (second <= 12 and (fields[1] == ".").all()):
        return None
    return second <= 12

"""Columns of dates as people write them: read as moments, in UTC where they name an offset."""

from typing import Any

import pandas as pd

from redoubt.data.shared.looks import MISSING


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
    found = pd.to_datetime(text.mask(empty), errors="coerce", format="mixed", dayfirst=first, utc=True)
    # A number alone, such as 2024, is read as something; no date is without a mark.
    found = found.dt.tz_localize(None).mask(text.str.fullmatch(r"\d*(?:[.,]\d*)?"))
    return found, found.isna() & ~empty


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

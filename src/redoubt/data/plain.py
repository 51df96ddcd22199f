"""Numbers as people write them, such as 1.234,50, as Python writes them; words for "missing" as empty cells."""

import re
from typing import Any

import pandas as pd

from redoubt.params.settings.read import ReadParams

# What spreadsheets and typesetters write for these marks between thousands: blanks that do not break, apostrophes.
LOOK_ALIKE = {" ": "[ \u00a0\u202f\u2009]", "'": "['\u2019]"}


def plain(table: pd.DataFrame, how: ReadParams) -> pd.DataFrame:
    """A table of text with its numbers written plainly and its missing cells empty.

    Args:
        table: text as it was read.
        how: it is written. In a column whose cells are mostly numbers in this way of writing those are rewritten; any
            other cell stays as it is, to be named by whoever needs a number there.
    """
    if how.missing:
        table = table.mask(table.apply(lambda cells: cells.str.strip().isin(how.missing)), "")
    if how.decimal == "." and not how.thousands:
        return table
    pattern = numbers_as(how.decimal, how.thousands)
    return table.apply(lambda cells: _rewritten(cells, pattern, how))


def numbers_as(decimal: str, thousands: str) -> str:
    """The pattern of a number with these marks, by itself in a cell; a mark may be any that looks like it."""
    mark, group = re.escape(decimal), LOOK_ALIKE.get(thousands, re.escape(thousands))
    whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)" if thousands else r"\d+"
    return rf"\s*[-+]?(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][-+]?\d+)?\s*"


def _rewritten(cells: "pd.Series[Any]", pattern: str, how: ReadParams) -> "pd.Series[Any]":
    matched = cells.str.fullmatch(pattern)
    filled = cells.str.strip() != ""
    if not matched.any() or matched.sum() * 2 <= filled.sum():
        return cells
    # Blanks at the ends of a cell may stay or go.
    group = LOOK_ALIKE.get(how.thousands, re.escape(how.thousands))
    numbers = cells.str.replace(group, "", regex=True) if how.thousands else cells
    return cells.mask(matched, numbers.str.replace(how.decimal, ".", regex=False))

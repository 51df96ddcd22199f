"""Numbers as people write them, such as 1.234,50 or $5, as Python writes them; words for "missing" as empty cells."""

import re
from typing import Any

import pandas as pd

from redoubt.data.shared.looks import MISSING, MONEY
from redoubt.params.settings.read import ReadParams

# What spreadsheets and typesetters write for these marks between thousands: blanks that do not break, apostrophes.
LOOK_ALIKE = {" ": "[ \u00a0\u202f\u2009]", "'": "['\u2019]"}
# A number with what may stand beside it: brackets, a minus before or behind, a currency, a percent sign.
_MINUS = "[-\u2212]"
_AMOUNT = re.compile(
    rf"\s*(\()?\s*({_MINUS}|\+)?\s*({MONEY})?\s*({_MINUS})?\s*(\d[\d.,'\u2019 \u00a0\u202f\u2009]*?|[.,]\d+)"
    rf"\s*({MONEY}|%)?\s*({_MINUS})?\s*(\))?\s*"
)
# Of a column's cells; one of fewer amounts is none of amounts.
_AMOUNTS = 0.9
_EMPTY = (*MISSING, "?", "-")


def plain(table: pd.DataFrame, how: ReadParams) -> pd.DataFrame:
    """A table of text with its numbers written plainly and its missing cells empty.

    Args:
        table: text as it was read.
        how: it is written. In a column whose cells are mostly numbers in this way of writing those are rewritten; any
            other cell stays as it is, to be named by whoever needs a number there.

    Returns:
        The table; '12 %' is 12, not 0.12.
    """
    table = _emptied(table, how)
    table = table.apply(bare) if how.amounts else table
    if how.decimal == "." and not how.thousands:
        return table
    pattern = numbers_as(how.decimal, how.thousands)
    # A number that stands for an empty cell may be named as it is written, -200,0, or as what it is, -200.0.
    return _emptied(table.apply(lambda cells: _rewritten(cells, pattern, how)), how)


def _emptied(table: pd.DataFrame, how: ReadParams) -> pd.DataFrame:
    if not how.missing:
        return table
    return table.mask(table.apply(lambda cells: cells.str.strip().isin(how.missing)), "")


def without_empty_rows(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A table of text without its rows of nothing but separators, and how many these were, in words.

    Args:
        table: of one column an empty cell is a row.
    """
    rows = table.index
    for name in table:
        rows = rows[(table[name].loc[rows].str.strip() == "").to_numpy(bool)]
    if not len(rows) or len(table.columns) == 1:
        return table, []
    return table.drop(index=rows).reset_index(drop=True), [f"{len(rows):,} rows without a cell are left out"]


def numbers_as(decimal: str, thousands: str) -> str:
    """The pattern of a number with these marks, by itself in a cell; a mark may be any that looks like it."""
    mark, group = re.escape(decimal), LOOK_ALIKE.get(thousands, re.escape(thousands))
    # In India the groups above the thousands are of two digits: 12,34,567.
    indian = r"|\d{1,2}(?:,\d{2})+,\d{3}" if thousands == "," else ""
    whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+{indian}|\d+)" if thousands else r"\d+"
    return rf"\s*[-+]?(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][-+]?\d+)?\s*"


def bare(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column of amounts without what stands beside their numbers; any other column, the same object.

    Args:
        cells: text. It is one of amounts if nine of ten cells are, in one currency, or all in percent: what is written
            in several units is left to its owner. Numbers that are all in brackets are none below zero.
    """
    matches = {text: match for text in cells.unique().tolist() if (match := _AMOUNT.fullmatch(text))}
    plainly = {text: number for text, match in matches.items() if (number := _alone(match)) is not None}
    found = [matches[text] for text in plainly]
    units = {_unit(each) for each in found}
    unlike = len(units - {""}) > 1 or ("%" in units and "" in units)
    turned = [bool(each[1] or each[7]) for each in found]
    if unlike or all(turned) or not (any(turned) or units - {""} or any(each[4] for each in found)):
        return cells
    known, empty = cells.isin(list(plainly)), cells.str.strip().str.casefold().isin(_EMPTY)
    return cells if known.sum() <= _AMOUNTS * (~empty).sum() else cells.mask(known, cells.map(plainly))


def _unit(found: "re.Match[str]") -> str:
    return found[3] or found[6] or ""


def _alone(found: "re.Match[str]") -> str | None:
    """The number of an amount, its minus before it; None where it has two signs or two units, or half a bracket."""
    opened, sign, before, inner, number, after, behind, closed = found.groups()
    if bool(opened) != bool(closed) or (before and after) or sum(map(bool, (opened, sign, inner, behind))) > 1:
        return None
    return f"-{number}" if opened or inner or behind or sign not in (None, "+") else number


def _rewritten(cells: "pd.Series[Any]", pattern: str, how: ReadParams) -> "pd.Series[Any]":
    matched = cells.str.fullmatch(pattern)
    filled = cells.str.strip() != ""
    if not matched.any() or matched.sum() * 2 <= filled.sum():
        return cells
    # Blanks at the ends of a cell may stay or go.
    group = LOOK_ALIKE.get(how.thousands, re.escape(how.thousands))
    numbers = cells.str.replace(group, "", regex=True) if how.thousands else cells
    return cells.mask(matched, numbers.str.replace(how.decimal, ".", regex=False))

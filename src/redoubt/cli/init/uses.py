"""What a column can be used as by itself, and why not."""

import re
from typing import Literal

import numpy as np
import pandas as pd

from redoubt.bundle.column import LARGEST, LONGEST
from redoubt.bundle.dates import PARTS, Part
from redoubt.cli.init.cells import Cells
from redoubt.data.prepare.precision import KEPT, LARGEST_STD, SMALLEST_STD, measure
from redoubt.data.readers import is_nameless
from redoubt.data.shared.dates import moments
from redoubt.data.shared.looks import looks_like
from redoubt.data.shared.survey import NAMELESS

Use = Literal["number", "whole number", "category", "date", "left out", "target"]
# Of more different words so many are kept, the most frequent ones.
CATEGORIES, KEPT_WORDS = 50, 20
# Of the cells; emptier columns are left out.
EMPTY = 0.5
# So many rows teach what a category means.
TAUGHT = 10
# Of the cells of a column that is meant as one of numbers, though a few are not.
NUMBERS = 0.9
# Of a skewed column: its third standardized moment, and the different values that it takes to tell.
SKEWED, VARIED = 2.0, 50
ID = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|index|idx|row|rownum|no|nr|number|ticket)($|[_\W])|(?<=[a-z])I[Dd]$", re.IGNORECASE
)
# A number of such a name counts nothing, however often it occurs.
_SURELY_ID = re.compile(r"(^|[_\W])(id|ids|uuid|guid)($|[_\W])|(?<=[a-z])I[Dd]$", re.IGNORECASE)
# Days as 20240531 says them.
_DAYS = (19_000_101, 20_991_231)


def use_of(cells: Cells) -> tuple[Use, str]:
    """What a column is used as, and why it is left out."""
    why = _unusable(cells)
    if why:
        return "left out", why
    if cells.values is not None:
        return _use_of_numbers(cells.values, cells)
    if cells.is_time:
        return _use_of_dates(cells)
    why = _unlearnable(cells)
    return ("left out", why) if why else ("category", "")


def kept_words(cells: Cells) -> int:
    """How many of a column's many words are kept: the frequent ones; 0 keeps all of a few."""
    if cells.values is not None or cells.distinct <= CATEGORIES:
        return 0
    return min(KEPT_WORDS, int((cells.filled.value_counts() >= TAUGHT).sum()))


def skewness(cells: Cells) -> float:
    """The third standardized moment of a column of numbers that is skewed; 0 of any other column."""
    if cells.values is None or cells.distinct < VARIED:
        return 0.0
    values = cells.values.to_numpy(np.float64)
    found = float((((values - values.mean()) / values.std()) ** 3).mean())
    return found if abs(found) > SKEWED else 0.0


def _unusable(cells: Cells) -> str:
    if not len(cells.filled):
        return "it is empty"
    if is_nameless(cells.name):
        return NAMELESS
    if cells.holds_objects:
        return "it holds lists, records or bytes: make columns of numbers or words of them"
    if len(cells.filled) < (1 - EMPTY) * len(cells.raw):
        share = 1 - len(cells.filled) / len(cells.raw)
        return f"{share:.0%} of its cells are empty"
    return "it is always the same" if cells.distinct == 1 else ""


def _use_of_dates(cells: Cells) -> tuple[Use, str]:
    found = moments(cells.raw)
    if found is None:
        return "left out", "dates that can be read with the day or the month first: write them like 2024-05-31"
    _, wrong = found
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        shown = f"{str(cells.raw.iloc[row])[:30]!r} in row {row} (counted from 0 below the header)"
        return "left out", f"dates, but {int(wrong.sum()):,} of its cells are none, such as {shown}: correct them"
    parts = varying_parts(cells)
    return "date", f"{', '.join(parts)} as whole numbers that no attacker changes"


def varying_parts(cells: Cells) -> tuple[Part, ...]:
    """The parts of a column of dates that are not always the same."""
    found = moments(cells.raw)
    when = pd.Series(dtype="datetime64[ns]") if found is None else found[0].dropna()
    varies = {
        "year": when.dt.year,
        "month": when.dt.month,
        "day": when.dt.day,
        "weekday": when.dt.day_of_week,
        "hour": when.dt.hour,
        "days": when.dt.normalize(),
    }
    return tuple(part for part in PARTS if varies[part].nunique() > 1)


def _unlearnable(cells: Cells) -> str:
    """Why text is no category."""
    if pd.api.types.is_string_dtype(cells.filled) and int(cells.filled.str.len().max()) > LONGEST:
        return f"texts of more than {LONGEST:,} letters, the longest that a category may have"
    if cells.distinct == 2:
        return ""
    looks = looks_like(cells.raw)
    if looks.like.startswith(("a date", "a duration", "a percentage", "an amount", "a number", "a time")):
        return f"it looks like {looks.like}: {looks.fix}"
    return "" if cells.distinct <= CATEGORIES else _few_are_no_numbers(cells) or _too_many_words(cells)


def _too_many_words(cells: Cells) -> str:
    if cells.distinct > 0.5 * len(cells.filled):
        return "an identifier or free text: nearly all values differ"
    if ID.search(cells.name):
        return f"an identifier, by its name: {cells.distinct:,} different values"
    few = f"{cells.distinct:,} different words, fewer than two of which stand in {TAUGHT} rows"
    return "" if kept_words(cells) >= 2 else few


def _few_are_no_numbers(cells: Cells) -> str:
    """Of a column of numbers with a total, a remark or a typing error among them."""
    if not pd.api.types.is_string_dtype(cells.filled):
        return ""
    text = cells.filled[pd.to_numeric(cells.filled, errors="coerce").isna()]
    if not 0 < len(text) < (1 - NUMBERS) * len(cells.filled):
        return ""
    row = int(cells.raw.index.get_indexer(text.index[:1])[0])
    where = f"row {row} (counted from 0 below the header)"
    where = "the last row, of totals?" if row == len(cells.raw) - 1 else where
    return (
        f"numbers but for {len(text):,} of its cells, such as {text.iloc[0][:30]!r} in {where}: correct or remove"
        " these and it is a number, or say --missing with a word for an empty cell"
    )


def _use_of_numbers(values: "pd.Series[float]", cells: Cells) -> tuple[Use, str]:
    whole, rows = bool((values % 1 == 0).all()), len(values)
    beyond = ~(values.abs() <= LARGEST)
    if beyond.any():
        shown = cells.filled[beyond].iloc[0]
        return "left out", f"{int(beyond.sum()):,} of its cells are no number that 32 bits hold ({shown}): correct them"
    steps = values.diff().dropna()
    if whole and cells.distinct == rows >= 20 and (steps == steps.iloc[0]).all():
        return "left out", "it counts the rows"
    many = cells.distinct > 0.5 * rows
    if whole and ID.search(cells.name) and (many or (cells.distinct > CATEGORIES and _SURELY_ID.search(cells.name))):
        how_many = "nearly all values differ" if many else f"{cells.distinct:,} different values"
        return "left out", f"an identifier, by its name: {how_many}"
    if cells.distinct == 2:
        return "category", ""
    why = _imprecise(values, whole)
    return ("left out", why) if why else ("whole number" if whole else "number", "")


def _imprecise(values: "pd.Series[float]", whole: bool) -> str:
    """Why float32 holds a column of numbers too badly; empty where it does not."""
    if whole and values.between(*_DAYS).all():
        days = pd.to_datetime(values.astype("int64").astype("str"), format="%Y%m%d", errors="coerce")
        if days.notna().all():
            return f"dates such as {values.iloc[0]:.0f}, it seems: write them like 2024-05-31"
    kept = measure(values)
    if kept and (not SMALLEST_STD < kept.std < LARGEST_STD or (kept.matters and kept.kept < KEPT * kept.distinct)):
        return (
            f"float32, in which a network computes, cannot tell its values apart (near {kept.largest:g} its step is "
            f"{kept.step:g}): subtract its smallest value, or change its unit"
        )
    return ""

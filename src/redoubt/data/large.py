"""Large tables: their columns are checked as rows of a table of figures, not by rules of each column."""

from collections.abc import Iterator

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd

from redoubt.bundle.schema import Schema
from redoubt.data.prepare.precision import KEPT, LARGEST_STD, SMALLEST_STD
from redoubt.data.rules import LARGEST, Precisions, Rule
from redoubt.data.verdict import EMPTY
from redoubt.params.settings.data_params import JudgedParams

# From so many columns or cells on: Great Expectations takes 20 ms for a rule, of which a column has four, and looks at
# each of a column's cells by itself to find its standard deviation.
COLUMNS, CELLS = 100, 2**23
_EMPTY, _NUMBERS, _LOW, _HIGH = "(share of empty cells)", "(is of numbers)", "(smallest value)", "(largest value)"
_STD, _KEPT, _UNKNOWN = "(standard deviation)", "(share of values kept in 32 bits)", "(cells of no known category)"


def is_large(table: pd.DataFrame) -> bool:
    """Whether a table is checked by the figures of its columns first."""
    return len(table.columns) > COLUMNS or table.size > CELLS


def figures(table: pd.DataFrame, schema: Schema, task: JudgedParams, precisions: Precisions) -> pd.DataFrame:
    """A row per column of a table, by its name; a figure that a column has not is empty."""
    kinds = {column.name: column.kind for column in schema.columns}
    known = {column.name: column.categories for column in schema.columns}
    rows = {}
    for name in [*kinds, schema.target]:
        if name not in table:
            continue
        cells = table[name]
        row = dict.fromkeys((_EMPTY, _NUMBERS, _LOW, _HIGH, _STD, _KEPT, _UNKNOWN), np.nan)
        row[_EMPTY] = np.nan if name in task.missing else float(cells.isna().mean())
        if kinds.get(name) == "category":
            row[_UNKNOWN] = float((cells.notna() & ~cells.isin(known[name])).sum())
        elif name in kinds or not schema.is_classification:
            row[_NUMBERS] = float(pd.api.types.is_numeric_dtype(cells))
            if row[_NUMBERS]:
                row |= {_LOW: float(cells.min()), _HIGH: float(cells.max())}
        if (precision := precisions.get(name)) is not None:
            row[_STD] = precision.std
            row[_KEPT] = precision.kept / precision.distinct if precision.matters else 1.0
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def column_rules(task: JudgedParams) -> Iterator[Rule]:
    """Rules on the figures of all columns; the fixes stand with the columns' own rules, of those that break one."""
    most, fix = task.checks.max_missing, "see the rules of these columns below"
    between = gxe.ExpectColumnValuesToBeBetween
    yield Rule(
        f"{EMPTY} in any column",
        f"at most {most:.1%} of a column's cells empty",
        fix,
        between(column=_EMPTY, max_value=most),
    )
    yield Rule("numbers", "each a column of numbers", fix, between(column=_NUMBERS, min_value=1))
    # Infinity is above any limit.
    yield Rule("finite", "finite numbers that 32 bits can hold", fix, between(column=_LOW, min_value=-LARGEST))
    yield Rule("finite", "finite numbers that 32 bits can hold", fix, between(column=_HIGH, max_value=LARGEST))
    yield Rule(
        "standard deviation that 32 bits can hold",
        f"a standard deviation from {SMALLEST_STD:g} to {LARGEST_STD:g}",
        fix,
        between(column=_STD, min_value=SMALLEST_STD, max_value=LARGEST_STD),
    )
    yield Rule(
        "values that 32 bits keep apart",
        f"at least {KEPT:.0%} of a column's values still different as float32, in which a network computes",
        fix,
        between(column=_KEPT, min_value=KEPT),
    )
    yield Rule("known categories", "no other word", fix, between(column=_UNKNOWN, max_value=0))

"""Rules that a user's data keep, for their owner to edit."""

from typing import Any

import pandas as pd

from redoubt.params.settings.own_rules import OwnRule


def proposed(table: pd.DataFrame, most: int) -> tuple[OwnRule, ...]:
    """Rules that a table keeps, for its owner to tighten: the range of each column of numbers, the words of each other.

    Args:
        table: the columns that are used, the target last; empty cells NaN.
        most: columns; of a wider table the target alone gets a rule.
    """
    names = list(table.columns) if len(table.columns) <= most else list(table.columns[-1:])
    return tuple(rule for name in names if (rule := _rule(table[name])) is not None)


def _rule(cells: "pd.Series[Any]") -> OwnRule | None:
    there, name = cells.dropna(), str(cells.name)
    if there.empty:
        return None
    if pd.api.types.is_numeric_dtype(cells):
        limits = {"min_value": float(there.min()), "max_value": float(there.max())}
        return OwnRule(type="expect_column_values_to_be_between", arguments={"column": name, **limits})
    words = sorted(str(word) for word in there.unique())
    return OwnRule(type="expect_column_values_to_be_in_set", arguments={"column": name, "value_set": words})

"""A column of a user's table, looked at once."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from redoubt.data.shared.looks import MISSING, looks_like
from redoubt.data.shared.words import words

# Codes such as 00123, whose zeros a number would lose.
_CODE = re.compile(r"\d+")


@dataclass(frozen=True, eq=False)
class Cells:
    """A column, looked at once.

    Attributes:
        raw: as it was read.
        filled: what is not empty; text in its normal form.
        values: the same as numbers, if all of it is.
        distinct: how many different values it has.
    """

    raw: "pd.Series[Any]"
    filled: "pd.Series[Any]"
    values: "pd.Series[Any] | None"
    distinct: int

    @property
    def name(self) -> str:
        """Of the column."""
        return str(self.raw.name)

    @property
    def is_time(self) -> bool:
        """Whether it holds dates."""
        return self.values is None and self.distinct > 1 and looks_like(self.raw).like == "a date"

    @property
    def holds_objects(self) -> bool:
        """Whether a cell is a list, a record or bytes, which are no words."""
        return any(isinstance(cell, list | tuple | dict | bytes | np.ndarray) for cell in self.raw.dropna().head(20))


def looked_at(raw: "pd.Series[Any]") -> Cells:
    """Look at a column as the pipeline will read it."""
    if pd.api.types.is_datetime64_any_dtype(raw) or pd.api.types.is_bool_dtype(raw):
        filled = raw.dropna()
        return Cells(raw, filled, None, int(filled.nunique()))
    if pd.api.types.is_numeric_dtype(raw):
        filled = raw.dropna().astype("float64")
        return Cells(raw, filled, filled, int(filled.nunique()))
    text = words(raw).dropna()
    filled = text[~text.str.casefold().isin(MISSING)]
    number = len(filled) > 0 and not _are_codes(filled)
    values = pd.to_numeric(filled, errors="coerce").astype("float64") if number else None
    values = None if values is None or values.isna().any() else values
    return Cells(raw, filled, values, int(filled.nunique()))


def _are_codes(filled: "pd.Series[Any]") -> bool:
    """Whether digits are codes: all of one length, and some begin with a zero."""
    lengths = filled.str.len()
    return bool(
        lengths.iloc[0] > 1 and (lengths == lengths.iloc[0]).all() and filled.str.startswith("0").any()
    ) and bool(filled.str.fullmatch(_CODE).all())

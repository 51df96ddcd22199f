"""The column that keeps rows together or in order when they are split, as numbers."""

from typing import Any

import numpy as np
import pandas as pd

from redoubt.data.locate import SourceError
from redoubt.data.shared.dates import day_first, parsed
from redoubt.data.shared.kept_together import By
from redoubt.data.shared.words import words
from redoubt.params.settings.data_params import DataParams


def split_by(table: pd.DataFrame, task: DataParams) -> By | None:
    """What the task's split goes by; None if by chance.

    Args:
        table: as it was read; cells may be text.
        task: names the column.

    Raises:
        SourceError: an empty cell, or what is no time, or can be read as two.
    """
    name = task.split.by
    if name is None:
        return None
    cells = table[name]
    empty = cells.isna() | (cells.astype("str").str.strip() == "")
    how, source = ("group" if task.split.group else "time"), f"'{task.source}': column '{name}'"
    if empty.any():
        raise SourceError(
            f"{source} is empty in {int(empty.sum())} rows, the first row {int(empty.to_numpy().argmax())} (counted "
            f"from 0 below the header), but split.{how} needs it in every row; fill it in or remove these rows"
        )
    if how == "group":
        codes, _ = pd.factorize(words(cells), sort=True)
        return By("group", codes.astype(np.int64))
    _, ranks = np.unique(_moments(cells, source), return_inverse=True)
    return By("time", ranks.astype(np.int64))


def _moments(cells: "pd.Series[Any]", source: str) -> Any:
    """Times as numbers that rise with them."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return cells.to_numpy("datetime64[ns]").astype(np.int64)
    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.notna().all():
        return numbers.to_numpy(np.float64)
    text = cells.astype("str").str.strip()
    first = day_first(text)
    if first is None:
        raise SourceError(
            f"{source} can be read with the day or the month first, such as {text.iloc[0][:40]!r}; write "
            "times like 2024-05-31 for split.time"
        )
    read = parsed(text, first)
    if read.isna().any():
        row = int(read.isna().to_numpy().argmax())
        raise SourceError(
            f"{source} must hold times for split.time, but row {row} (counted from 0 below the header) holds "
            f"{str(cells.iloc[row])[:40]!r}; write them like 2024-05-31 or 2024-05-31 17:20"
        )
    return read.to_numpy("datetime64[ns]").astype(np.int64)

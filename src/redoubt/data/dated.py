"""Declared parts of dates, as columns of whole numbers more in the user's table."""

from typing import Any

import numpy as np
import pandas as pd

from redoubt.bundle.dates import EXPECTED, Dated, moment
from redoubt.data.locate import SourceError
from redoubt.data.shared.dates import moments
from redoubt.params.settings.data_params import DataParams


def with_parts(table: pd.DataFrame, task: DataParams) -> tuple[pd.DataFrame, tuple[Dated, ...]]:
    """A table with the declared parts of its dates, NaN for an empty cell, and how they are made.

    Args:
        table: as it was read.
        task: declares `dates`.

    Raises:
        SourceError: cells that are no date, dates that can be read in two ways, a column that is there already.
    """
    made = []
    for name, parts in task.dates.items():
        where = f"'{task.source}': column '{name}'"
        when, wrong = _read(table[name], where)
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise SourceError(
                f"{where} must hold dates, but {int(wrong.sum())} of {len(wrong)} cells are none, the first in row "
                f"{row} (counted from 0 below the header): {str(table[name].iloc[row])[:60]!r}; {EXPECTED}"
            )
        if when.isna().all():
            raise SourceError(f"{where} is empty; leave it out of 'dates' in params.yaml")
        made.append(Dated(name=name, parts=parts, start=when.min().date()))
        table = table.assign(**_columns(when, made[-1], table, where))
    return table, tuple(made)


def expand(table: pd.DataFrame, dates: tuple[Dated, ...], source: str) -> tuple[pd.DataFrame, dict[int, str]]:
    """A table that somebody asks about, with the parts of its dates.

    Args:
        table: with a column of dates, or of their parts.
        dates: that the model was trained on.
        source: the table's name, for messages.

    Returns:
        The table, and by row, counted from 0, what is wrong with a date that is none: its parts are NaN.

    Raises:
        SourceError: dates that can be read in two ways.
    """
    errors: dict[int, str] = {}
    for dated in dates:
        if dated.name not in table or set(dated.columns) & set(table.columns):
            continue
        where = f"'{source}': column '{dated.name}'"
        when, wrong = _read(table[dated.name], where)
        for row in np.flatnonzero(wrong.to_numpy()).tolist():
            errors[row] = f"column '{dated.name}' is {str(table[dated.name].iloc[row])[:60]!r}; {EXPECTED}"
        table = table.assign(**_columns(when, dated, table, where))
    return table, errors


def _read(cells: "pd.Series[Any]", where: str) -> tuple["pd.Series[Any]", "pd.Series[bool]"]:
    found = moments(cells)
    if found is None:
        raise SourceError(f"{where} can be read with the day or the month first; write its dates like 2024-05-31")
    return found


def _columns(when: "pd.Series[Any]", dated: Dated, table: pd.DataFrame, where: str) -> dict[str, "pd.Series[float]"]:
    twice = next((name for name in dated.columns if name in table), None)
    if twice is not None:
        raise SourceError(f"{where} gives a column '{twice}', which the table has already; rename one of them")
    # By the code that the endpoint uses, once for each moment.
    codes, known = pd.factorize(when)
    rows = [dated.of(each) for text in known if (each := moment(text.isoformat())) is not None]
    return {
        name: pd.Series(np.array([*(row[name] for row in rows), np.nan])[codes], when.index, dtype="float64")
        for name in dated.columns
    }

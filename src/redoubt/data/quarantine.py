"""Rows of a user's table that broke the validation: moved aside into a file, and left out when the table is read."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from redoubt.core.store import whole_file
from redoubt.data.locate import SourceError
from redoubt.data.shared.survey import listed

# Below data/own, which `ingest` depends on.
FOLDER = Path("data/own/quarantine")
ROW, WHY = "(row)", "(why)"


def path_of(task: str) -> Path:
    """Where a task's quarantine lies, in the project's top folder."""
    return FOLDER / f"{task}.csv"


def apart(table: pd.DataFrame, task: str) -> tuple[NDArray[np.bool_], str] | None:
    """Which rows of a table are in quarantine, by what they hold, and a sentence on it; None if there is none.

    Args:
        table: as it was read; a row that is the same as one in quarantine is one in quarantine.
        task: its name.

    Raises:
        SourceError: a quarantine of a table with other columns.
    """
    path = path_of(task)
    if not path.is_file():
        return None
    kept = pd.read_csv(path, dtype="str", keep_default_na=False)
    names = [str(name) for name in table.columns]
    if [name for name in kept.columns if name not in (ROW, WHY)] != names:
        raise SourceError(
            f"'{path}' holds rows with the columns {listed(kept.columns)}; expected those of the task's source, "
            f"{listed(names)}: delete the file to use all rows, and run `redoubt quarantine {task}` again"
        )
    found = np.isin(_digests(table), _digests(kept[names]))
    why = kept[WHY].value_counts()
    reasons = listed((f"{reason} ({count:,})" for reason, count in why.items()), 3)
    return found, f"{int(found.sum()):,} rows are in quarantine, '{path}', and not used: {reasons}"


def move(table: pd.DataFrame, task: str, broken: Mapping[int, Sequence[str]]) -> Path:
    """Add rows to a task's quarantine; the source itself stays as it is.

    Args:
        table: the rows that are used, as they were read.
        task: its name.
        broken: by row, counted from 0, the rules that it breaks.
    """
    path, rows = path_of(task), sorted(broken)
    added = _texts(table.iloc[rows])
    added.insert(0, WHY, ["; ".join(broken[row]) for row in rows])
    added.insert(0, ROW, [str(row) for row in rows])
    there = [pd.read_csv(path, dtype="str", keep_default_na=False)] if path.is_file() else []
    with whole_file(path) as made:
        pd.concat([*there, added]).to_csv(made, index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    return path


def _texts(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype("str").fillna("")


def _digests(table: pd.DataFrame) -> NDArray[Any]:
    return pd.util.hash_pandas_object(_texts(table), index=False).to_numpy()

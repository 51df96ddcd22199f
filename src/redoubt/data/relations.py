"""Holds the rows of a table against the relations that its task declares between columns."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd

from redoubt.bundle.relations.relation import Relation, parse
from redoubt.core.types import Ints
from redoubt.data.locate import SourceError
from redoubt.params.settings.data_params import DataParams

# So many of the rows that break a relation are named.
SHOWN = 5


def require(typed: pd.DataFrame, task: DataParams) -> None:
    """Refuse a table with rows that break a relation; a row with an empty cell in it breaks none.

    Args:
        typed: numbers as float64, empty cells NaN.
        task: names columns of the table only.

    Raises:
        SourceError: names the relation, how many rows break it, the first of them and what they hold.
    """
    for relation, rows in _broken(typed, task):
        first = ", ".join(f"{name} {typed[name].iloc[rows[0]]:g}" for name in relation.columns)
        places = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
        where = f"{'row' if len(rows) == 1 else 'rows'} {places} (counted from 0 below the header)"
        raise SourceError(
            f"'{task.source}': relation '{relation.text}' is broken by {len(rows):,} of {len(typed):,} rows, "
            f"{where}, the first with {first}; "
            "correct the cells, let `redoubt quarantine` move such rows aside, or change 'relations' in params.yaml "
            "(what is rounded in the data: 'f - 0.01 <= a <= f + 0.01' in place of 'a == f')"
        )


def misfits(typed: pd.DataFrame, task: DataParams) -> dict[int, list[str]]:
    """Rows that break a relation, counted from 0, with the reason of each; see `require`."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for relation, rows in _broken(typed, task):
        for row in rows:
            found[int(row)].append(f"relation '{relation.text}' does not hold")
    return dict(found)


def _broken(typed: pd.DataFrame, task: DataParams) -> Iterator[tuple[Relation, Ints]]:
    for line in task.relations:
        for relation in parse(line):
            if not set(relation.columns) <= set(typed):
                # What it is about instead is said where the declarations are checked.
                continue
            x = {name: typed[name].to_numpy(dtype=np.float64) for name in relation.columns}
            full = np.isfinite(list(x.values())).all(axis=0)
            rows = np.flatnonzero(full & ~relation.holds(x))
            if len(rows):
                yield relation, rows

"""A target that cannot be learnt is refused at once; one that can hardly is said to be."""

from collections.abc import Iterator

import pandas as pd

from redoubt.bundle.column import LARGEST
from redoubt.cli.init.cells import Cells
from redoubt.cli.words import AskedError

# Of a class; with fewer no split leaves one for every part and fold.
LEAST = 10
SHOWN = 3
# Rows: of fewer nothing can be said, not even which column is an identifier.
FEWEST = 20


def check(goal: Cells, measured: bool) -> None:
    """Refuse a target of which nothing can be learnt.

    Args:
        goal: the column.
        measured: whether it is a number and no class.

    Raises:
        AskedError: hardly a row, or it is empty, always the same, not finite, of objects, or no class has several rows.
    """
    what = f"--target {goal.name}:"
    if len(goal.raw) < FEWEST:
        raise AskedError(f"the table has {len(goal.raw):,} rows, too few to learn from; add rows")
    if not len(goal.filled):
        raise AskedError(f"{what} the column is empty in all {len(goal.raw):,} rows; choose another")
    if goal.holds_objects:
        raise AskedError(f"{what} the column holds lists, records or bytes; expected numbers or words")
    if goal.distinct == 1:
        raise AskedError(
            f"{what} the column is always {str(goal.filled.iloc[0])[:40]!r}; expected at least two classes"
        )
    if measured:
        _check_numbers(goal, what)
    elif int(goal.filled.value_counts().max()) < 2:
        raise AskedError(f"{what} all {goal.distinct:,} values differ: an identifier or free text, and no class")


def _check_numbers(goal: Cells, what: str) -> None:
    values = pd.Series(dtype="float64") if goal.values is None else goal.values
    beyond = ~(values.abs() <= LARGEST)
    if beyond.any():
        shown = goal.filled[beyond].iloc[0]
        raise AskedError(
            f"{what} {int(beyond.sum()):,} cells are no number that 32 bits hold, such as {shown}; correct or remove"
            " them"
        )


def notes(goal: Cells, measured: bool) -> Iterator[str]:
    """What the owner of a target should know.

    Args:
        goal: the column.
        measured: whether it is a number and no class.
    """
    counts = goal.filled.astype("str").value_counts()
    few = counts[counts < LEAST]
    if len(few) and not measured:
        shown = ", ".join(f"{str(word)[:30]!r} {count:,}" for word, count in few.iloc[::-1][:SHOWN].items())
        more = f" and {len(few) - SHOWN:,} more" if len(few) > SHOWN else ""
        yield (
            f"{len(few):,} of {len(counts):,} classes have fewer than {LEAST} rows ({shown}{more}), too few to be in"
            " every part of the split: add rows of them, merge them or remove them, or `validate` stops"
        )

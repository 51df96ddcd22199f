"""What is odd about a column that is used all the same, for its owner to judge."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from redoubt.bundle.dates import Part
from redoubt.cli.init.cells import Cells
from redoubt.cli.init.uses import Use
from redoubt.data.shared.survey import alike

# Days since 1899-12-30, of 1954 to 2064.
SERIAL = (20_000, 60_000)
_DATED = re.compile(r"date|datum|day|time|fecha|jour|tag", re.IGNORECASE)
# Numbers that stand for an empty cell, and how far from all others: in widths of their range.
SENTINELS = (-99, -200, -999, -9999, -99_999, 999, 9999, 99_999, 999_999)
FAR = 2.0


@dataclass(frozen=True)
class Proposed:
    """A column: what it holds, an excerpt, its use, and why.

    Attributes:
        keep: how many of its words are kept; 0 for all.
        skewed: whether it is spread out inside the network.
        parts: of a date, those that are used.
    """

    name: str
    holds: str
    empty: int
    distinct: int
    shows: str
    use: Use
    why: str = ""
    keep: int = 0
    skewed: bool = False
    parts: tuple[Part, ...] = ()


def odd_notes(every: Sequence[Cells], columns: Sequence[Proposed], measured: bool) -> Iterator[str]:
    """Words that look alike, numbers that stand for an empty cell, and days as spreadsheets count them.

    Args:
        every: the columns.
        columns: what each is used as.
        measured: whether the target is a number and no class.
    """
    for cells, column in zip(every, columns, strict=True):
        is_class = column.use == "target" and not measured
        if is_class or column.use == "category":
            what = f"classes of '{column.name}'" if is_class else f"values of '{column.name}'"
            yield from alike(sorted(cells.filled.astype("str").unique()), what)
        elif column.use != "left out" and cells.values is not None:
            yield from _sentinels(cells.values, cells)
            if column.use == "whole number" and _DATED.search(column.name):
                yield from _days(cells.values, column.name)


def _sentinels(values: "pd.Series[float]", cells: Cells) -> Iterator[str]:
    for each in SENTINELS:
        count, rest = int((values == each).sum()), values[values != each]
        width = float(rest.max() - rest.min()) if len(rest) else 0.0
        gap = min(abs(each - float(rest.min())), abs(each - float(rest.max()))) if len(rest) else 0.0
        alone = bool(each < 0 <= rest.min()) if len(rest) else False
        if count > 1 and width > 0 and not rest.min() <= each <= rest.max() and (alone or gap > FAR * width):
            # As they are written, -999.0 perhaps, which is what a word for an empty cell must be.
            written = cells.filled[values == each].unique().tolist()
            word = written[0]
            fix = f"say --missing {' '.join(written)}" if isinstance(word, str) else "leave these cells empty"
            how = "far from all others" if gap > FAR * width else "the others not below 0"
            yield (
                f"'{cells.name}' is {word} in {count:,} cells, {how} ({rest.min():g} to {rest.max():g}):"
                f" {fix} if that stands for an empty cell"
            )


def _days(values: "pd.Series[float]", name: str) -> Iterator[str]:
    if not values.between(*SERIAL).all():
        return
    first, last = (pd.Timestamp("1899-12-30") + pd.Timedelta(days=int(end)) for end in (values.min(), values.max()))
    yield (
        f"'{name}' may be days as spreadsheets count them, from {first:%Y-%m-%d} to {last:%Y-%m-%d}: they are used as"
        f" numbers; to predict the future, say split: {{time: {name}}}"
    )

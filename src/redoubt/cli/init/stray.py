"""Rows of a file that are no example: totals below it, units or a second header above, a header repeated within."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from redoubt.cli.init.cells import Cells
from redoubt.data.shared.survey import listed

# Of a column's cells; where more are words it is none of numbers.
STRAY = 0.1
SHOWN = 3
TOTALS = re.compile(
    r"\s*(sub|grand|sous)?[ -]?(totals?|sum|summen?|gesamt|insgesamt|somme|suma|totale)\b", re.IGNORECASE
)
# Of a sum of numbers that were rounded one by one, as a share.
ROUNDED = 1e-6


def stray_notes(every: Sequence[Cells]) -> Iterator[str]:
    """Say which rows their owner should remove before anything is learnt from them.

    Args:
        every: the columns.
    """
    broken = _broken(every)
    last = len(every[0].raw) - 1
    for row, words in list(broken.items())[:SHOWN]:
        names = [cells.name for cells in every]
        if all(name == word for name, word in words.items()):
            what = "it repeats the names of the columns"
        else:
            guess = {0: "units, or a second header?", last: "totals, or a remark?"}.get(row, "no example?")
            what = f"{listed((f'{word!r} in {name!r}' for name, word in words.items()), SHOWN)}: {guess}"
        of_all = f"{len(words)} of {len(names)} columns"
        where = f"row {row} (counted from 0 below the header)"
        yield f"{where} keeps {of_all} from being numbers ({what}): remove that line"
    if last not in broken and (why := _totals(every)):
        yield f"the last row seems to hold totals ({why}): remove it, or it counts as an example"


def _broken(every: Sequence[Cells]) -> dict[int, dict[str, str]]:
    """By row that has words in several columns of numbers, these words by column."""
    found: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for cells in every:
        if cells.values is not None or not pd.api.types.is_string_dtype(cells.filled) or not len(cells.filled):
            continue
        words = cells.filled[pd.to_numeric(cells.filled, errors="coerce").isna()]
        if 0 < len(words) < STRAY * len(cells.filled):
            for row, word in zip(cells.raw.index.get_indexer_for(words.index).tolist(), words, strict=True):
                found[row][cells.name] = str(word)[:30]
    return {row: found[row] for row in sorted(found) if len(found[row]) > 1 or _is_alone(row, found[row], every)}


def _is_alone(row: int, words: dict[str, str], every: Sequence[Cells]) -> bool:
    """Whether a row holds nothing but these words, as a remark does."""
    others = [cells for cells in every if cells.name not in words]
    return bool(others) and all(cells.raw.index[row] not in cells.filled.index for cells in others)


def _totals(every: Sequence[Cells]) -> str:
    """Why the last row is one of totals; empty if it is not."""
    summed = [cells.name for cells in every if _is_sum(cells)]
    named = [(cells.name, str(cells.raw.iloc[-1])) for cells in every if cells.values is None and len(cells.raw)]
    word = next(((name, cell) for name, cell in named if TOTALS.match(cell)), None)
    if not summed or (word is None and len(summed) < 2):
        return ""
    said = "" if word is None else f"{word[1][:30]!r} in {word[0]!r}, "
    return f"{said}{listed(map(repr, summed), SHOWN)} the sum of all above"


def _is_sum(cells: Cells) -> bool:
    if cells.values is None or len(cells.values) < SHOWN or cells.values.index[-1] != cells.raw.index[-1]:
        return False
    *above, below = cells.values.to_numpy(np.float64).tolist()
    return bool(below) and bool(np.isclose(sum(above), below, rtol=ROUNDED))

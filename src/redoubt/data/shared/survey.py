"""What was found in a source, column by column, how each is used, and what its owner should know."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from redoubt.bundle.schema import Schema
from redoubt.core.types import Ints
from redoubt.data.shared.looks import MISSING, is_number, looks_like
from redoubt.params.settings.data_params import DataParams

# A category of more values than that is an identifier, as a rule.
_MANY = 50
# From so many rows on a column that only rises is no chance.
_ROWS = 20


# Why a column is left out that nobody asked for: nothing to warn of.
UNNAMED = "params.yaml does not name it"
# And one without a name.
NAMELESS = "it has no name: an index that was exported, as a rule, or one whose name is in another line"


@dataclass(frozen=True)
class Found:
    """A column: what it holds, an excerpt, what it is used as, and why if it is left out."""

    name: str
    holds: str
    shows: str
    used: str
    why: str = ""


@dataclass(frozen=True)
class Survey:
    """Every column of a source in its order, and sentences for its owner."""

    columns: tuple[Found, ...] = ()
    notes: tuple[str, ...] = ()


def listed(words: Iterable[str], most: int = 10) -> str:
    """Words with commas between them; of many the first and how many more."""
    every = list(words)
    return ", ".join(every[:most]) + (f" and {len(every) - most:,} more" if len(every) > most else "")


def of_table(
    table: pd.DataFrame, typed: pd.DataFrame, schema: Schema, task: DataParams, noted: tuple[str, ...]
) -> Survey:
    """Survey a table.

    Args:
        table: as it was read, with all its columns.
        typed: the columns that are used, as numbers and words.
        schema: says which column is used as what.
        task: says what was asked for.
        noted: what its reader noted.
    """
    used = {column.name: column.kind for column in schema.columns} | {schema.target: "target"}
    columns = tuple(
        _used(typed[name], table[name], used[name]) if name in used else _not_used(table[name], task)
        for name in map(str, table.columns)
    )
    return Survey(columns, (*noted, *_table_notes(typed, schema, task)))


def of_images(x: NDArray[Any], y: Ints, schema: Schema, levels: int, least: float) -> Survey:
    """Survey images `(rows, height, width, channels)` with class indices `(rows,)`; a white pixel is `levels`."""
    counts = np.bincount(y, minlength=len(schema.labels))
    pixels = Found("x", f"{len(x):,} images", f"{' x '.join(map(str, x.shape[1:]))}, 0 to {levels}", "pixels")
    named = dict(zip(schema.labels, counts.tolist(), strict=True))
    classes = Found(schema.target, f"{len(named)} classes", _counted(named), "target")
    return Survey((pixels, classes), (*alike(schema.labels, f"classes of '{schema.target}'"), *_rare(named, least)))


def _used(cells: "pd.Series[Any]", raw: "pd.Series[Any]", kind: str) -> Found:
    name, there = str(cells.name), cells.dropna()
    if pd.api.types.is_numeric_dtype(cells):
        flags = pd.api.types.is_bool_dtype(raw)
        holds = "true or false, as 1 and 0" if flags else "whole numbers" if (there % 1 == 0).all() else "numbers"
        shows = f"{_figure(there.min())} to {_figure(there.max())}" if len(there) else ""
    else:
        counts = there.value_counts()
        holds = f"{len(counts):,} {'classes' if kind == 'target' else 'different words'}"
        shows = _counted({str(key): int(n) for key, n in counts.items()})
    empty = len(cells) - len(there)
    return Found(name, holds + (f", {empty:,} empty" if empty else ""), shows, kind)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) < 1e15 and value % 1 == 0 else f"{value:.6g}"


def _not_used(cells: "pd.Series[Any]", task: DataParams) -> Found:
    found = _left_out(cells, task)
    if found.name in task.dates:
        return Found(found.name, found.holds, found.shows, f"date: {', '.join(task.dates[found.name])}")
    if found.name != task.split.by:
        return found
    return Found(found.name, found.holds, found.shows, "time of the split" if task.split.time else "group of the split")


def _left_out(cells: "pd.Series[Any]", task: DataParams) -> Found:
    name = str(cells.name)
    there, is_typed = cells.dropna(), pd.api.types.is_numeric_dtype(cells)
    there = there if is_typed else there[~there.astype("str").str.strip().str.casefold().isin(MISSING)]
    first, empty = there.head(50).astype("str"), len(cells) - len(there)
    shows = ", ".join(_cut(word) for word in [word for word in first.unique() if word][:3])
    if is_typed or (len(first) and first.map(is_number).all()):
        holds, fix = "numbers" + (f", {empty:,} empty" if empty else ""), "name it under 'features'"
    else:
        looks = looks_like(cells)
        holds, fix = looks.like, looks.fix
    if name.startswith("Unnamed: "):
        return Found(name, holds, shows, "left out", NAMELESS if len(there) else "it is empty")
    if task.features or task.words_only:
        return Found(name, holds, shows, "left out", UNNAMED)
    return Found(name, holds, shows, "left out", f"it is no number; to use it {fix}")


def _table_notes(typed: pd.DataFrame, schema: Schema, task: DataParams) -> Iterator[str]:
    target = typed[schema.target]
    empty = typed.isna()
    yield from _filled_notes(empty, schema)
    yield from _dropped_notes(empty.drop(columns=[column.name for column in schema.columns if column.missing]), task)
    for column in schema.columns:
        yield from _column_notes(typed[column.name], target, column.kind)
        yield from alike(column.categories, f"values of '{column.name}'")
    if schema.is_classification:
        yield from alike(schema.labels, f"classes of '{schema.target}'")
        yield from _rare({str(key): int(n) for key, n in target.value_counts().items()}, task.checks.min_class_share)


def _filled_notes(empty: pd.DataFrame, schema: Schema) -> Iterator[str]:
    for column in schema.columns:
        count = int(empty[column.name].sum())
        if column.missing and count:
            by = f"by the {column.missing.how} of the training rows"
            by = f"as a category of its own, '{column.missing.value}'" if column.missing.how == "category" else by
            flag = ", beside which one more input says so" if column.missing.indicator else ""
            share = f"{count / len(empty):.1%} of the rows"
            yield f"column '{column.name}': {count:,} empty cells ({share}) are filled in {by}{flag}"


def _dropped_notes(empty: pd.DataFrame, task: DataParams) -> Iterator[str]:
    """Of columns whose empty cells nothing takes the place of."""
    asked = [name for name in empty if task.missing.get(str(name)) == "drop"]
    gone = int(empty[asked].any(axis=1).sum())
    if gone:
        where = listed(f"{name} {int(empty[name].sum()):,}" for name in asked if empty[name].any())
        yield f"{gone:,} of {len(empty):,} rows have an empty cell ({where}) and are left out, as 'missing' says: drop"
    rest = empty.drop(columns=asked)
    rows = int(rest.any(axis=1).sum())
    if rows:
        where = listed(f"{name} {count:,}" for name, count in rest.sum().items() if count)
        share = f"{task.checks.max_missing:.0%}"
        yield (
            f"{rows:,} of {len(rest):,} rows have an empty cell ({where}): they are left out, "
            f"if validate.max_missing ({share}) lets them pass"
        )


def _column_notes(cells: "pd.Series[Any]", target: "pd.Series[Any]", kind: str) -> Iterator[str]:
    name, there = str(cells.name), cells.dropna()
    if _is_constant(there):
        yield f"column '{name}' is always the same: nothing can be learned from it; leave it out"
    elif cells.equals(target.rename(name)):
        yield f"column '{name}' is a copy of the target '{target.name}': leave it out, or the answer is given away"
    elif kind == "category" and there.nunique() > _MANY:
        distinct = f"{there.nunique():,} different values"
        yield f"column '{name}' has {distinct}, each an input of the network: is it an identifier?"
    elif kind != "category" and len(there) >= _ROWS and _is_monotone(there) and there.is_unique:
        yield f"column '{name}' only rises or only falls from row to row: a row number or a time? then leave it out"


def _is_constant(cells: "pd.Series[Any]") -> bool:
    return cells.empty or bool((cells == cells.iloc[0]).all())


def _is_monotone(cells: "pd.Series[Any]") -> bool:
    return bool(cells.is_monotonic_increasing or cells.is_monotonic_decreasing)


def alike(words: Sequence[str], what: str) -> Iterator[str]:
    """Words that a reader would take for one: they differ in case, blanks, a dot at the end, or as 1 and 1.0 do."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for word in words:
        groups[_folded(word)].append(word)
    several = [group for group in groups.values() if len(group) > 1]
    if several:
        shown = listed((" and ".join(map(_quoted, group[:4])) for group in several), 3)
        yield f"{what} that look the same count as different: {shown}; write them alike in the source"


def _quoted(word: str) -> str:
    """A word in quotes; one whose letters are composed otherwise than usual by their codes, to be told apart."""
    return repr(word[:40]) if unicodedata.is_normalized("NFC", word) else ascii(word)


def _folded(word: str) -> str:
    if is_number(word):
        return repr(float(word))
    return unicodedata.normalize("NFKC", word).casefold().strip().rstrip(".").strip()


def _rare(counts: dict[str, int], least: float) -> Iterator[str]:
    total = sum(counts.values())
    rare = [f"{_quoted(word)} {count:,}" for word, count in counts.items() if count < least * total]
    if rare:
        yield f"rare classes, below {least:.1%} of {total:,} rows, the least that `validate` lets pass: {listed(rare)}"


def _counted(counts: dict[str, int]) -> str:
    most = Counter(counts).most_common()
    return listed((f"{_cut(word)} {count:,}" for word, count in most), 3)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 30 else f"{text[:27]}..."

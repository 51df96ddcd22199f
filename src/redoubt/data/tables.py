"""From any table to a typed one with a schema: which columns, which are numbers, which categories."""

import difflib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from redoubt.bundle.column import Column
from redoubt.bundle.dates import EXPECTED
from redoubt.bundle.schema import Schema
from redoubt.data import limits, relations
from redoubt.data.dated import with_parts
from redoubt.data.locate import SourceError
from redoubt.data.prepare.missing import LEVEL, declared
from redoubt.data.readers import is_headless, is_nameless
from redoubt.data.shared import survey
from redoubt.data.shared.dataset import Raw
from redoubt.data.shared.dates import moments
from redoubt.data.shared.looks import MISSING, looks_like
from redoubt.data.shared.words import changed, words
from redoubt.data.split_column import split_by
from redoubt.params.settings.data_params import DataParams

# The category of rare and unknown values, where they are grouped.
OTHER = "other"
# So many names stand in a message.
_SHOWN = 30


@dataclass(frozen=True)
class Origin:
    """Where a table comes from, from which row on it is the source's own test set, and what its reader noted."""

    name: str
    test_from: int | None = None
    notes: tuple[str, ...] = ()


def build(table: pd.DataFrame, task: DataParams, origin: Origin) -> Raw:
    """Take the task's columns out of a table, as numbers and text.

    Args:
        table: any columns, in any order; cells may be text.
        task: names the target, and the features and categories unless every number is a feature.
        origin: for provenance and messages.

    Returns:
        The columns in the network's order (features, then categories), then the target; rows as they came.

    Raises:
        SourceError: no rows, a column missing or named twice, text where a number belongs, a number that is not what
            the task declares of its column, a declaration of no feature.
    """
    if task.kind == "image":
        raise SourceError(f"task '{task.name}' is of kind image, but '{task.source}' is a table")
    if not len(table):
        raise SourceError(f"'{task.source}' has no rows")
    _check_names(table, task)
    given, (table, dates) = table, with_parts(table, task)
    features = (*_features(given, task), *task.parts)
    used = len(features) + len(task.categorical)
    fix = "name fewer under 'features' in params.yaml"
    limits.refuse_above(used, limits.USED_COLUMNS, f"'{task.source}': too many columns to learn from", fix)
    figures = [*features, task.target] if task.kind == "regression" else features
    order = [*features, *task.categorical, task.target]
    columns = {
        name: numbers(table[name], name, task.source) if name in figures else words(table[name]) for name in order
    }
    # Without a copy, which would be the data twice.
    typed = pd.DataFrame(columns, copy=False).reset_index(drop=True)
    _check_declared(typed, features[: len(features) - len(task.parts)], task)
    grouped = [_group(typed, name, most, task) for name, most in task.levels.items()]
    schema = _schema(typed, features, task).model_copy(update={"dates": dates})
    normalized = [f"column {said}" for name in order if name not in figures and (said := changed(table[name]))]
    found = survey.of_table(given, typed, schema, task, (*origin.notes, *normalized, *grouped))
    by = split_by(table, task)
    return Raw(schema, task.source, origin.name, table=typed, test_from=origin.test_from, survey=found, by=by)


def misfits(table: pd.DataFrame, task: DataParams) -> dict[int, list[str]]:
    """Rows, counted from 0, of cells that keep a table from being taken, and why: the cells that `build` refuses.

    Args:
        table: as it was read.
        task: names the columns, and what is declared of them.

    Raises:
        SourceError: a column missing or named twice.
    """
    _check_names(table, task)
    features = _features(table, task)
    found: defaultdict[int, list[str]] = defaultdict(list)
    parsed = {}
    for name in task.dates:
        read = moments(table[name])
        for row in () if read is None else np.flatnonzero(read[1].to_numpy()):
            found[int(row)].append(f"column '{name}': {EXPECTED}")
    for name in (*features, *([task.target] if task.kind == "regression" else [])):
        plain = pd.api.types.is_numeric_dtype(table[name])
        values, text = (table[name].astype("float64"), None) if plain else _parse(table[name])
        parsed[name] = values
        wrong = {} if text is None else {"a number": text}
        if name in task.integer:
            wrong["a whole number"] = values.notna() & (values % 1 != 0)
        if name in task.ranges:
            low, high = task.ranges[name]
            wrong[f"from {low:g} to {high:g}"] = values.notna() & ~values.between(low, high)
        for expected, rows in wrong.items():
            for row in np.flatnonzero(rows.to_numpy()):
                found[int(row)].append(f"column '{name}': expected {expected}")
    for place, reasons in relations.misfits(pd.DataFrame(parsed), task).items():
        found[place] += reasons
    return dict(found)


def numbers(cells: "pd.Series[Any]", name: str, source: str) -> "pd.Series[float]":
    """A column as float64, missing cells NaN.

    Raises:
        SourceError: text in a cell; the message names the row, counted from 0 below the header.
    """
    if pd.api.types.is_numeric_dtype(cells):
        return cells.astype("float64")
    found, wrong = _parse(cells)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        looks = looks_like(cells[wrong.to_numpy()])
        raise SourceError(
            f"'{source}': column '{name}' must hold numbers, but {int(wrong.sum())} of {len(cells)} cells are text, "
            f"the first in row {row} (counted from 0 below the header): {_short(cells.iloc[row])}; "
            f"they look like {looks.like}: {looks.fix}, or correct the cells, or name the column "
            "under 'categorical' or leave it out of 'features' in params.yaml"
        )
    return found


def _parse(cells: "pd.Series[Any]") -> tuple["pd.Series[float]", "pd.Series[bool]"]:
    """Numbers, and which cells are neither a number nor missing."""
    text = cells.astype("str")
    if (plain := _plainly(text.mask(cells.isna()))) is not None:
        return plain, pd.Series(data=False, index=cells.index)
    missing = cells.isna() | text.str.strip().str.casefold().isin(MISSING)
    found = pd.to_numeric(text.mask(missing), errors="coerce").astype("float64")
    return found, found.isna() & ~missing


def _plainly(text: "pd.Series[str]") -> "pd.Series[float] | None":
    """Numbers of a column that is nothing but numbers and empty cells, by Arrow; None of any other."""
    cells = pa.array(text, pa.large_string(), from_pandas=True)
    nothing = pa.scalar(None, pa.large_string())
    try:
        found = pc.cast(pc.if_else(pc.equal(cells, ""), nothing, cells), pa.float64())
    except pa.ArrowInvalid:
        return None
    return pd.Series(found.to_numpy(zero_copy_only=False), text.index, dtype="float64", name=text.name)


def _features(table: pd.DataFrame, task: DataParams) -> tuple[str, ...]:
    return task.features if task.features or task.words_only else _numeric_names(table, task)


def _numeric_names(table: pd.DataFrame, task: DataParams) -> tuple[str, ...]:
    """Every column of numbers but the target; one with more numbers than text counts, so that its text is reported."""
    named = [str(name) for name in table.columns if not is_nameless(str(name))]
    rest = [name for name in named if name not in (task.target, *task.categorical, *task.dates, task.split.by)]
    names = tuple(name for name in rest if _is_numeric(table[name]))
    if not names and not task.categorical and not task.dates:
        raise SourceError(f"'{task.source}' has no column of numbers besides the target '{task.target}'")
    return names


def _is_numeric(cells: "pd.Series[Any]") -> bool:
    if pd.api.types.is_numeric_dtype(cells):
        return True
    found, wrong = _parse(cells)
    return bool(found.notna().sum() > wrong.sum())


def _check_names(table: pd.DataFrame, task: DataParams) -> None:
    wanted = [*task.features, *task.categorical, *task.dates, task.target]
    twice = sorted({name for name in wanted if wanted.count(name) > 1})
    if twice:
        raise SourceError(
            f"task '{task.name}' names column '{twice[0]}' twice among features, categorical, dates and target"
        )
    there = [str(name) for name in table.columns]
    wanted += [] if task.split.by is None else [task.split.by]
    missing = [name for name in wanted if name not in there]
    if missing:
        found = [f"'{name}'{_nearest(name, there)}" for name in missing]
        shown = ", ".join(there[:_SHOWN]) + (f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else "")
        headless = is_headless(there)
        hint = "; the first row looks like data: add a row with a name for each column" if headless else ""
        raise SourceError(f"'{task.source}' has no column {', '.join(found)}; its columns are {shown}{hint}")


def _check_declared(typed: pd.DataFrame, features: tuple[str, ...], task: DataParams) -> None:
    """Hold the data against what the task says of its features."""
    try:
        task.check_declared(features)
    except ValueError as error:
        raise SourceError(f"task '{task.name}': {error}") from None
    for name in task.integer:
        cells = typed[name].dropna()
        _refuse(cells[cells % 1 != 0], task, "be a whole number", f"take '{name}' out of 'integer'")
    for name, (low, high) in task.ranges.items():
        cells = typed[name].dropna()
        _refuse(cells[~cells.between(low, high)], task, f"lie from {low:g} to {high:g}", f"widen 'ranges.{name}'")
    relations.require(typed, task)


def _refuse(wrong: "pd.Series[Any]", task: DataParams, must: str, fix: str) -> None:
    if len(wrong):
        raise SourceError(
            f"'{task.source}': column '{wrong.name}' must {must}, but {len(wrong)} cells do not, the first in row "
            f"{wrong.index[0]} (counted from 0 below the header): {wrong.iloc[0]:g}; "
            f"correct the cells, or {fix} in params.yaml"
        )


def _nearest(name: str, there: list[str]) -> str:
    folded = {other.strip().casefold(): other for other in there}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f" (did you mean '{folded[near[0]]}'?)" if near else ""


def _schema(typed: pd.DataFrame, features: tuple[str, ...], task: DataParams) -> Schema:
    columns = [
        Column(
            name=name,
            kind="integer" if name in (*task.integer, *task.parts) else "number",
            immutable=name in (*task.immutable, *task.parts),
            limits=task.ranges.get(name),
            direction="up" if name in task.raise_only else "down" if name in task.lower_only else None,
            unit=task.units.get(name),
            missing=declared(task.missing.get(name)),
        )
        for name in features
    ]
    columns += [_category(typed[name], task) for name in task.categorical]
    return Schema(
        task=task.name,
        kind=task.kind,
        target=task.target,
        columns=tuple(columns),
        shape=(sum(column.inputs for column in columns),),
        labels=_values(typed[task.target], task) if task.kind == "classification" else (),
        relations=task.relations,
        switches=(task.switches or 1) if task.mutable else None,
    )


def _group(typed: pd.DataFrame, name: str, most: int, task: DataParams) -> str:
    """Keep a category's most frequent values and call the others alike, in place.

    Returns:
        What was done, in words.

    Raises:
        SourceError: there are no others.
    """
    counts = typed[name].drop(typed.index[typed[name] == OTHER]).value_counts()
    # Of values as frequent as each other the first by name.
    kept = sorted(counts.index, key=lambda value: (-counts[value], value))[:most]
    rest = typed[name].notna() & ~typed[name].isin(kept)
    if not rest.any():
        raise SourceError(
            f"'{task.source}': levels.{name} is {most}, but the column has {len(counts)} different values, so that "
            f"none is left to be '{OTHER}'; say fewer, or leave it out of 'levels' in params.yaml"
        )
    typed.loc[rest, name] = OTHER
    return (
        f"column '{name}': {len(kept):,} of {len(counts):,} values are kept, the most frequent ones; the others, in "
        f"{int(rest.sum()):,} rows, count as '{OTHER}', and so does any that is not known when the model is asked"
    )


def _category(cells: "pd.Series[Any]", task: DataParams) -> Column:
    name, missing = str(cells.name), declared(task.missing.get(str(cells.name)))
    values = set(_values(cells, task)) | ({LEVEL} if missing and missing.how == "category" else set())
    other = OTHER if name in task.levels else None
    return Column(
        name=name,
        kind="category",
        categories=tuple(sorted(values)),
        missing=missing,
        other=other,
        mutable=name in task.mutable,
    )


def _values(cells: "pd.Series[Any]", task: DataParams) -> tuple[str, ...]:
    values = cells.dropna().unique()
    fix = "is it an identifier, or a number? leave it out, group its rare values, or take a number as a feature"
    what = f"'{task.source}': column '{cells.name}' has too many different values for a category"
    limits.refuse_above(len(values), limits.WORDS, what, fix)
    return tuple(sorted(values))


def _short(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Empty cells of a table: what the training rows say of each, and how that takes its place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.column import Column, Missing
from redoubt.bundle.schema import Schema
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Floats
from redoubt.params.settings.base import MissingPolicy

# The category of an empty cell.
LEVEL = "missing"


class MissingError(RedoubtError):
    """Training rows that do not say what an empty cell counts as; the message names the column and the fix."""


def declared(policy: MissingPolicy | None) -> Missing | None:
    """What params.yaml says of a column, not fitted yet; None where a row with an empty cell is left out."""
    if policy in (None, "drop"):
        return None
    if policy == "category":
        return Missing(how="category", value=LEVEL)
    how, _, more = ("median+indicator" if policy == "indicator" else str(policy)).partition("+")
    return Missing.model_validate({"how": how, "indicator": more == "indicator"})


def fit(x: Floats, schema: Schema) -> Floats | None:
    """What takes the place of NaN, by input of the network `(features,)`.

    Args:
        x: training rows only, `(rows, features)`; NaN is an empty cell, in each input of a category.
        schema: says how.

    Returns:
        NaN where no empty cell is filled in; None if none is anywhere.

    Raises:
        MissingError: a column is empty in all of these rows.
    """
    if not any(column.missing for column in schema.columns):
        return None
    fill = np.full(schema.shape, np.nan, np.float32)
    for column, inputs in _placed(schema):
        if column.missing and column.missing.how != "category":
            fill[inputs] = _statistic(column, x[:, inputs])
    return fill


def filled(x: Floats, fill: Floats | None) -> Floats:
    """Rows with what was fitted in the place of NaN; the same array where nothing is filled in."""
    return x if fill is None else np.where(np.isnan(x), fill, x)


def fitted(schema: Schema, fill: Floats | None) -> Schema:
    """The schema that is served: it knows what an empty cell counts as."""
    if fill is None:
        return schema
    columns = []
    for column, inputs in _placed(schema):
        missing = column.missing
        if missing and missing.how != "category":
            found = fill[inputs]
            value = column.categories[int(found.argmax())] if column.kind == "category" else float(found[0])
            missing = missing.model_copy(update={"value": value})
        columns.append(column.model_copy(update={"missing": missing}))
    return schema.model_copy(update={"columns": tuple(columns)})


def of_schema(schema: Schema) -> Floats | None:
    """What `fit` once found, out of the schema that is served."""
    if not any(column.missing for column in schema.columns):
        return None
    fill = np.full(schema.shape, np.nan, np.float32)
    for column, inputs in _placed(schema):
        if column.missing and column.missing.value is not None:
            (fill[inputs],) = schema.model_copy(update={"columns": (column,), "shape": (column.inputs,)}).encode([{}])
    return fill


def require_learnt(x: Floats, schema: Schema) -> None:
    """Refuse an input of the network for empty cells or other values that no training row has: nothing teaches it them.

    Args:
        x: training rows.
        schema: of the task.

    Raises:
        MissingError: names the column.
    """
    for column, inputs in _placed(schema):
        if column.other is not None and not (x[:, inputs][:, column.categories.index(column.other)] > 0).any():
            raise MissingError(
                f"no training row has '{column.other}' for '{column.name}', so that nothing teaches the network what "
                f"it means; keep fewer values by levels: {{{column.name}: ...}} in params.yaml, or leave it out there"
            )
        if column.missing is None:
            continue
        of_its_own = column.missing.how == "category"
        place = column.categories.index(LEVEL) if of_its_own else 1
        if (of_its_own or column.missing.indicator) and not (x[:, inputs][:, place] > 0).any():
            fix = "mode" if of_its_own else column.missing.how
            raise MissingError(
                f"no training row has an empty '{column.name}', so that nothing teaches the network what one means; "
                f"say missing: {{{column.name}: {fix}}} in params.yaml"
            )


def said(schema: Schema) -> list[str]:
    """What an empty cell of each column counts as, in words."""
    found = []
    for column in schema.columns:
        if column.missing and column.missing.value is not None:
            value = column.missing.value
            shown = repr(value) if isinstance(value, str) else f"{value:g}"
            of_rows = f"the {column.missing.how} of the training rows"
            how = "a category of its own" if column.missing.how == "category" else of_rows
            flag = ", and one more input says so" if column.missing.indicator else ""
            found.append(f"an empty '{column.name}' counts as {shown}, {how}{flag}")
    return found


def _placed(schema: Schema) -> list[tuple[Column, slice]]:
    """Each column with its inputs."""
    ends = np.cumsum([column.inputs for column in schema.columns]).tolist()
    return [(column, slice(end - column.inputs, end)) for column, end in zip(schema.columns, ends, strict=True)]


def _statistic(column: Column, x: Floats) -> NDArray[Any]:
    """Of one column's inputs `(rows, inputs)`; of an indicator NaN, which none of its cells is."""
    there = x[~np.isnan(x[:, 0])]
    if not len(there):
        raise MissingError(
            f"column '{column.name}' is empty in all {len(x)} training rows of the split, or of one of its folds; leave"
            " it out of 'features' in params.yaml"
        )
    how, found = column.missing.how if column.missing else "", np.full(column.inputs, np.nan, np.float32)
    if column.kind == "category":
        found[:] = np.arange(column.inputs) == there.sum(axis=0).argmax()
        return found
    values = there[:, 0].astype(np.float64)
    if how == "mode":
        distinct, counts = np.unique(values, return_counts=True)
        value = distinct[counts.argmax()]
    else:
        value = np.median(values) if how == "median" else values.mean()
    found[0] = np.round(value) if column.kind == "integer" else value
    return found

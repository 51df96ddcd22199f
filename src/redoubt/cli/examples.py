"""Examples out of any file that this project reads, for a model about which nothing is known yet."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from redoubt.bundle.schema import Schema
from redoubt.bundle.words import meant
from redoubt.cli.init.source import look
from redoubt.cli.predict import read_rows
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Batch, Floats
from redoubt.data.arrays import named_classes, read_npz
from redoubt.data.shared.survey import listed
from redoubt.data.tables import numbers

BYTE = 255


class ExamplesError(RedoubtError):
    """No usable examples; the message says what came and what was expected."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with their labels or values.

    Attributes:
        batch: the arrays.
        labels: names of the classes in the order of their numbers; empty of numbers.
        features: names of a table's columns.
        said: how they were read, one sentence each.
        source: the file.
    """

    batch: Batch
    labels: tuple[str, ...]
    features: tuple[str, ...]
    said: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Asked:
    """How a file is to be read.

    Attributes:
        target: column with the label or value; only a table has one.
        points: examples at most, from the first.
        bounds: smallest and largest input; bytes are brought to them.
        is_number: y holds values, not classes.
        schema: of a bundle, which says how records become inputs.
    """

    target: str | None
    points: int
    bounds: tuple[float, float] | None
    is_number: bool
    schema: Schema | None


def read_examples(path: Path, asked: Asked) -> Examples:
    """Read an NPZ file with x and y, a folder of images with a folder per class, or a table with a target column.

    Raises:
        SourceError: a file that cannot be read.
        ExamplesError: what is in it does not make examples.
    """
    with tempfile.TemporaryDirectory() as scratch:
        found = look(path, None, Path(scratch))
        if found.table is None:
            stored = read_npz(found.file, ("x", "y"))
            x, y, said = stored["x"], stored["y"], found.said
            features: tuple[str, ...] = ()
        else:
            x, y, features = _of_table(path, found.table.reset_index(drop=True), asked)
            said = found.said
    if asked.target is not None and found.table is None:
        raise ExamplesError(f"--target names a column of a table; '{path}' holds arrays x and y: leave it out")
    x, more = _inputs(x, asked, path)
    labels, y = _targets(y, asked, path)
    if len(x) != len(y) or not len(x):
        raise ExamplesError(f"'{path}': x holds {len(x)} examples and y {len(y)}; expected as many, at least one")
    some = Batch(x[: asked.points], y[: asked.points])
    return Examples(some, labels, features, (*said, *more), str(path))


def _of_table(path: Path, table: pd.DataFrame, asked: Asked) -> tuple[NDArray[Any], NDArray[Any], tuple[str, ...]]:
    target = asked.target or (asked.schema.target if asked.schema is not None else None)
    if target is None:
        raise ExamplesError(f"'{path}' is a table: say which column holds the label or value with --target COLUMN")
    if target not in table:
        raise ExamplesError(f"'{path}' has no column '{target}'; its columns are {listed(list(map(str, table)))}")
    if asked.schema is not None:
        _, x, errors = read_rows(path, asked.schema)
        good = np.array([not error for error in errors])
        return x[good], table[target].to_numpy()[good], tuple(asked.schema.input_names)
    names = [str(name) for name in table.columns if name != target]
    try:
        columns = [numbers(table[name], name, str(path)) for name in names]
    except RedoubtError as error:
        raise ExamplesError(f"{error}; the model takes numbers: encode the column, or leave it out") from None
    x = np.stack([column.to_numpy(np.float64) for column in columns], axis=1)
    if np.isnan(x).any():
        empty = [name for place, name in enumerate(names) if np.isnan(x[:, place]).any()]
        raise ExamplesError(f"'{path}': column {listed(empty)} has empty cells: fill them as the model's own data were")
    return x, table[target].to_numpy(), tuple(names)


def _inputs(x: NDArray[Any], asked: Asked, path: Path) -> tuple[Floats, tuple[str, ...]]:
    if not np.issubdtype(x.dtype, np.number) or np.issubdtype(x.dtype, np.complexfloating):
        raise ExamplesError(f"'{path}': x holds {x.dtype}; expected real numbers in the unit that the model takes")
    if x.ndim < 2:
        raise ExamplesError(f"'{path}': x has shape {x.shape}; expected (examples, ...)")
    if asked.schema is not None and x.ndim == 3 and len(asked.schema.shape) == 3:
        x = x[..., None]
    if x.dtype != np.uint8:
        with np.errstate(over="ignore"):
            floats = x.astype(np.float32)
        if (np.isinf(floats) & np.isfinite(x)).any():
            raise ExamplesError(
                f"'{path}': x holds {x.flat[np.isinf(floats).argmax()]:g}, beyond what float32 can hold"
            )
        return floats, ()
    bounds = (0.0, 1.0) if asked.schema is not None and asked.schema.kind == "image" else asked.bounds
    if bounds is None or bounds == (0.0, float(BYTE)):
        return x.astype(np.float32), ()
    low, high = bounds
    scaled = (low + (high - low) * (x.astype(np.float64) / BYTE)).astype(np.float32)
    return scaled, (f"bytes were brought from 0..{BYTE} to {low:g}..{high:g}",)


def _targets(y: NDArray[Any], asked: Asked, path: Path) -> tuple[tuple[str, ...], NDArray[Any]]:
    if y.ndim == 2 and y.shape[1] > 1 and asked.is_number:
        raise ExamplesError(
            f"'{path}': y has shape {y.shape}, several values each; expected (examples,): take one of them, y[:, 0],"
            " and a model of that output"
        )
    if y.ndim == 2 and y.shape[1] > 1:
        raise ExamplesError(
            f"'{path}': y has shape {y.shape}, one-hot it seems; expected (examples,): y.argmax(axis=1)"
        )
    if y.ndim != 1:
        raise ExamplesError(
            f"'{path}': y has shape {y.shape}; expected (examples,){': y[:, 0]' if y.ndim == 2 else ''}"
        )
    if asked.is_number:
        return (), numbers(pd.Series(y), "y", str(path)).to_numpy(np.float32)
    known = asked.schema.labels if asked.schema is not None else ()
    words = y.dtype.kind in "USO" or not np.issubdtype(y.dtype, np.number)
    parsed = pd.to_numeric(pd.Series(y), errors="coerce").to_numpy() if words else y.astype(float)
    if np.isfinite(parsed).all() and np.all(parsed == np.round(parsed)) and parsed.min(initial=0) >= 0:
        whole = parsed.astype(np.int64)
        as_words = tuple(map(str, whole))
        if known and set(as_words) <= set(known):
            return known, np.array([known.index(word) for word in as_words], np.int64)
        return known or tuple(str(each) for each in range(int(whole.max(initial=0)) + 1)), whole
    if not words:
        wrong = parsed[~(np.isfinite(parsed) & (parsed == np.round(parsed)) & (parsed >= 0))]
        signs = " (signs become classes by (y + 1) / 2)" if set(np.unique(parsed)) == {-1.0, 1.0} else ""
        raise ExamplesError(
            f"'{path}': y holds {wrong[0]:g}; expected classes from 0{signs}, or give --tolerance for values"
        )
    names, classes = named_classes(y.astype(str), path)
    if not known:
        return names, classes.astype(np.int64)
    found = {name: meant(name, known) for name in names}
    strange = sorted(name for name, label in found.items() if label is None)
    if strange:
        raise ExamplesError(f"'{path}': y holds {strange[0]!r}; the model's classes are {listed(map(repr, known))}")
    return known, np.array([known.index(str(found[names[each]])) for each in classes], np.int64)

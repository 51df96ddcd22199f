"""A data set as it came (`Raw`, in `data/raw/TASK`) and as the network takes it (`Dataset`)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from redoubt.bundle.base.io import first_mistake
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.errors import RedoubtError
from redoubt.core.store import read_arrays, read_json, whole_folder, write_arrays, write_json
from redoubt.core.types import Batch, Floats, Ints
from redoubt.data.shared import table_text
from redoubt.data.shared.kept_together import By
from redoubt.data.shared.survey import Survey, listed

TABLE, IMAGES, SCHEMA, PROVENANCE = "table.csv", "images.npz", "schema.json", "provenance.json"
COLUMNS, BY = "columns.json", "split_by.npz"


class DatasetError(RedoubtError):
    """A folder that holds no usable data set; the message says what is wrong and what to run."""


@dataclass(frozen=True)
class Raw:
    """Data as fetched: either a table, or images with their classes.

    Attributes:
        source: the name or path in params.yaml.
        origin: where the content comes from, the same on every machine.
        table: the schema's columns, then the target; numbers float64, categories and classes text, empty cells NaN.
        x: images `(rows, height, width, channels)`, uint8, or float32 in [0, 1].
        y: class indices `(rows,)`.
        levels: the value of a white pixel; `x / levels` is in [0, 1].
        test_from: rows from here on are the source's own test set.
        survey: what was found in the source and how it is used; written by `save`, not read back.
        by: what keeps rows of a table together or in order when they are split.
    """

    schema: Schema
    source: str
    origin: str
    table: pd.DataFrame | None = None
    x: NDArray[Any] | None = None
    y: Ints | None = None
    levels: int = 1
    test_from: int | None = None
    survey: Survey = field(default_factory=Survey)
    by: By | None = None

    def __len__(self) -> int:
        return len(self.images[0] if self.table is None else self.table)

    @property
    def images(self) -> tuple[NDArray[Any], Ints]:
        """Images and class indices.

        Raises:
            DatasetError: this is a table.
        """
        if self.x is None or self.y is None:
            raise DatasetError(f"'{self.source}' is a table and holds no images")
        return self.x, self.y


@dataclass(frozen=True)
class Dataset:
    """Data as the network takes it.

    Attributes:
        batch: x float32 in raw units (pixels in [0, 1], categories one-hot; NaN, in all inputs of a category, for an
            empty cell that the scaler fills in); y class indices int64, or numbers float32.
        test_from: rows from here on are the source's own test set.
        sha256: of the canonical content.
        by: what keeps rows together or in order when they are split.
    """

    batch: Batch
    schema: Schema
    test_from: int | None
    sha256: str
    by: By | None = None


@dataclass(frozen=True)
class Answered:
    """The rows that are used, and what is to be predicted of them.

    Attributes:
        whole: which rows of the raw data set they are.
        y: class indices int64, or numbers float32, of these.
        test_from: of these, rows from here on are the source's own test set.
        by: what keeps them together or in order when they are split.
    """

    whole: NDArray[np.bool_]
    y: NDArray[Any]
    schema: Schema
    test_from: int | None
    by: By | None = None


def digest_table(table: pd.DataFrame) -> str:
    """SHA-256 of a table's rows as text: names, then cells, numbers in their shortest exact form."""
    return _digest_of(table_text.written(table))


def digest_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over name, type, shape and bytes of arrays, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.data)
    return total.hexdigest()


def save(folder: Path, raw: Raw) -> None:
    """Write a raw data set, whole or not at all, and the same byte for byte."""
    with whole_folder(folder) as temporary:
        if raw.table is None:
            x, y = raw.images
            sha256 = digest_arrays({"x": x, "y": y})
            write_arrays(temporary / IMAGES, {"x": x, "y": y})
        else:
            with (temporary / TABLE).open("wb") as stream:
                sha256 = _digest_of(_passed_on(table_text.written(raw.table), stream))
        if raw.by is not None:
            write_arrays(temporary / BY, {raw.by.how: raw.by.codes})
        write_json(temporary / SCHEMA, raw.schema.model_dump())
        write_json(temporary / COLUMNS, asdict(raw.survey))
        provenance = {"source": raw.source, "origin": raw.origin, "rows": len(raw), "sha256": sha256}
        write_json(temporary / PROVENANCE, provenance | {"levels": raw.levels, "test_from": raw.test_from})


def read(folder: Path) -> Raw:
    """Read a raw data set as it was saved, whatever it holds.

    Raises:
        DatasetError: no data set there.
    """
    try:
        schema = Schema.model_validate(read_json(folder / SCHEMA))
        provenance = read_json(folder / PROVENANCE)
        known = {key: provenance[key] for key in ("source", "origin", "levels", "test_from")}
        if schema.kind == "image":
            images = read_arrays(folder / IMAGES)
            return Raw(schema, **known, x=images["x"], y=images["y"])
        return Raw(schema, **known, table=_read_table(folder / TABLE, schema), by=_read_by(folder / BY))
    except ValidationError as error:
        raise DatasetError(
            f"{folder / SCHEMA} cannot be used: {first_mistake(error)}; run the ingest stage again: dvc repro"
        ) from None
    except (FileNotFoundError, KeyError) as error:
        raise DatasetError(f"{folder} holds no data set ({error}); run the ingest stage: dvc repro") from None


def load(folder: Path) -> Dataset:
    """Read a data set for training.

    Rows with an empty cell that nothing takes the place of, of which `validate` allowed only so many, are left out.

    Raises:
        DatasetError: no data set there, or one that `validate` would have refused.
    """
    return prepared(read(folder), read_json(folder / PROVENANCE)["sha256"])


def prepared(raw: Raw, sha256: str = "") -> Dataset:
    """A raw data set as `load` gives it.

    Raises:
        DatasetError: one that `validate` would have refused.
    """
    if raw.table is None:
        x, y = raw.images
        return Dataset(Batch(_unit(x, raw.levels), y), raw.schema, raw.test_from, sha256)
    asked = answered(raw)
    table = raw.table if asked.whole.all() else raw.table[asked.whole]
    return Dataset(Batch(_encode(table, raw.schema), asked.y), raw.schema, asked.test_from, sha256, asked.by)


def answered(raw: Raw) -> Answered:
    """What a split needs of a raw data set.

    Raises:
        DatasetError: a target that `validate` would have refused.
    """
    if raw.table is None:
        y = raw.images[1]
        return Answered(np.ones(len(y), np.bool_), y, raw.schema, raw.test_from)
    whole = complete(raw.table, raw.schema)
    test_from = None if raw.test_from is None else int(whole[: raw.test_from].sum())
    by = None if raw.by is None else raw.by.take(np.flatnonzero(whole))
    y = _targets(_cells(raw.table, raw.schema.target)[whole], raw.schema)
    return Answered(whole, y, raw.schema, test_from, by)


def complete(table: pd.DataFrame, schema: Schema) -> NDArray[np.bool_]:
    """Which rows of a raw table are used: those without an empty cell but such as the schema says a value of."""
    filled = [column.name for column in schema.columns if column.missing]
    return np.asarray(table.drop(columns=filled, errors="ignore").notna().all(axis=1), dtype=np.bool_)


def _digest_of(parts: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


def _passed_on(parts: Iterable[bytes], stream: BinaryIO) -> Iterator[bytes]:
    for part in parts:
        stream.write(part)
        yield part


def _read_by(path: Path) -> By | None:
    if not path.is_file():
        return None
    ((how, codes),) = read_arrays(path).items()
    return By("time" if how == "time" else "group", codes)


def _read_table(path: Path, schema: Schema) -> pd.DataFrame:
    words = [column.name for column in schema.columns if column.kind == "category"]
    words += [schema.target] if schema.is_classification else []
    return table_text.read(path, set(words))


def _unit(x: NDArray[Any], levels: int) -> Floats:
    # In place: a second copy of 70,000 images as float64 would be half a gigabyte.
    unit = x.astype(np.float32)
    unit /= np.float32(levels)
    return unit


def _encode(table: pd.DataFrame, schema: Schema) -> Floats:
    """`Schema.encode` for a whole table at once."""
    # Filled column by column: a list of columns, stacked, would be the data twice.
    inputs: Floats = np.empty((len(table), *schema.shape), np.float32)
    for place, column in enumerate(_inputs(table, schema)):
        inputs[:, place] = column
    return inputs


def _inputs(table: pd.DataFrame, schema: Schema) -> Iterator[NDArray[Any]]:
    for column in schema.columns:
        cells = _cells(table, column.name)
        empty = cells.isna() if column.missing else None
        if column.kind == "category":
            yield from _one_hot(cells, column)
        else:
            yield _floats(cells, empty)
        if empty is not None and column.missing and column.missing.indicator:
            yield empty.to_numpy(np.float32)


def _one_hot(cells: "pd.Series[Any]", column: Column) -> Iterator[Floats]:
    missing = column.missing
    empty = cells.isna().to_numpy() if missing and missing.how != "category" else np.zeros(len(cells), np.bool_)
    if missing:
        # A category of its own; or any, which gives way to NaN.
        cells = cells.fillna(str(missing.value) if missing.how == "category" else column.categories[0])
    codes = _codes(cells, column.categories)
    for code in range(len(column.categories)):
        yield np.where(empty, np.float32(np.nan), (codes == code).astype(np.float32))


def _targets(cells: "pd.Series[Any]", schema: Schema) -> NDArray[Any]:
    return _codes(cells, schema.labels) if schema.is_classification else _floats(cells)


def _cells(table: pd.DataFrame, name: str) -> "pd.Series[Any]":
    if name not in table:
        raise DatasetError(f"column '{name}' is missing from {TABLE}; run the ingest stage again: dvc repro")
    return table[name]


def _floats(cells: "pd.Series[Any]", empty: "pd.Series[bool] | None" = None) -> Floats:
    """Numbers; NaN where a cell may be empty and is."""
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    wrong = ~(np.abs(numbers) <= np.finfo(np.float32).max)
    _refuse(cells, wrong if empty is None else wrong & ~empty.to_numpy(), "expected a finite number")
    return numbers.astype(np.float32)


def _codes(cells: "pd.Series[Any]", known: tuple[str, ...]) -> Ints:
    codes = pd.Index(known).get_indexer(pd.Index(cells))
    _refuse(cells, codes < 0, f"expected one of {listed(known)}")
    return codes.astype(np.int64)


def _refuse(cells: "pd.Series[Any]", bad: NDArray[np.bool_], expected: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        raise DatasetError(f"column '{cells.name}' is '{cells.iloc[first]}' in row {cells.index[first]}; {expected}")

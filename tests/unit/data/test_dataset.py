from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.store import read_json
from redoubt.data import sources
from redoubt.data.shared import dataset
from redoubt.data.shared.dataset import DatasetError, Raw
from redoubt.params.load import Params

COLUMNS = (Column(name="size", kind="number"), Column(name="kind", kind="category", categories=("NA", "b")))
REGRESSION = Schema(task="own", kind="regression", target="cost", columns=COLUMNS, shape=(3,))
CLASSES = Schema(task="own", kind="classification", target="grade", columns=COLUMNS, shape=(3,), labels=("None", "yes"))
IMAGES = Schema(task="own", kind="image", target="digit", shape=(2, 3, 1), labels=("0", "1"))


def table(**columns: list[object]) -> Raw:
    frame = pd.DataFrame({"size": [1.5, 2.0, 0.1 + 0.2], "kind": ["b", "NA", "b"], "cost": [1.0, 2.0, 3.0]} | columns)
    return Raw(REGRESSION, "own.csv", "own.csv", table=frame)


def images(dtype: type = np.uint8, levels: int = 4) -> Raw:
    x = np.array([0, 1, 2, 3, 4, 4, 4, 3, 2, 1, 0, 0], dtype).reshape(2, 2, 3, 1)
    return Raw(IMAGES, "own.npz", "own.npz", x=x if levels > 1 else x / dtype(4), y=np.array([1, 0]), levels=levels)


RAWS = {"table": table(), "byte-images": images(), "float-images": images(np.float32, 1)}


@pytest.mark.parametrize("case", RAWS)
def test_two_saves_are_the_same_byte_for_byte(case: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        dataset.save(tmp_path / name, RAWS[case])
    files = [sorted((p.name, p.read_bytes()) for p in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert files[0] == files[1]


@pytest.mark.parametrize("case", RAWS)
def test_what_is_read_is_what_was_saved(case: str, tmp_path: Path) -> None:
    raw = replace(RAWS[case], test_from=1)
    dataset.save(tmp_path / "raw", raw)
    back = dataset.read(tmp_path / "raw")
    assert (back.schema, back.source, back.origin, back.levels, back.test_from, len(back)) == (
        (raw.schema, raw.source, raw.origin, raw.levels, 1, len(raw))
    )
    if raw.table is None:
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(back.images, raw.images, strict=True))
    else:
        pd.testing.assert_frame_equal(back.table, raw.table)


@settings(max_examples=30)
@given(numbers=st.lists(st.floats(allow_infinity=False, allow_nan=False), min_size=1, max_size=20))
def test_numbers_survive_exactly(numbers: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("raw") / "raw"
    frame = pd.DataFrame({"size": numbers, "kind": "b", "cost": 1.0})
    dataset.save(folder, replace(table(), table=frame))
    back = dataset.read(folder).table
    assert back is not None
    assert back["size"].tolist() == numbers


@pytest.mark.parametrize("case", ["byte-images", "float-images"])
def test_images_are_loaded_in_unit_range(case: str, tmp_path: Path) -> None:
    dataset.save(tmp_path / "raw", RAWS[case])
    data = dataset.load(tmp_path / "raw")
    assert (data.batch.x.dtype, data.batch.y.dtype) == (np.float32, np.int64)
    assert data.batch.x[0].ravel().tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert data.sha256 == read_json(tmp_path / "raw" / "provenance.json")["sha256"]


def test_tables_are_encoded_as_the_schema_does(params: Params, tmp_path: Path) -> None:
    raw = sources.fetch(params.tasks["evolution"], seed=1)
    dataset.save(tmp_path / "raw", raw)
    assert raw.table is not None
    records = raw.table.drop(columns="newcp").to_dict("records")
    data = dataset.load(tmp_path / "raw")
    assert np.array_equal(data.batch.x, raw.schema.encode(records))
    assert np.array_equal(data.batch.y, raw.table["newcp"].to_numpy(np.float32))


def test_classes_become_their_place_among_the_labels(tmp_path: Path) -> None:
    frame = pd.DataFrame({"size": [1.0, 2.0], "kind": ["NA", "b"], "grade": ["yes", "None"]})
    dataset.save(tmp_path / "raw", Raw(CLASSES, "own.csv", "own.csv", table=frame))
    batch = dataset.load(tmp_path / "raw").batch
    assert (batch.y.tolist(), batch.y.dtype) == ([1, 0], np.int64)
    assert batch.x.tolist() == [[1.0, 1.0, 0.0], [2.0, 0.0, 1.0]]


def test_rows_with_an_empty_cell_are_left_out(tmp_path: Path) -> None:
    raw = table(size=[np.nan, 2.0, 3.0], kind=["b", "b", "NA"])
    dataset.save(tmp_path / "raw", replace(raw, test_from=2))
    data = dataset.load(tmp_path / "raw")
    assert data.batch.y.tolist() == [2.0, 3.0]
    assert data.test_from == 1


BAD = {
    "text": ("1.5,b", "big,b", "column 'size' is 'big' in row 0"),
    "infinity": ("1.5,b", "inf,b", "column 'size' is 'inf' in row 0"),
    "beyond-32-bits": ("1.5,b", "1e39,b", "expected a finite number"),
    "category": ("1.5,b", "1.5,c", "column 'kind' is 'c' in row 0; expected one of NA, b"),
    "column": ("size,", "Size,", "column 'size' is missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_table_changed_behind_validates_back(case: str, tmp_path: Path) -> None:
    old, new, says = BAD[case]
    dataset.save(tmp_path / "raw", table())
    path = tmp_path / "raw" / "table.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=says):
        dataset.load(tmp_path / "raw")


@pytest.mark.parametrize("missing", ["schema.json", "provenance.json", "images.npz"])
def test_half_a_data_set_is_none(missing: str, tmp_path: Path) -> None:
    dataset.save(tmp_path / "raw", images())
    (tmp_path / "raw" / missing).unlink()
    with pytest.raises(DatasetError, match="run the ingest stage"):
        dataset.load(tmp_path / "raw")


def test_the_digest_depends_on_content_alone() -> None:
    x = np.arange(12, dtype=np.uint8).reshape(3, 4)
    same = dataset.digest_arrays({"x": x, "y": x[0]})
    assert dataset.digest_arrays({"y": x[0].copy(), "x": np.asfortranarray(x)}) == same
    for other in ({"x": x.reshape(4, 3), "y": x[0]}, {"x": x.astype(np.int8), "y": x[0]}, {"x": x, "z": x[0]}):
        assert dataset.digest_arrays(other) != same

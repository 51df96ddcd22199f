import gzip
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from redoubt.data import sources
from redoubt.data.locate import EXTERNAL, MIRROR, SourceError
from redoubt.data.shared.dataset import digest_table
from redoubt.params.load import Params
from redoubt.params.task import Task

GOOD = "age,city,grade\n1.5,Ulm,a\n2,Bonn,b\n3,Ulm,a\n"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table_task(params: Params, **changes: Any) -> Task:
    own = {"source": "own.csv", "target": "grade", "features": (), "categorical": ()}
    return params.tasks["diagnosis"].model_copy(update=own | changes)


@pytest.mark.parametrize(
    ("name", "rows", "shape", "labels"),
    [
        ("evolution", 1200, (8,), ()),
        ("diagnosis", 569, (30,), ("benign", "malignant")),
        ("digits", 1797, (8, 8, 1), tuple("0123456789")),
    ],
)
def test_bundled_sets(params: Params, name: str, rows: int, shape: tuple[int, ...], labels: tuple[str, ...]) -> None:
    raw = sources.fetch(params.tasks[name], seed=1)
    assert (len(raw), raw.schema.shape, raw.schema.labels, raw.test_from) == (rows, shape, labels, None)


def test_the_simulator_follows_the_seed(params: Params) -> None:
    first, again, other = (sources.fetch(params.tasks["evolution"], seed).table for seed in (1, 1, 2))
    assert first is not None
    assert first.equals(again)
    assert not first.equals(other)


def test_diagnosis_names_the_right_class(params: Params) -> None:
    table = sources.fetch(params.tasks["diagnosis"], seed=1).table
    assert table is not None
    assert table["diagnosis"].value_counts().to_dict() == {"benign": 357, "malignant": 212}


def test_mnist_has_its_own_test_set(params: Params, mirror: Path) -> None:
    raw = sources.fetch(params.tasks["mnist"], seed=1)
    x, y = raw.images
    assert (x.shape, x.dtype, raw.levels, raw.test_from) == ((70_000, 28, 28, 1), np.uint8, 255, 60_000)
    assert y[60_000:60_004].tolist() == [7, 2, 1, 0]


def test_pokemon_types_are_split_by_generation(params: Params, mirror: Path) -> None:
    raw = sources.fetch(params.tasks["types"], seed=1)
    assert raw.table is not None
    assert raw.table["type"][: raw.test_from].value_counts().to_dict() == {"Water": 79, "Normal": 61}
    assert len(raw.table) == 210


def test_openintros_own_file_is_accepted(params: Params, mirror: Path) -> None:
    """Its target has another name, it has more columns, and its rows may stand in another order."""
    ours = pd.read_csv(mirror / "pokemon_cp.csv")
    EXTERNAL.mkdir(parents=True)
    theirs = ours[::-1].rename(columns={"newcp": "cp_new"}).assign(notes="", hp_new=1)
    theirs.to_csv(EXTERNAL / "pokemon_cp.csv", index=False)
    raw = sources.fetch(params.tasks["pokemon_cp"], seed=1)
    assert raw.table is not None
    assert raw.table["newcp"].tolist() == ours["newcp"].tolist()[::-1]
    assert raw.table.columns.tolist() == ["cp", "hp", "weight", "height", "species", "newcp"]


def test_a_public_copy_with_other_column_names_is_accepted(params: Params, mirror: Path) -> None:
    ours = pd.read_csv(mirror / "pokemon_stats.csv")
    EXTERNAL.mkdir(parents=True)
    names = {"Type_1": "Type 1", "Type_2": "Type 2", "Sp_Atk": "Sp. Atk", "Sp_Def": "Sp. Def"}
    ours.drop(columns="Total").rename(columns=names).to_csv(EXTERNAL / "pokemon_stats.csv", index=False)
    assert len(sources.fetch(params.tasks["types"], seed=1)) == 210


@pytest.mark.parametrize(("task", "file"), [("pokemon_cp", "pokemon_cp.csv"), ("types", "pokemon_stats.csv")])
def test_a_changed_number_is_a_wrong_checksum(params: Params, mirror: Path, task: str, file: str) -> None:
    EXTERNAL.mkdir(parents=True)
    (EXTERNAL / file).write_text((mirror / file).read_text().replace(",45,", ",46,", 1))
    with pytest.raises(SourceError, match=rf"{file}.*SHA-256 is \w+, expected {sources.CONTENT[file]}; delete it"):
        sources.fetch(params.tasks[task], seed=1)


def test_mnist_with_another_content_is_refused(params: Params) -> None:
    EXTERNAL.mkdir(parents=True)
    arrays = {
        name: np.zeros((2, 28, 28) if name[0] == "x" else 2, np.uint8) for name in ("x_train", "x_test", "y_train")
    }
    np.savez(EXTERNAL / "mnist.npz", **arrays, y_test=np.ones(2, np.uint8))
    with pytest.raises(SourceError, match=f"expected {sources.CONTENT['mnist.npz']}"):
        sources.fetch(params.tasks["mnist"], seed=1)


def idx(array: np.ndarray) -> bytes:
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes())


def tar(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def put(name: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small archive in the place of a public one, with its own checksum for the right one."""
    (EXTERNAL / name).parent.mkdir(parents=True, exist_ok=True)
    (EXTERNAL / name).write_bytes(content)
    monkeypatch.setitem(sources.FILES, name, hashlib.sha256(content).hexdigest())


def test_fashion_mnist_is_read_from_its_four_files(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (rows, 28, 28), dtype=np.uint8) for rows in (3, 2)]
    classes = [np.array([9, 0, 1], np.uint8), np.array([2, 3], np.uint8)]
    parts = [images[0], classes[0], images[1], classes[1]]
    for file, part in zip(sources.FASHION, parts, strict=True):
        put(file.name, idx(part), monkeypatch)
    raw = sources.fetch(params.tasks["fashion_mnist"], seed=1)
    x, y = raw.images
    assert np.array_equal(x[..., 0], np.concatenate(images))
    assert [raw.schema.labels[label] for label in y] == ["Ankle boot", "T-shirt/top", "Trouser", "Pullover", "Dress"]
    assert raw.test_from == 3


def test_cifar_is_read_channels_last(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    batches = {f"data_batch_{i}": rng.integers(0, 10, (1, 3073), dtype=np.uint8) for i in range(1, 6)}
    batches["test_batch"] = rng.integers(0, 10, (1, 3073), dtype=np.uint8)
    put(sources.CIFAR.name, tar({name: rows.tobytes() for name, rows in batches.items()}), monkeypatch)
    raw = sources.fetch(params.tasks["cifar10"], seed=1)
    x, y = raw.images
    first = batches["data_batch_1"][0]
    assert x.shape == (6, 32, 32, 3)
    assert y[0] == first[0]
    assert x[0, 0, 1].tolist() == [first[1 + 1], first[1 + 1024 + 1], first[1 + 2048 + 1]]


def test_an_archive_with_another_checksum_is_refused(params: Params) -> None:
    EXTERNAL.mkdir(parents=True)
    (EXTERNAL / sources.CIFAR.name).write_bytes(b"a captive portal's page")
    with pytest.raises(SourceError, match=f"expected {sources.FILES[sources.CIFAR.name]}"):
        sources.fetch(params.tasks["cifar10"], seed=1)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("minst", ["unknown source 'minst'", "did you mean 'mnist'", "pokemon_go"]),
        ("s3://bucket", ["unknown source", "path that ends in .csv, .tsv"]),
        ("data/absent.csv", ["was not found", "data/absent.csv"]),
    ],
)
def test_a_source_that_is_nowhere(params: Params, source: str, says: list[str]) -> None:
    with pytest.raises(SourceError) as error:
        sources.fetch(table_task(params, source=source), seed=1)
    assert all(words in str(error.value) for words in says)


def test_a_named_set_that_is_nowhere(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setattr(sources, "MNIST", sources.PublicFile("mnist.npz", "http://127.0.0.1:9/mnist.npz"))
    with pytest.raises(SourceError) as error:
        sources.fetch(params.tasks["mnist"], seed=1)
    assert all(words in str(error.value) for words in ("data/external/mnist.npz", MIRROR, "http://127.0.0.1:9/"))


def test_a_csv_of_the_users(params: Params) -> None:
    Path("own.csv").write_text("\ufeff" + GOOD)
    raw = sources.fetch(table_task(params, categorical=("city",)), seed=1)
    assert raw.table is not None
    assert raw.table.columns.tolist() == ["age", "city", "grade"]
    assert raw.table["age"].tolist() == [1.5, 2.0, 3.0]
    assert raw.schema.input_names == ["age", "city=Bonn", "city=Ulm"]
    assert raw.schema.labels == ("a", "b")
    assert raw.origin == "own.csv"


VISITS = "age,visits,city,grade\n30,2,Ulm,a\n41.5,,Bonn,b\n77,0,Ulm,a\n"


def test_what_a_task_declares_of_its_features_is_in_the_schema(params: Params) -> None:
    Path("own.csv").write_text(VISITS)
    declared = {"integer": ("visits",), "immutable": ("age", "city"), "ranges": {"age": (0.0, 120.0)}}
    schema = sources.fetch(table_task(params, categorical=("city",), **declared), seed=1).schema
    age, visits, city = schema.columns
    assert (age.kind, age.immutable, age.limits) == ("number", True, (0.0, 120.0))
    assert (visits.kind, visits.immutable, visits.limits) == ("integer", False, None)
    assert (city.kind, city.categories) == ("category", ("Bonn", "Ulm"))
    assert (schema.shape, schema.mutable.tolist()) == ((4,), [False, True, False, False])


DECLARED: dict[str, tuple[dict[str, Any], str]] = {
    "fractions": ({"integer": ("visits", "age")}, "column 'age' must be a whole number, .* 1 cells .* row 1 .*: 41.5;"),
    "range": ({"ranges": {"age": (0, 60)}}, "'age' must lie from 0 to 60, .* 1 cells .* row 2 .*: 77; .* 'ranges.age'"),
    "target": ({"ranges": {"grade": (0, 60)}}, "ranges: unknown feature 'grade'; did you mean 'age'"),
    "category": ({"integer": ("city",)}, "integer: unknown feature 'city'; valid features: age, visits"),
    "misspelt": ({"immutable": ("ages",)}, "^task 'diagnosis': immutable: unknown feature 'ages'; did you mean 'age'"),
    "all": ({"immutable": ("visits", "age")}, "immutable: all of age, visits; leave a number"),
}


@pytest.mark.parametrize("case", DECLARED)
def test_a_table_that_is_not_what_the_task_declares(params: Params, case: str) -> None:
    """Here the features are left to the data, so that nobody could know sooner."""
    Path("own.csv").write_text(VISITS)
    declared, says = DECLARED[case]
    with pytest.raises(SourceError, match=says):
        sources.fetch(table_task(params, categorical=("city",), **declared), seed=1)


def test_whole_numbers_of_the_game(params: Params, mirror: Path) -> None:
    for name, integers in {"evolution": 2, "pokemon_cp": 2, "types": 6}.items():
        raw = sources.fetch(params.tasks[name], seed=1)
        assert raw.table is not None
        whole = [column.name for column in raw.schema.columns if column.kind == "integer"]
        assert (len(whole), (raw.table[whole] % 1 == 0).all(axis=None)) == (integers, True)


def test_parquet_gives_the_same_as_csv(params: Params) -> None:
    Path("own.csv").write_text(GOOD)
    pd.read_csv("own.csv").to_parquet("own.parquet")
    tables = [
        sources.fetch(table_task(params, source=name, categorical=("city",)), seed=1).table
        for name in ("own.csv", "own.parquet")
    ]
    assert tables[0] is not None
    assert tables[1] is not None
    assert digest_table(tables[0]) == digest_table(tables[1])


def test_empty_cells_stay_empty_until_validated(params: Params) -> None:
    Path("own.csv").write_text("age,city,grade\n1,,a\nNaN,NA,b\n,Ulm,\n")
    raw = sources.fetch(table_task(params, categorical=("city",)), seed=1)
    assert raw.table is not None
    assert raw.table.isna().to_numpy().tolist() == [[False, True, False], [True, False, False], [True, False, True]]
    assert raw.table["city"][1] == "NA"


BAD_TABLES = {
    "missing-target": ("age,note\n1,2\n", {}, ["no column 'grade'", "its columns are age, note"]),
    "misspelt-feature": (
        GOOD,
        {"features": ("Age ", "aeg")},
        ["'Age ' (did you mean 'age'?)", "'aeg' (did you mean 'age'?)"],
    ),
    "text-in-a-number": (GOOD + "old,Ulm,b\n", {}, ["column 'age'", "row 3", "'old'", "1 of 4 cells"]),
    "text-in-a-named-feature": (GOOD, {"features": ("city",)}, ["column 'city'", "row 0", "'Ulm'"]),
    "target-among-features": (GOOD, {"features": ("age", "grade")}, ["names column 'grade' twice"]),
    "no-rows": ("age,city,grade\n", {}, ["has no rows"]),
    "no-numbers": ("city,grade\nUlm,a\n", {}, ["no column of numbers"]),
    "empty-file": ("", {}, ["an empty file of 0 bytes"]),
    "ragged-rows": ("age,city,grade\n1,Ulm,a,b\n2,Bonn,b,b\n", {}, ["more cells than the header's 3"]),
    "images-wanted": (GOOD, {"kind": "image"}, ["of kind image", "is a table"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_csv_that_cannot_be_used(params: Params, case: str) -> None:
    text, changes, says = BAD_TABLES[case]
    Path("own.csv").write_text(text)
    with pytest.raises(SourceError) as error:
        sources.fetch(table_task(params, **changes), seed=1)
    for words in says:
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"), [("own.csv", b"age,grade\n\xff\xfe,a\n"), ("own.parquet", b"PAR"), ("own.npz", b"PK")]
)
def test_a_file_of_another_format(params: Params, name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    task = params.tasks["digits"] if name.endswith("npz") else table_task(params)
    task = task.model_copy(update={"source": name})
    with pytest.raises(SourceError, match=f"'{name}' is not a"):
        sources.fetch(task, seed=1)


def test_images_for_a_table_task(params: Params) -> None:
    with pytest.raises(SourceError, match="holds images; use kind: image"):
        sources.fetch(table_task(params, source="digits"), seed=1)


def test_an_experiment_in_a_copy_is_told_how_to_take_a_file_along(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC copies what git tracks, and data/own is not."""
    own = tmp_path / "project/data/own/own.csv"
    own.parent.mkdir(parents=True)
    own.write_text(GOOD, encoding="utf-8")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    with pytest.raises(SourceError, match="`--copy-paths data/own/own.csv`"):
        sources.fetch(table_task(params, source="data/own/own.csv"), 20)


def test_the_test_images_of_a_public_set_are_never_downloaded(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = sources.test_images("mnist")
    assert found is not None
    assert (found[0].shape, found[0].dtype, found[1].shape) == ((10_000, 28, 28), np.uint8, (10_000,))
    assert sources.test_images("digits") is None
    monkeypatch.delenv(MIRROR)
    assert sources.test_images("mnist") is None

"""A bundle of a stranger's: what its files may hold; each refusal is one sentence that names file and field."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.io import LARGEST_JSON, read_bytes
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.model.untrusted import check_graph
from tests.support.tiny import IMAGE, TABLE, Guarded

NAN, INF = float("nan"), float("inf")
# File, field, value -> what is said of it.
OF_AN_IMAGE: list[tuple[str, str, Any, str]] = [
    ("guard.json", "threshold", NAN, "guard.json: threshold: "),
    ("guard.json", "threshold", INF, "guard.json: threshold: expected a finite number"),
    ("guard.json", "threshold", -0.1, "guard.json: threshold: "),
    ("guard.json", "draws", 10**9, "guard.json: draws: "),
    ("guard.json", "draws", 0, "guard.json: draws: "),
    ("guard.json", "draws", 2.5, "guard.json: draws: "),
    ("guard.json", "draws", 3, "model.onnx takes "),
    ("guard.json", "bits", 64, "guard.json: bits: "),
    ("guard.json", "median", 10**6, "guard.json: median: "),
    ("guard.json", "median", 0, "guard.json: median is 0"),
    ("guard.json", "shrink", 0.0, "guard.json: shrink: "),
    ("guard.json", "shrink", NAN, "guard.json: shrink: "),
    ("guard.json", "false_positives", 1.0, "guard.json: false_positives: "),
    ("guard.json", "output_scale", 0.0, "guard.json: output_scale: "),
    ("guard.json", "shape", [10**6, 10**6, 1], "guard.json: shape: "),
    ("guard.json", "shape", [6, 6, -1], "guard.json: shape: 2: "),
    ("guard.json", "shape", [6, 7, 1], "guard.json is of kind image and shape [6, 7, 1], schema.json of image"),
    ("guard.json", "lower", [0.0], "guard.json: lower holds 1 numbers; expected 0"),
    ("guard.json", "own", 1, "guard.json: own: Extra inputs are not permitted"),
    ("schema.json", "task", "../../etc", "schema.json: task: a name is made of"),
    ("schema.json", "task", "x; touch pwned #", "schema.json: task: a name is made of"),
    ("schema.json", "labels", [], "schema.json: expected labels, the names of the classes"),
    ("schema.json", "labels", ["a"], "labels.json holds other labels than schema.json"),
    ("schema.json", "labels", ["a", "a", "b"], "schema.json: label 'a' appears twice"),
    ("schema.json", "labels", ["a", "b", "c"], "labels.json holds other labels than schema.json"),
    ("schema.json", "labels", ["x" * 2000, "b", "c"], "schema.json: labels: 0: "),
    ("schema.json", "shape", [6, 6], "schema.json: an image has no columns and a shape of three sides"),
    ("schema.json", "shape", [10**9, 6, 1], "schema.json: shape: 0: "),
    ("schema.json", "kind", "picture", "schema.json: kind: "),
]
OF_A_TABLE: list[tuple[str, str, Any, str]] = [
    ("guard.json", "noise", NAN, "guard.json: noise: "),
    ("guard.json", "noise", -1.0, "guard.json: noise: "),
    ("guard.json", "scale", [1.0, NAN, 0.0, 0.0], "guard.json: scale: 1: "),
    ("guard.json", "scale", [1.0, -1.0, 0.0, 0.0], "guard.json: scale: 1: "),
    ("guard.json", "scale", [1.0], "guard.json: scale holds 1 numbers; expected 4"),
    ("guard.json", "lower", [9e9, 0.0, 0.0, 0.0], "guard.json: lower is 9e+09 and upper "),
    ("guard.json", "upper", [INF, 1.0, 0.0, 0.0], "guard.json: upper: 0: "),
    ("schema.json", "shape", [5], "schema.json: the columns take 4 inputs; got shape [5]"),
    ("schema.json", "kind", "regression", "schema.json: a regression has no labels"),
    ("schema.json", "columns", [], "schema.json: the columns take 0 inputs"),
]


@pytest.fixture
def hostile(bundles: Callable[[str], Guarded], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(bundles(name).folder, tmp_path / "bundle"))


def refused(folder: Path) -> str:
    """The one sentence."""
    with pytest.raises(BundleError) as raised:
        GuardedModel.load(folder)
    said = str(raised.value)
    assert "\n" not in said
    assert len(said) < 900
    return said


def change(path: Path, field: str, value: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))


@pytest.mark.parametrize(
    ("kind", "file", "field", "value", "says"),
    [*[(IMAGE, *case) for case in OF_AN_IMAGE], *[(TABLE, *case) for case in OF_A_TABLE]],
    ids=lambda value: str(value)[:20],
)
def test_a_value_out_of_its_bounds_is_named(
    hostile: Callable[[str], Path], kind: str, file: str, field: str, value: Any, says: str
) -> None:
    folder = hostile(kind)
    change(folder / file, field, value)
    said = refused(folder)
    assert said.startswith(f"{folder} cannot be read: ")
    assert says in said


def test_columns_that_cannot_be(hostile: Callable[[str], Path]) -> None:
    folder = hostile(TABLE)
    columns = json.loads((folder / "schema.json").read_text())["columns"]
    for index, wrong, says in (
        (1, {"name": columns[0]["name"]}, f"column '{columns[0]['name']}' appears twice"),
        (0, {"limits": [5, 1]}, "limits [5.0, 1.0]; expected the smaller first"),
        (0, {"limits": [0, INF]}, "columns: 0: limits: 1: "),
        (2, {"categories": ["red", "red"]}, "has category 'red' twice"),
        (2, {"categories": []}, "of kind category has 0 categories"),
        (0, {"categories": ["a"]}, "of kind number has 1 categories"),
    ):
        changed = [{**column, **(wrong if place == index else {})} for place, column in enumerate(columns)]
        change(folder / "schema.json", "columns", changed)
        assert says in refused(folder)


CONTENTS = {
    "empty": b"",
    "a list": b"[1, 2]",
    "cut": b"{",
    "deep": b"[" * 100_000,
    "deep object": b'{"kind":' * 50_000,
    "no text": b"\xff\xfe" * 40,
    "number": b"1e999",
    "null": b"null",
}


@pytest.mark.parametrize("file", ["guard.json", "schema.json", "labels.json"])
@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_json_object_is_one_sentence(hostile: Callable[[str], Path], file: str, content: str) -> None:
    folder = hostile(IMAGE)
    (folder / file).write_bytes(CONTENTS[content])
    assert f"cannot be read: {file}: " in refused(folder)


@pytest.mark.parametrize("file", ["guard.json", "schema.json", "labels.json", "model.onnx", "model.weights.h5"])
def test_a_file_that_never_ends_or_never_begins(hostile: Callable[[str], Path], file: str) -> None:
    folder = hostile(IMAGE)
    (folder / file).unlink()
    os.mkfifo(folder / file)
    assert f"{file} missing" in refused(folder)
    (folder / file).unlink()
    (folder / file).symlink_to("/dev/zero")
    assert f"{file} missing" in refused(folder)


def test_a_huge_file_is_not_read(hostile: Callable[[str], Path]) -> None:
    folder = hostile(IMAGE)
    with (folder / "guard.json").open("r+b") as stream:
        stream.truncate(200 * 2**20)
    assert f"it holds 209,715,200 bytes; expected at most {LARGEST_JSON:,}" in refused(folder)
    with pytest.raises(BundleError, match="no regular file"):
        read_bytes(Path("/dev/zero"), 9)


def tensor(location: str | None = None) -> TensorProto:
    made = helper.make_tensor("c", TensorProto.FLOAT, [1], [1.0])
    if location is not None:
        made.ClearField("float_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value=location)
    return made


def graph(*nodes: Any, constants: tuple[Any, ...] = (), **more: Any) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    return helper.make_model(helper.make_graph(list(nodes), "g", ends[:1], ends[1:], list(constants)), **more)


ADD = helper.make_node("Add", ["x", "c"], ["y"])
INNER = helper.make_graph(
    [helper.make_node("Constant", [], ["k"], value=tensor("secret.bin"))],
    "inner",
    [],
    [helper.make_tensor_value_info("k", TensorProto.FLOAT, [1])],
)
FUNCTION = helper.make_function("own", "F", ["x"], ["y"], [ADD], [helper.make_opsetid("", 18)])
GRAPHS = {
    "initializer": (graph(ADD, constants=(tensor("secret.bin"),)), "tensor 'c' is kept in another file"),
    "absolute": (graph(ADD, constants=(tensor("/etc/hostname"),)), "tensor 'c' is kept in another file"),
    "in memory": (graph(ADD, constants=(tensor("*/_ORT_MEM_ADDR_/*"),)), "tensor 'c' is kept in another file"),
    "constant": (graph(helper.make_node("Constant", [], ["y"], value=tensor("s"))), "tensor 'c' is kept in another"),
    "branches": (
        graph(helper.make_node("If", ["x"], ["y"], then_branch=INNER, else_branch=INNER)),
        "operator 'If' holds a graph of its own",
    ),
    "loop": (graph(helper.make_node("Loop", ["", "", "x"], ["y"], body=INNER)), "'Loop' holds a graph of its own"),
    "domain": (graph(helper.make_node("Shell", ["x"], ["y"], domain="evil")), "'Shell' is not one of ONNX's own"),
    "function": (graph(ADD, functions=[FUNCTION]), "it holds functions"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_more_than_nodes_and_constants_is_refused(name: str) -> None:
    model, says = GRAPHS[name]
    with pytest.raises(BundleError, match=f"^model.onnx: .*{says}"):
        check_graph(model.SerializeToString())
    # Fields of a message may come in pieces, which a parser joins.
    with pytest.raises(BundleError, match=says):
        check_graph(graph(ADD, constants=(tensor(),)).SerializeToString() + model.SerializeToString())


def test_a_plain_graph_passes() -> None:
    check_graph(graph(ADD, constants=(tensor(),)).SerializeToString())


def test_a_graph_beside_its_bundle_is_not_opened(
    hostile: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hostile(IMAGE)
    monkeypatch.chdir(folder)
    Path("secret.bin").write_bytes(b"\0\0\0\0")
    (folder / "model.onnx").write_bytes(GRAPHS["initializer"][0].SerializeToString())
    assert "tensor 'c' is kept in another file" in refused(folder)
    (folder / "model.onnx").write_bytes(graph(ADD, constants=(tensor(),)).SerializeToString())
    assert "model.onnx takes {'x': []} per row; schema.json and guard.json expect {'x': [6, 6, 1]" in refused(folder)


def test_another_graph_of_the_project_is_another_bundles(
    hostile: Callable[[str], Path], bundles: Callable[[str], Guarded]
) -> None:
    folder = hostile(IMAGE)
    shutil.copy(bundles(TABLE).folder / "model.onnx", folder / "model.onnx")
    assert "model.onnx takes " in refused(folder)

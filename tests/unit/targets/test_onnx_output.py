"""Behind which tensor of an ONNX graph an attack may look: never one whose answers are others than the graph's."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from redoubt.core.types import Batch
from redoubt.targets.contract import Opening
from redoubt.targets.open import open_target

R = np.random.default_rng(0)
X = R.normal(size=(40, 4)).astype(np.float32)
WEIGHTS = {units: R.normal(size=(4, units)).astype(np.float32) for units in (1, 2, 3)}
LOGIT = helper.make_node("MatMul", ["x", "w"], ["s"])
SIGMOID = helper.make_node("Sigmoid", ["s"], ["p"])


def softmax(given: str, output: str) -> onnx.NodeProto:
    return helper.make_node("Softmax", [given], [output], axis=1)


def pair(whole: float) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """Two scores, a number less a probability and the probability."""
    rest = helper.make_node("Sub", ["whole", "p"], ["q"])
    return [LOGIT, SIGMOID, rest, helper.make_node("Concat", ["q", "p"], ["y"], axis=1)], {"whole": np.float32(whole)}


def told(kind: int) -> list[onnx.NodeProto]:
    """A probability as another kind of number."""
    return [LOGIT, SIGMOID, helper.make_node("Cast", ["p"], ["y"], to=kind)]


def in_columns(units: int) -> tuple[list[onnx.NodeProto], list[str]]:
    """As skl2onnx gives a probability per class when it is asked for columns."""
    nodes, outputs = [LOGIT, softmax("s", "p")], [f"y{place}" for place in range(units)]
    for place, output in enumerate(outputs):
        nodes.append(helper.make_node("Slice", ["p", f"c{place}", f"c{place + 1}", "c1"], [f"{output}1"]))
        nodes.append(helper.make_node("Reshape", [f"{output}1", "flat"], [output]))
    return nodes, outputs


def saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    units: int,
    held: dict[str, Any],
    outputs: tuple[str, ...] = ("y",),
    kind: int = TensorProto.FLOAT,
) -> str:
    held = {"w": WEIGHTS[units], **held}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return str(path)


def classes(said: str, width: int) -> np.ndarray:
    """What a target answers to the examples."""
    labels = tuple("abc"[:width])
    target = open_target(said, Opening(Batch(X, np.arange(len(X)) % width), labels))
    assert target.predict(X).shape == (len(X), width)
    return np.asarray(target.predict(X).argmax(axis=1))


@pytest.mark.parametrize("whole", [1.0, 0.7])
def test_a_pair_that_is_none(whole: float, tmp_path: Path) -> None:
    nodes, held = pair(whole)
    chance = 1 / (1 + np.exp(-(X @ WEIGHTS[1])[:, 0]))
    expected = (chance > whole - chance).astype(int)
    assert np.array_equal(classes(saved(tmp_path / "m.onnx", nodes, 1, held), 2), expected)


def test_a_probability_cut_to_a_whole_number(tmp_path: Path) -> None:
    """Which is 0, whatever it was."""
    said = saved(tmp_path / "m.onnx", told(TensorProto.INT64), 1, {}, kind=TensorProto.INT64)
    assert not classes(said, 2).any()


def test_a_probability_in_another_precision(tmp_path: Path) -> None:
    said = saved(tmp_path / "m.onnx", told(TensorProto.DOUBLE), 1, {}, kind=TensorProto.DOUBLE)
    assert np.array_equal(classes(said, 2), ((X @ WEIGHTS[1])[:, 0] > 0).astype(int))


def test_a_softmax_of_a_softmax(tmp_path: Path) -> None:
    said = saved(tmp_path / "m.onnx", [LOGIT, softmax("s", "p"), softmax("p", "y")], 3, {})
    target = open_target(said, Opening(Batch(X, np.arange(len(X)) % 3), ("a", "b", "c")))
    assert np.allclose(target.predict(X), X @ WEIGHTS[3], atol=1e-5)
    assert "and so was the softmax on which it stood" in target.notes[0]


@pytest.mark.parametrize(("at", "sign"), [(0.3, 1.0), (-0.4, 1.0), (0.0, -1.0), (0.0, 1.0)])
def test_labels_that_are_others_than_the_largest_scores(at: float, sign: float, tmp_path: Path) -> None:
    """A threshold of its own, or scores turned round as those of a support vector machine: what it says counts."""
    nodes = [
        LOGIT,
        helper.make_node("Neg", ["s"], ["t"]),
        helper.make_node("Concat", ["t", "s"] if sign > 0 else ["s", "t"], ["y"], axis=1),
        helper.make_node("Greater", ["s", "at"], ["above"]),
        helper.make_node("Cast", ["above"], ["label"], to=TensorProto.INT64),
    ]
    saved(tmp_path / "m.onnx", nodes, 1, {"at": np.array([[at]], np.float32)})
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.output.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, None))
    onnx.save(model, tmp_path / "m.onnx")
    # A few examples, none of them between the two thresholds.
    s = (X @ WEIGHTS[1])[:, 0]
    some = X[np.abs(s) > 0.5][:8]
    target = open_target(str(tmp_path / "m.onnx"), Opening(Batch(some, np.arange(8) % 2), ("a", "b")))
    assert np.array_equal(target.predict(X).argmax(axis=1), (s > at).astype(int))
    same = at == 0.0 and sign == 1.0
    assert target.access == ("gradients and bounds" if same else "labels")
    assert same or "its labels are not always the classes of its largest scores" in " ".join(target.notes)


@pytest.mark.parametrize("units", [2, 3])
def test_a_column_for_each_class(units: int, tmp_path: Path) -> None:
    nodes, outputs = in_columns(units)
    held = {f"c{place}": np.array([place]) for place in range(units + 1)} | {"flat": np.array([-1])}
    said = saved(tmp_path / "m.onnx", nodes, units, held, tuple(outputs))
    assert np.array_equal(classes(said, units), (X @ WEIGHTS[units]).argmax(axis=1))

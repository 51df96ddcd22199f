"""Models as strangers bring them: each is read for what it answers, or refused with the line that helps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from redoubt.audit.budget import Budget
from redoubt.audit.frame import frame_of
from redoubt.audit.run import Settings, audit
from redoubt.core.types import Batch
from redoubt.models.export import add_network
from redoubt.models.onnx_graph import Graph
from redoubt.targets.contract import Opening, TargetError
from redoubt.targets.function import of_function
from redoubt.targets.onnx_output import ML
from redoubt.targets.open import open_target
from redoubt.targets.url import UrlError, of_client
from tests.support.brightness import examples, model
from tests.support.planted import LABELS

BATCH = examples(48)
NETWORK = model()


def scores(x: Any) -> Any:
    return NETWORK(x).numpy()


def opening(labels: tuple[str, ...] = LABELS) -> Opening:
    return Opening(BATCH.take(np.arange(8)), labels)


READ: list[tuple[str, Callable[[Any], Any], tuple[str, ...]]] = [
    ("lists", lambda x: scores(x).tolist(), LABELS),
    ("dictionaries", lambda x: [dict(zip(LABELS, row, strict=True)) for row in scores(x).tolist()], LABELS),
    (
        "dictionaries in another order",
        lambda x: [dict(zip(LABELS[::-1], row[::-1], strict=True)) for row in scores(x).tolist()],
        LABELS,
    ),
    ("dictionaries by number", lambda x: [dict(enumerate(row)) for row in scores(x).tolist()], ("0", "1", "2")),
    ("names", lambda x: [LABELS[each] for each in scores(x).argmax(axis=1)], LABELS),
]


@pytest.mark.parametrize(("function", "labels"), [each[1:] for each in READ], ids=[each[0] for each in READ])
def test_what_a_function_may_answer(function: Callable[[Any], Any], labels: tuple[str, ...]) -> None:
    target = of_function(function, "f", opening(labels))
    assert target.width == 3
    assert np.array_equal(target.predict(BATCH.x).argmax(axis=1), scores(BATCH.x).argmax(axis=1))


REFUSED: list[tuple[str, Callable[[Any], Any], str]] = [
    ("two arrays", lambda x: (scores(x).argmax(axis=1), scores(x)), "a tuple of 2; .* returns the scores, or labels"),
    ("other names", lambda x: ["class 0" for _ in x], "answers 'class 0'; .* dark, grey, bright: name both alike"),
    ("one at a time", lambda x: scores(x.reshape(4, 4)), "it is called with many examples at a time"),
    ("NaN", lambda x: scores(x) * np.nan, "answers NaN or infinity to clean examples"),
]


@pytest.mark.parametrize(("function", "expected"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_what_it_may_not(function: Callable[[Any], Any], expected: str) -> None:
    with pytest.raises(TargetError, match=expected):
        of_function(function, "f", opening())


def test_no_number_where_it_was_perturbed_counts_as_wrong_and_is_said() -> None:
    def fragile(x: Any) -> Any:
        known = {row.tobytes() for row in BATCH.x}
        return np.where(np.array([[row.tobytes() in known] for row in x]), scores(x), np.nan)

    target = of_function(fragile, "f", opening())
    settings = Settings(eps=(0.05,), budget=Budget(None, 2000))
    found = audit(target, BATCH, frame_of(BATCH.x, (0.0, 1.0)), settings).audit
    assert found.worst.share == 0.0
    assert "it answers NaN or infinity to perturbed inputs" in " ".join(found.notes)


def test_no_examples_get_no_answers(tmp_path: Path) -> None:
    """The checks ask about those that are left, which may be none."""
    graph, none = Graph(), BATCH.x[:0]
    output = add_network(graph, NETWORK, "x")
    path = tmp_path / "m.onnx"
    path.write_bytes(graph.build({"x": ("n", *BATCH.x.shape[1:])}, {"y": (output, ("n", 3))}))
    NETWORK.save(tmp_path / "m.keras")
    for target in (
        of_function(scores, "f", opening()),
        of_function(lambda x: scores(x).argmax(axis=1), "f", opening()),
        open_target(str(path), opening()),
        open_target(str(tmp_path / "m.keras"), opening()),
    ):
        assert target.predict(none).shape == (0, 3)


def test_a_service_that_fails_now_and_then_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(1)
        if len(asked) % 3 == 0:
            return httpx.Response(500, text="oops")
        x = np.array(json.loads(request.content)["instances"], np.float32)
        return httpx.Response(200, json={"predictions": scores(x).tolist()})

    monkeypatch.setattr("redoubt.targets.url.FIRST_PAUSE", 0.0)
    http = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service.test")
    target = of_client(http, "http://service.test/v1/models/m", opening())
    for _ in range(4):
        assert np.allclose(target.predict(BATCH.x), scores(BATCH.x), atol=1e-3)
    assert target.predict(BATCH.x[:0]).shape == (0, 3)
    assert len(asked) > 6
    monkeypatch.setattr("redoubt.targets.url.TRIES", 1)
    with pytest.raises(UrlError, match="refuses with status 500: oops"):
        [target.predict(BATCH.x + each) for each in range(3)]


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT])
def test_a_scaler_of_some_columns_and_double_precision(kind: int, tmp_path: Path) -> None:
    """As skl2onnx writes a `ColumnTransformer`, and models that were fitted in double precision."""
    rng, number = np.random.default_rng(0), np.float64 if kind == TensorProto.DOUBLE else np.float32
    held = {"first": np.array([0, 1]), "rest": np.array([2, 3])}
    held |= {"mean": rng.random((1, 2)).astype(number), "w": rng.normal(size=(4, 3)).astype(number)}
    nodes = [
        helper.make_node("ArrayFeatureExtractor", ["x", "first"], ["a"], domain=ML),
        helper.make_node("ArrayFeatureExtractor", ["x", "rest"], ["b"], domain=ML),
        helper.make_node("Sub", ["a", "mean"], ["c"]),
        helper.make_node("Concat", ["c", "b"], ["d"], axis=1),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["n", 4])],
        [helper.make_tensor_value_info("y", kind, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(ML, 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "m.onnx")
    x = rng.normal(size=(12, 4)).astype(np.float32)
    target = open_target(str(tmp_path / "m.onnx"), Opening(Batch(x, np.arange(12) % 3), ("a", "b", "c")))
    assert target.access == ("gradients" if kind == TensorProto.DOUBLE else "gradients and bounds"), target.notes


COLUMNS = ("open", "high", "low_high", "volume")


@pytest.mark.parametrize("features", [("open", "high", "low/high", "volume"), COLUMNS[::-1], ()])
def test_an_input_for_each_column(features: tuple[str, ...], tmp_path: Path) -> None:
    """As skl2onnx exports a pipeline that was fitted on a frame."""
    rng = np.random.default_rng(0)
    held = {"w": rng.normal(size=(4, 3)).astype(np.float32)}
    nodes = [helper.make_node("Concat", COLUMNS, ["t"], axis=1), helper.make_node("MatMul", ["t", "w"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in COLUMNS],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    x = rng.normal(size=(12, 4)).astype(np.float32)
    given = Batch(x if features != COLUMNS[::-1] else x[:, ::-1].copy(), np.arange(12) % 3)
    target = open_target(str(path), Opening(given, ("a", "b", "c"), features=features))
    assert target.access == "gradients and bounds", target.notes
    assert "its 4 inputs of one column each are read as one table" in target.notes[0]
    assert np.allclose(target.predict(given.x), x @ held["w"], atol=1e-5)
    with pytest.raises(
        TargetError, match="its inputs are the columns open, high, low_high, volume; the examples have a, b: name"
    ):
        open_target(str(path), Opening(given, ("a", "b", "c"), features=("a", "b", "low/high", "volume")))
    fewer = Batch(x[:, :3], given.y)
    with pytest.raises(TargetError, match="has 4 inputs"):
        open_target(str(path), Opening(fewer, ("a", "b", "c")))

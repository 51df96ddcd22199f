"""One contract for everything that can be attacked: the same model behind every door says the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import keras
import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.core.types import PIXELS, Batch
from redoubt.models.export import add_network
from redoubt.models.onnx_graph import Graph
from redoubt.targets.contract import Opening, Target, TargetError
from redoubt.targets.open import open_target
from redoubt.targets.url import UrlError, of_client
from tests.support.bundles import SCHEMAS, write_champion

R = np.random.default_rng(0)
X = R.random((24, 8, 8, 1), np.float32)
CLASSES = tuple("0123456789")
URL = "http://service.test"


class World:
    """A network on disk in every form."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_champion(folder / "bundle", SCHEMAS["digits"])
        from redoubt.models.saved import load_network

        self.network = load_network(folder / "bundle")
        self.logits = self.network(X).numpy()
        self.batch = Batch(X, self.logits.argmax(axis=1))
        self.network.save(folder / "plain.keras")
        keras.Sequential([self.network, keras.layers.Softmax()]).save(folder / "softmax.keras")
        graph = Graph()
        output = add_network(graph, self.network, "x")
        shape = ("n", 8, 8, 1)
        (folder / "plain.onnx").write_bytes(graph.build({"x": shape}, {"y": (output, ("n", 10))}))
        chances = graph.node("Softmax", output, axis=-1)
        (folder / "softmax.onnx").write_bytes(graph.build({"x": shape}, {"p": (chances, ("n", 10))}))

    def opening(self, **changes: Any) -> Opening:
        return Opening(sample=Batch(X[:8], self.batch.y[:8]), labels=CLASSES, **changes)

    def scores(self, x: np.ndarray) -> np.ndarray:
        return self.network(x).numpy()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def serve(world: World, path: str, answer: Callable[[dict[str, Any]], Any]) -> httpx.Client:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path == "/v2/models/digits":
            return httpx.Response(200, json={"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 8, 8, 1]}]})
        assert (request.method, request.url.path) == ("POST", path)
        return httpx.Response(200, json=answer(json.loads(request.content)))

    return httpx.Client(transport=httpx.MockTransport(handle), base_url=URL)


def chances(world: World, rows: Any) -> list[list[float]]:
    return tf.nn.softmax(world.scores(np.array(rows, np.float32))).numpy().astype(float).tolist()


def by_name(world: World, body: dict[str, Any]) -> dict[str, Any]:
    assert body["task"] == "digits"
    rows = [dict(zip(CLASSES, row, strict=True)) for row in chances(world, body["inputs"])]
    return {"predictions": [{"label": max(row, key=row.__getitem__), "probabilities": row} for row in rows]}


def tensors(world: World, body: dict[str, Any]) -> dict[str, Any]:
    (given,) = body["inputs"]
    found = chances(world, np.reshape(given["data"], given["shape"]))
    flat = [value for row in found for value in row]
    labels = {"name": "label", "datatype": "INT64", "shape": [len(found)], "data": [0] * len(found)}
    return {"outputs": [labels, {"name": "probabilities", "datatype": "FP64", "shape": [len(found), 10], "data": flat}]}


SERVICES: dict[str, tuple[str, Callable[[World, dict[str, Any]], Any]]] = {
    "redoubt": ("/predict", by_name),
    "oip": ("/v2/models/digits/infer", tensors),
    "mlflow": ("/invocations", lambda world, body: {"predictions": chances(world, body["inputs"])}),
    "tensorflow-serving": (
        "/v1/models/digits:predict",
        lambda world, body: {"predictions": chances(world, body["instances"])},
    ),
}
FILES = ("bundle", "plain.keras", "softmax.keras", "plain.onnx", "softmax.onnx")
DOORS = (*FILES, "function", *SERVICES)


@pytest.fixture(scope="module", params=DOORS)
def target(world: World, request: pytest.FixtureRequest, monkeypatch_module: pytest.MonkeyPatch) -> Iterator[Target]:
    if request.param in SERVICES:
        path, answer = SERVICES[request.param]
        http = serve(world, path, lambda body: answer(world, body))
        found = of_client(http, URL, world.opening(protocol=request.param, model="digits"))
    elif request.param == "function":
        (world.folder / "audited_module.py").write_text("def scores(x):\n    return answer(x)\n")
        monkeypatch_module.chdir(world.folder)
        import importlib
        import sys

        sys.path.insert(0, str(world.folder))
        try:
            importlib.import_module("audited_module").answer = world.scores  # type: ignore[attr-defined]
        finally:
            sys.path.remove(str(world.folder))
        found = open_target("audited_module:scores", world.opening())
    else:
        found = open_target(str(world.folder / request.param), world.opening())
    yield found
    found.close()


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_the_scores_are_the_networks_own(target: Target, world: World) -> None:
    scores = target.predict(X)
    assert (scores.shape, scores.dtype) == ((24, 10), np.float32)
    expected = world.logits - world.logits.max(axis=1, keepdims=True)
    assert np.allclose(scores - scores.max(axis=1, keepdims=True), expected, atol=1e-3)
    assert target.labels == CLASSES
    assert target.width == 10


def test_gradients_agree_with_the_scores_where_there_are_any(target: Target) -> None:
    assert (target.gradients is not None) == (target.access in ("gradients", "gradients and bounds"))
    assert target.access == ("scores" if target.kind in ("callable", "http") else target.access)
    if target.gradients is not None:
        found = target.gradients(tf.constant(X), tf.zeros(2, tf.int32)).numpy()
        assert np.allclose(found, target.predict(X), atol=1e-3)


def test_an_attack_runs_on_it(target: Target, world: World) -> None:
    if target.gradients is None:
        return
    problem = AttackProblem(target.outputs, Untargeted(), "linf", PIXELS)
    x_adv = PGD(steps=5)(problem, X, world.batch.y, eps=0.3, seed=0)
    fooled = Untargeted().is_adversarial(target.predict(x_adv), world.batch.y)
    assert fooled.mean() > 0.5


def test_what_was_unwrapped_is_said(world: World) -> None:
    for name in ("softmax.keras", "softmax.onnx"):
        found = open_target(str(world.folder / name), world.opening())
        assert "softmax was unwrapped" in found.notes[0]


LABELS = [("whole", np.int64), ("words", np.str_), ("floats", np.float32)]


@pytest.mark.parametrize(("name", "kind"), LABELS, ids=[name for name, _ in LABELS])
def test_labels_alone(world: World, name: str, kind: Any) -> None:
    from redoubt.targets.function import of_function

    found = of_function(lambda x: world.scores(x).argmax(axis=1).astype(kind), "f", world.opening())
    assert (found.access, found.width) == ("labels", 10)
    assert np.array_equal(found.predict(X).argmax(axis=1), world.batch.y)


def test_one_number_for_two_classes(world: World) -> None:
    from redoubt.targets.function import of_function

    two = Opening(sample=Batch(X[:8], world.batch.y[:8] % 2), labels=("no", "yes"))
    for function, note in (
        (lambda x: x[:, 0, 0, 0], "one probability"),
        (lambda x: 4 * x[:, 0, 0, 0] - 2, "one score"),
    ):
        found = of_function(function, "f", two)
        assert note in found.notes[0]
        answers = function(X) > (0.5 if "probability" in note else 0.0)
        assert np.array_equal(found.predict(X).argmax(axis=1), answers.astype(int))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("nowhere", "does not exist"),
        ("saved_model", "SavedModel"),
        ("old.h5", "older format; convert it"),
        ("old.weights.h5", "holds weights alone; save the model"),
        ("model.pt", "export the model to ONNX"),
        ("notes.txt", "no model that is known"),
        ("broken.onnx", "no ONNX model"),
        ("no_such_module:f", "cannot be imported"),
        ("json:nothing", "has no 'nothing'"),
        ("json:__name__", "expected a function"),
    ],
)
def test_nothing_that_can_be_attacked(world: World, said: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    Path("saved_model").mkdir(exist_ok=True)
    for name in ("saved_model/saved_model.pb", "old.h5", "old.weights.h5", "model.pt", "notes.txt", "broken.onnx"):
        Path(name).write_bytes(b"\x08nothing")
    with pytest.raises(TargetError, match=expected):
        open_target(said, world.opening())


def test_another_shape_is_refused_and_channels_first_are_turned(world: World) -> None:
    with pytest.raises(TargetError, match=r"shape \(8, 8, 3\)"):
        open_target(str(world.folder / "plain.keras"), Opening(Batch(R.random((2, 8, 8, 3), np.float32), np.zeros(2))))
    graph = Graph()
    flat = graph.node("Flatten", "x")
    output = graph.node("MatMul", flat, graph.constant(R.normal(size=(2 * 4 * 5, 3)).astype(np.float32)))
    (world.folder / "first.onnx").write_bytes(graph.build({"x": ("n", 2, 4, 5)}, {"y": (output, ("n", 3))}))
    found = open_target(
        str(world.folder / "first.onnx"),
        Opening(Batch(R.random((4, 4, 5, 2), np.float32), np.zeros(4)), ("a", "b", "c")),
    )
    assert (found.shape, found.access) == ((4, 5, 2), "gradients and bounds")
    assert "channels first" in found.notes[0]


def test_a_graph_without_a_gradient_gives_scores(world: World) -> None:
    graph = Graph()
    waves = graph.node("Sin", graph.node("Flatten", "x"))
    output = graph.node("MatMul", waves, graph.constant(R.normal(size=(64, 3)).astype(np.float32)))
    (world.folder / "sine.onnx").write_bytes(graph.build({"x": ("n", 8, 8, 1)}, {"y": (output, ("n", 3))}))
    found = open_target(str(world.folder / "sine.onnx"), Opening(Batch(X[:4], np.zeros(4)), ("a", "b", "c")))
    assert found.access == "scores"
    assert "operator Sin has no gradient here" in found.notes[-1]


def test_a_service_that_dies_keeps_what_it_answered(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redoubt.targets.url.FIRST_PAUSE", 0.0)
    asked = {"count": 0, "alive": True}

    def handle(request: httpx.Request) -> httpx.Response:
        asked["count"] += 1
        if not asked["alive"] or asked["count"] == 2:
            return httpx.Response(503, text="busy")
        return httpx.Response(200, json={"predictions": chances(world, json.loads(request.content)["inputs"])})

    def opened() -> Target:
        http = httpx.Client(transport=httpx.MockTransport(handle), base_url=URL)
        return of_client(http, URL, world.opening(protocol="mlflow", log=tmp_path / "queries.jsonl"))

    first = opened()
    scores = first.predict(X[:16])
    assert asked["count"] == 3, "one question was asked twice, since the first try was refused"
    asked["alive"] = False
    with pytest.raises(UrlError, match=r"503: busy; 24 answers are kept in .*run the same command again"):
        first.predict(X)
    first.close()
    second = opened()
    assert np.array_equal(second.predict(X[:16]), scores), "out of the log: nobody answers any more"
    second.close()


def test_a_header_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from redoubt.targets.url import _header

    for value, header in (("Bearer a", {"Authorization": "Bearer a"}), ("X-Key: b", {"X-Key": "b"}), ("", {})):
        monkeypatch.setenv("REDOUBT_AUDIT_HEADER", value)
        assert _header() == header


def test_a_model_of_mlflow(world: World, tmp_path: Path) -> None:
    """A plain file is opened as it is; a pickle only when that was allowed."""
    import yaml

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes((world.folder / "plain.onnx").read_bytes())
    flavours = {"onnx": {"data": "model.onnx"}, "python_function": {"loader_module": "mlflow.onnx"}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours, "model_uuid": "0" * 32}))
    found = open_target(str(folder), world.opening())
    assert (found.kind, found.access) == ("mlflow", "gradients and bounds")
    flavours = {"sklearn": {"pickled_model": "model.pkl"}, "python_function": {"loader_module": "mlflow.sklearn"}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours, "model_uuid": "0" * 32}))
    with pytest.raises(TargetError, match="flavour sklearn, which runs code of its own.*--trust"):
        open_target(str(folder), world.opening())

"""Graphs with quicker nodes in the place of slow ones give the same numbers, bit for bit, for the same draws."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from redoubt.bundle.base.io import read_typed
from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.bundle.model.onnx_messages import messages
from redoubt.bundle.model.onnx_repeats import skip_repeats
from redoubt.bundle.model.quicken import quicken
from redoubt.bundle.model.selection import comparisons
from redoubt.core.types import Floats
from redoubt.defenses.guards.guard import export, export_proof
from tests.support.random_networks import Recipe, anywhere, dense, of_picture, on_pictures, shaken

layers = keras.layers
SIDES = (7, 6)
ZOO = Path(__file__).resolve().parents[3] / "zoo"


def run(graph: bytes, feeds: dict[str, Any]) -> Floats:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


def quickened(graph: bytes) -> bytes:
    model = messages()["Model"].FromString(graph)
    quicken(model)
    skip_repeats(model)
    made: bytes = model.SerializeToString()
    onnx.checker.check_model(made)
    return made


def operators(graph: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(graph).graph.node)


def node(operator: str, inputs: str, output: str, **more: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **more)


def picture_guard(channels: int, median: int) -> GuardConfig:
    return GuardConfig(
        kind="image", shape=(*SIDES, channels), bits=2, draws=3, false_positives=0.1, median=median, shrink=0.7
    )


def table_guard(scale: float) -> GuardConfig:
    box = {"lower": (0.0, -3.0, 5.0, 0.0), "upper": (1.0, 4.0, 5.0, 9.0), "scale": (scale, 1.0, 0.0, 2.0)}
    return GuardConfig(kind="table", shape=(4,), bits=3, draws=2, false_positives=0.1, noise=0.1, **box)


def grey(recipes: list[Recipe]) -> keras.Model:
    """A picture of one channel through the layers, as the zoo's networks begin."""
    network = keras.Sequential([keras.Input((*SIDES, 1), name="x"), layers.Rescaling(5.0, offset=-2.0)])
    for recipe in [lambda: layers.ReLU(max_value=1.0), lambda: layers.Normalization(mean=0.1, variance=0.3), *recipes]:
        if len(network.output_shape) == 2 or min(network.output_shape[1:3]) >= 3:
            network.add(recipe())
    for recipe in (layers.Flatten, lambda: layers.Dense(3)):
        network.add(recipe())
    return shaken(network)


def same(network: keras.Model, guard: GuardConfig, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.2, 1.2, (rows, *guard.shape)).astype(np.float32)
    # Repeated values, as real pictures have them.
    x[rng.random(x.shape) < 0.3] = 0.0
    feeds = {"x": x, **guard.draw(rng, rows)}
    graph, proof = export(network, guard), export_proof(network, guard)
    assert np.array_equal(run(quickened(graph), feeds), run(graph, feeds))
    feeds["eps"] = rng.uniform(0.0, 0.3, rows).astype(np.float32)
    assert np.array_equal(run(quickened(proof), feeds), run(proof, feeds))


seeds, few = st.integers(0, 2**32 - 1), st.integers(1, 9)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.one_of(on_pictures, anywhere), max_size=3), st.sampled_from([2, 3, 4, 5]), few, seeds)
def test_grey_pictures(recipes: list[Recipe], median: int, rows: int, seed: int) -> None:
    same(grey(recipes), picture_guard(1, median), rows, seed)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.one_of(on_pictures, anywhere), max_size=3), dense, few, seeds)
def test_pictures_of_two_channels(recipes: list[Recipe], head: Recipe, rows: int, seed: int) -> None:
    same(of_picture(recipes, [head]), picture_guard(2, 3), rows, seed)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.one_of(dense, anywhere), max_size=3), st.sampled_from([0.0, 1.0]), few, seeds)
def test_tables(recipes: list[Recipe], scale: float, rows: int, seed: int) -> None:
    network = keras.Sequential([keras.Input((4,), name="x"), *(recipe() for recipe in recipes), layers.Dense(2)])
    same(shaken(network), table_guard(scale), rows, seed)


@pytest.mark.parametrize("name", ["mnist-adversarial", "mnist-certified"])
def test_networks_that_are_served(name: str) -> None:
    """Of their size ONNX Runtime chooses other kernels than of small ones."""
    bundle, rng = ZOO / name, np.random.default_rng(5)
    guard = read_typed(bundle / "guard.json", GuardConfig)
    x = (np.load(ZOO / "mnist-examples.npz")["x"][:5, ..., None] / 255.0).astype(np.float32)
    feeds, eps = {"x": x, **guard.draw(rng, 5)}, {"eps": np.linspace(0.0, 0.2, 5, dtype=np.float32)}
    for file, more in (("model.onnx", {}), ("proof.onnx", eps)):
        graph = (bundle / file).read_bytes()
        assert np.array_equal(run(quickened(graph), {**feeds, **more}), run(graph, {**feeds, **more}))


def test_an_image_that_a_draw_leaves_as_it_is_is_not_run_again() -> None:
    network, guard = grey([lambda: layers.Conv2D(2, 3)]), picture_guard(1, 2)
    graph = export(network, guard)
    made = onnx.load_from_string(quickened(graph))
    made.graph.output.append(helper.make_tensor_value_info(_first_of(made, "Conv"), TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((4, *guard.shape)).astype(np.float32)
    still = [len(guard.placements(axis)) - 1 for axis in (0, 1)]
    for left in (0, 1, 3):
        draws = [np.zeros((4, 3), dtype=np.int64) for _ in still]
        for index, unit in zip(draws, still, strict=True):
            index[:, :left] = unit
        feeds = {"x": x, "index_rows": draws[0], "index_columns": draws[1]}
        said, inner = session.run(None, feeds)
        assert len(inner) == 4 * (3 + 3 - left)
        assert np.array_equal(said, run(graph, feeds))


def _first_of(model: onnx.ModelProto, operator: str) -> str:
    return next(str(node.output[0]) for node in model.graph.node if node.op_type == operator)


@pytest.mark.parametrize(
    "mixes",
    [
        node("Softmax", "INNER", "mixed", axis=0),
        node("Gather", "INNER places", "mixed", axis=0),
        node("Transpose", "INNER", "mixed", perm=[1, 0]),
        node("Add", "INNER column", "mixed"),
        node("MatMul", "INNER INNER", "mixed"),
    ],
)
def test_rows_that_see_each_other_are_all_run(mixes: onnx.NodeProto) -> None:
    model = onnx.load_from_string(export(grey([]), picture_guard(1, 2)))
    inner = _first_of(model, "Flatten")
    place = next(index for index, each in enumerate(model.graph.node) if inner in each.output) + 1
    for each in model.graph.node[place:]:
        each.input[:] = ["mixed" if name == inner else name for name in each.input]
    mixes = helper.make_node(mixes.op_type, [inner if name == "INNER" else name for name in mixes.input], ["mixed"])
    model.graph.node.insert(place, mixes)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 1]), "places"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32([[1], [2]]), "column"))
    message = messages()["Model"].FromString(model.SerializeToString())
    quicken(message)
    before = message.SerializeToString()
    skip_repeats(message)
    assert message.SerializeToString() == before


def test_what_is_slow_is_gone() -> None:
    network = grey([lambda: layers.Conv2D(2, 3), layers.BatchNormalization, layers.ReLU])
    for made in (export, export_proof):
        before = made(network, picture_guard(1, 2))
        after = operators(quickened(before))
        assert not {"TopK", "Einsum"} & set(after)
        # Of what a ReLU lets through no absolute value is taken; of weights once, when a session opens.
        assert made is export or after["Abs"] < operators(before)["Abs"]


def test_the_sorting_network_sorts() -> None:
    for count in range(1, 10):
        for bits in itertools.product([0, 1], repeat=count):
            values = [*bits]
            for low, high in comparisons(count):
                values[low], values[high] = sorted((values[low], values[high]))
            assert values == sorted(bits)


def small(nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> bytes:
    """A graph of rows `(rows, 3)` to `y`."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in ("x", "y")]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


F = np.float32
# Nodes and constants -> an operator that has to stay, since it does something.
STAYS: list[tuple[list[onnx.NodeProto], dict[str, Any], str]] = [
    ([node("Mul", "x g", "a"), node("Min", "a x", "y")], {"g": F([[1, 2, 0.5]])}, "Min"),
    # Of a negative scale the order is turned round.
    (
        [node("Relu", "x", "r"), node("Sub", "x r", "a"), node("Add", "x r", "b")]
        + [node("Mul", "a g", "c"), node("Mul", "b g", "d"), node("Min", "c d", "m"), node("Relu", "m", "y")],
        {"g": F([1, -1, 1])},
        "Min",
    ),
    ([node("Sub", "x x2", "a"), node("Abs", "a", "b"), node("Relu", "b", "y")], {"x2": F([1, -1, 0])}, "Abs"),
    # What is taken off may be negative.
    ([node("Sub", "x x2", "a"), node("Add", "x x2", "b"), node("Max", "a b", "y")], {"x2": F([1, -1, 0])}, "Max"),
    ([node("Where", "c x z", "a"), node("Relu", "a", "y")], {"c": np.array([True, False, True]), "z": F(3)}, "Where"),
    # Of a larger shape than what is chosen.
    (
        [node("ReduceMax", "x", "m", keepdims=1), node("Where", "c m x", "a"), node("Relu", "a", "y")],
        {"c": np.array([True])},
        "Where",
    ),
    ([node("Add", "x h", "a"), node("Relu", "a", "y")], {"h": F([0.5])}, "Add"),
    ([node("Mul", "x h", "a"), node("Relu", "a", "y")], {"h": F([0.0])}, "Mul"),
]


@pytest.mark.parametrize(("nodes", "constants", "stays"), STAYS)
def test_what_does_something_stays(nodes: list[onnx.NodeProto], constants: dict[str, Any], stays: str) -> None:
    graph = small(nodes, constants)
    made = quickened(graph)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    assert np.array_equal(run(made, {"x": x}), run(graph, {"x": x}))
    assert stays in operators(made)


def test_a_strangers_graph_takes_no_longer_than_it_is_long() -> None:
    """Sums of sums of the same twice have exponentially many ways down."""
    nodes = [node("Abs", "x", "s0")]
    nodes += [node("Add", f"s{index} s{index}", f"s{index + 1}") for index in range(300)]
    nodes += [node("Sub", "x s300", "a"), node("Add", "x s300", "b"), node("Max", "a b", "y")]
    graph = small(nodes, {})
    assert len(onnx.load_from_string(quickened(graph)).graph.node) == len(nodes)


@pytest.mark.parametrize("operator", ["Min", "Where", "Squeeze", "Einsum", "Add", "Identity"])
def test_a_malformed_node_is_left_to_who_opens_the_graph(operator: str) -> None:
    for inputs in ([], ["x"], ["gone", "c"], ["c"] * 5):
        model = onnx.load_from_string(small([node("Relu", "x", "y")], {"c": F([1])}))
        model.graph.node.insert(0, helper.make_node(operator, inputs, ["z"]))
        model.graph.node[1].input[0] = "z"
        # Of itself, as no graph that can be opened is.
        model.graph.node.extend([node("Add", "loop c", "loop"), node("Where", "c loop x", "w")])
        message = messages()["Model"].FromString(model.SerializeToString())
        quicken(message)
        assert message.graph.node

"""Bounds of ONNX graphs hold what ONNX Runtime says, and prove no more than attacks leave."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.certify.interval import Box, IntervalError
from redoubt.certify.worst_case import certifier
from redoubt.core.types import PIXELS
from redoubt.models.export import add_network
from redoubt.models.onnx_graph import Graph
from redoubt.targets.contract import Opening
from redoubt.targets.onnx_bounds import RULES, bounds_of_graph
from redoubt.targets.onnx_last_layer import last_layer
from redoubt.targets.onnx_output import ML
from redoubt.targets.open import open_target
from tests.support import brightness
from tests.unit.targets.test_onnx_operators import CASES, LEARNED

BOUNDED = [case for case in CASES if case[0] in RULES and case[1].dtype == np.float32]
PROVEN = [case for case in LEARNED if f"{ML}.{case[0]}" in RULES]


def model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, None)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(ML, 3)], ir_version=9
    )


def check(made: onnx.ModelProto, x: np.ndarray, radius: float, seed: int) -> bool:
    """Whether it has bounds; no point between the ends leaves them."""
    rng = np.random.default_rng(seed)
    reach = (radius * rng.random(x.shape)).astype(np.float32)
    low, high = x - reach, x + reach
    try:
        box = bounds_of_graph(made, "y", "x")(Box(tf.constant(low), tf.constant(high)))
    except IntervalError:
        return False
    session = onnxruntime.InferenceSession(made.SerializeToString())
    for point in (low, high, np.where(rng.random(x.shape) < 0.5, low, high), x):
        found = session.run(["y"], {"x": point})[0]
        assert (found >= box.low.numpy()).all()
        assert (found <= box.high.numpy()).all()
    return True


@pytest.mark.parametrize("case", BOUNDED, ids=[f"{c[0]}{i}" for i, c in enumerate(BOUNDED)])
def test_an_operator(case: Any) -> None:
    name, x, constants, attributes = case
    held = {f"c{place}": value for place, value in enumerate(constants)}
    for radius in (0.0, 1e-3, 1.0):
        made = model([helper.make_node(name, ["x", *held], ["y"], **attributes)], held)
        assert check(made, x, radius, 0) or name in ("MatMul", "Cast", "ReduceMax")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e-4, 0.03, 0.5]))
def test_no_point_leaves_the_bounds_of_a_network(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    held = {
        "w": rng.normal(size=(4, 2, 3, 3)).astype(np.float32),
        "b": rng.normal(size=4).astype(np.float32),
        "same": rng.normal(size=(4, 4, 1, 1)).astype(np.float32),
        "d": rng.normal(size=(64, 3)).astype(np.float32),
        "c": 100 * rng.normal(size=3).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["0"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["0"], ["1"]),
        helper.make_node("Conv", ["1", "same"], ["2"]),
        helper.make_node("Add", ["1", "2"], ["3"]),
        helper.make_node("Flatten", ["3"], ["4"]),
        helper.make_node("Gemm", ["4", "d", "c"], ["y"]),
    ]
    assert check(model(nodes, held), rng.random((3, 2, 4, 4), np.float32), radius, seed)


ENDS = ["Gemm", "Gemm transposed", "MatMul", "MatMul and Add", "Add and MatMul", "LinearClassifier"]


def ended(end: str, rng: np.random.Generator) -> onnx.ModelProto:
    """A network of two layers whose last one is written in some way."""
    weights, bias = rng.normal(size=(8, 4)).astype(np.float32), 100 * rng.normal(size=4).astype(np.float32)
    held = {"a": rng.normal(size=(5, 8)).astype(np.float32), "w": weights, "b": bias}
    last = {
        "Gemm": [helper.make_node("Gemm", ["h", "w", "b"], ["z"], alpha=0.7, beta=0.3)],
        "Gemm transposed": [helper.make_node("Gemm", ["h", "t", "b"], ["z"], transB=1)],
        "MatMul": [helper.make_node("MatMul", ["h", "w"], ["z"])],
        "MatMul and Add": [helper.make_node("MatMul", ["h", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["z"])],
        "Add and MatMul": [helper.make_node("MatMul", ["h", "w"], ["m"]), helper.make_node("Add", ["b", "m"], ["z"])],
        "LinearClassifier": [
            helper.make_node(
                "LinearClassifier",
                ["h"],
                ["label", "z"],
                domain=ML,
                coefficients=weights.T.reshape(-1).tolist(),
                intercepts=bias.tolist(),
                classlabels_ints=[0, 1, 2, 3],
            )
        ],
    }[end]
    body = [helper.make_node("MatMul", ["x", "a"], ["p"]), helper.make_node("Relu", ["p"], ["h"])]
    same = helper.make_node("Identity", ["z"], ["y"])
    return model([*body, *last, same], held | {"t": weights.T.copy()})


@pytest.mark.parametrize("end", ENDS)
def test_differences_of_logits_are_bounded_tighter_and_hold_every_point(end: str) -> None:
    rng = np.random.default_rng(7)
    for radius in (0.0, 1e-3, 0.3):
        made = ended(end, rng)
        x, y = rng.random((6, 5), np.float32), np.arange(6) % 4
        box = Box(tf.constant(x - np.float32(radius)), tf.constant(x + np.float32(radius)))
        last = last_layer(made, "y")
        assert last is not None
        leads = last.leads(bounds_of_graph(made, last.features, "x")(box), tf.constant(y)).numpy()
        apart = bounds_of_graph(made, "y", "x")(box)
        looser = apart.high.numpy() - np.take_along_axis(apart.low.numpy(), y[:, None], axis=1)
        others = ~np.eye(4, dtype=bool)[y]
        if radius == 0.3:
            assert (leads < looser)[others].all()
        session = onnxruntime.InferenceSession(made.SerializeToString())
        corners = [np.where(rng.random(x.shape) < 0.5, box.low, box.high) for _ in range(50)]
        for point in (box.low.numpy(), box.high.numpy(), x, *corners):
            found = session.run(["y"], {"x": point})[0]
            assert ((found - np.take_along_axis(found, y[:, None], axis=1))[others] <= leads[others]).all()


def test_as_much_is_certified_as_of_the_same_keras_network(tmp_path: Any) -> None:
    batch, graph, network = brightness.examples(60), Graph(), brightness.model()
    output = add_network(graph, network, "x")
    path = tmp_path / "m.onnx"
    path.write_bytes(graph.build({"x": ("n", *batch.x.shape[1:])}, {"y": (output, ("n", 3))}))
    target = open_target(str(path), Opening(batch.take(np.arange(8)), ("0", "1", "2")))
    assert target.certifier is not None
    ours, theirs = target.certifier(PIXELS, Untargeted()), certifier(network, PIXELS, Untargeted())
    for eps in (0.03, 0.1, 0.14):
        assert 0 < ours(batch, eps).sum() == theirs(batch, eps).sum()


def test_a_shape_is_not_what_it_is_the_shape_of() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], start=0, end=1),
        helper.make_node("Concat", ["s", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["y"]),
    ]
    assert check(
        model(nodes, {"rest": np.array([-1], np.int64)}), np.random.default_rng(0).random((3, 2, 4), np.float32), 0.1, 0
    )


def test_what_is_certified_withstands_attacks(tmp_path: Any) -> None:
    batch, graph = brightness.examples(60), Graph()
    output = add_network(graph, brightness.model(), "x")
    path = tmp_path / "m.onnx"
    path.write_bytes(graph.build({"x": ("n", *batch.x.shape[1:])}, {"y": (output, ("n", 3))}))
    target = open_target(str(path), Opening(batch.take(np.arange(8)), ("0", "1", "2")))
    assert target.access == "gradients and bounds", target.notes
    assert target.certifier is not None
    problem = AttackProblem(target.outputs, Untargeted(), "linf", PIXELS)
    for eps in (0.002, 0.1):
        certified = target.certifier(PIXELS, Untargeted())(batch, eps)
        x_adv = PGD(steps=10)(problem, batch.x, batch.y, eps=eps, seed=0)
        robust = ~Untargeted().is_adversarial(target.predict(x_adv), batch.y)
        assert certified.any() or eps > 0.01
        assert not (certified & ~robust).any()

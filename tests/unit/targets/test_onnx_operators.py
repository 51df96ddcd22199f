"""Every operator that is translated says what ONNX Runtime says, and has a gradient where one can be expected."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

from redoubt.targets.onnx_gradients import KNOWN, translate
from redoubt.targets.onnx_integers import INTEGERS
from redoubt.targets.onnx_output import ML

R = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return R.normal(size=shape).astype(np.float32)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


X, IMAGE, POSITIVE = floats(3, 4), floats(3, 4, 6, 5), np.abs(floats(3, 4)) + 0.5
# Name, input, constants, attributes.
CASES: list[tuple[str, np.ndarray, Sequence[np.ndarray], dict[str, Any]]] = [
    *[(name, X, (), {}) for name in ("Abs", "Exp", "Erf", "Identity", "Neg", "Relu", "Selu", "Sigmoid", "Softplus")],
    *[(name, X, (), {}) for name in ("Tanh", "HardSwish", "Dropout", "Softmax", "LogSoftmax")],
    *[(name, POSITIVE, (), {}) for name in ("Log", "Reciprocal", "Sqrt")],
    *[(name, X, (POSITIVE[:1],), {}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")],
    ("Mean", X, (X + 1,), {}),
    ("Pow", POSITIVE, (np.array(2.5, np.float32),), {}),
    ("Softmax", IMAGE, (), {"axis": 1}),
    ("Elu", X, (), {"alpha": 0.7}),
    ("LeakyRelu", X, (), {"alpha": 0.2}),
    ("HardSigmoid", X, (), {"alpha": 0.3, "beta": 0.4}),
    ("PRelu", X, (np.full((4,), 0.3, np.float32),), {}),
    ("Gelu", X, (), {}),
    ("Gelu", X, (), {"approximate": "tanh"}),
    ("Clip", X, (np.array(-0.5, np.float32), np.array(0.5, np.float32)), {}),
    ("Cast", X, (), {"to": TensorProto.FLOAT}),
    ("Concat", X, (floats(3, 2),), {"axis": 1}),
    ("Expand", floats(3, 1, 4), (whole(1, 2, 1),), {}),
    ("Flatten", IMAGE, (), {}),
    ("Flatten", IMAGE, (), {"axis": 2}),
    ("Gather", X, (whole(0, -1),), {"axis": 1}),
    ("Pad", IMAGE, (whole(0, 0, 1, 2, 0, 0, 0, 1), np.array(0.5, np.float32)), {}),
    ("Pad", IMAGE, (whole(0, 0, 1, 2, 0, 0, 0, 1),), {"mode": "reflect"}),
    *[(name, IMAGE, (whole(2, 3),), {"keepdims": 0}) for name in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")],
    ("ReduceL2", X, (whole(1),), {}),
    ("Reshape", IMAGE, (whole(0, -1),), {}),
    ("Slice", IMAGE, (whole(1, 0), whole(5, 2**31), whole(2, 3), whole(2, 1)), {}),
    ("Split", X, (whole(1, 3),), {"axis": 1}),
    ("Squeeze", floats(3, 1, 4), (whole(1),), {}),
    ("Unsqueeze", X, (whole(1, 3),), {}),
    ("Transpose", IMAGE, (), {"perm": [0, 2, 3, 1]}),
    ("MatMul", X, (floats(4, 2),), {}),
    ("Gemm", X, (floats(2, 4), floats(2)), {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Conv", IMAGE, (floats(6, 4, 3, 3), floats(6)), {"pads": [1, 1, 1, 1], "strides": [2, 1]}),
    ("Conv", IMAGE, (floats(6, 4, 2, 2),), {"dilations": [2, 2]}),
    ("Conv", IMAGE, (floats(6, 4, 3, 2),), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", IMAGE, (floats(6, 4, 3, 2),), {"auto_pad": "SAME_LOWER"}),
    ("Conv", IMAGE, (floats(8, 2, 3, 3),), {"group": 2}),
    ("Conv", IMAGE, (floats(8, 1, 3, 3), floats(8)), {"group": 4}),
    ("Conv", floats(3, 4, 7), (floats(5, 4, 3),), {"pads": [1, 1]}),
    ("MaxPool", IMAGE, (), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("MaxPool", IMAGE, (), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", IMAGE, (), {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", IMAGE, (), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("AveragePool", IMAGE, (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("AveragePool", IMAGE, (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("GlobalAveragePool", IMAGE, (), {}),
    ("GlobalMaxPool", IMAGE, (), {}),
    ("BatchNormalization", IMAGE, (floats(4), floats(4), floats(4), np.abs(floats(4)) + 0.1), {"epsilon": 1e-3}),
    ("InstanceNormalization", IMAGE, (floats(4), floats(4)), {}),
    ("LayerNormalization", X, (floats(4), floats(4)), {}),
    *[(name, 3 * X, (), {}) for name in ("Ceil", "Floor", "Round", "Sign")],
]
SCALE, SCALES = np.array(0.02, np.float32), np.array([0.02, 0.03, 0.01, 0.05], np.float32)
# The scale, the zero point and the attributes of a quantization and its inverse.
QUANTIZED = [
    (SCALE, np.array(3, np.uint8), {}),
    (SCALE, np.array(-3, np.int8), {}),
    (SCALE, None, {}),
    (SCALES, np.array([0, 1, 2, 3], np.int8), {"axis": 1}),
    (SCALES, np.array([0, 1, 2, 3], np.int8), {"axis": -1}),
    (SCALES[:3], np.array([0, 1, 2], np.int8), {"axis": 0}),
]
# What they do depends on sides that are known, of which the number of examples is none.
BY_SHAPE = {"Conv", "Flatten", "MaxPool", "Reshape"}
CLASSIFIER = {"coefficients": floats(12).tolist(), "intercepts": [0.1, 0.2, 0.3], "classlabels_ints": [0, 1, 2]}
LEARNED: list[tuple[str, dict[str, Any], int]] = [
    ("Scaler", {"offset": [0.5] * 4, "scale": [2.0] * 4}, 0),
    ("Normalizer", {"norm": "L1"}, 0),
    ("Normalizer", {"norm": "L2"}, 0),
    ("LinearRegressor", {"coefficients": floats(8).tolist(), "intercepts": [0.1, 0.2], "targets": 2}, 0),
    *[("LinearClassifier", {**CLASSIFIER, "post_transform": post}, 1) for post in ("NONE", "SOFTMAX", "LOGISTIC")],
]


def compare(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], x: np.ndarray, output: str, *, eagerly: bool
) -> None:
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *x.shape[1:]])],
        [onnx.ValueInfoProto(name=output)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(ML, 3)], ir_version=9
    )
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run([output], {"x": x})[0]
    run = translate(model, output, "x")
    if not eagerly:
        run = tf.function(run, input_signature=[tf.TensorSpec([None, *x.shape[1:]], tf.float32)], autograph=False)
    found = run(tf.constant(x)).numpy()
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-4, atol=2e-5), np.abs(found - expected).max()


@pytest.mark.parametrize(
    ("name", "x", "constants", "attributes"), CASES, ids=[f"{c[0]}{i}" for i, c in enumerate(CASES)]
)
def test_an_operator_of_onnx(
    name: str, x: np.ndarray, constants: Sequence[np.ndarray], attributes: dict[str, Any]
) -> None:
    held = {f"c{place}": value for place, value in enumerate(constants)}
    outputs = ["y", "z"] if name == "Split" else ["y"]
    compare(
        [helper.make_node(name, ["x", *held], outputs, **attributes)],
        held,
        x,
        outputs[-1],
        eagerly=name not in BY_SHAPE,
    )


@pytest.mark.parametrize(("name", "attributes", "place"), LEARNED, ids=[f"{c[0]}{i}" for i, c in enumerate(LEARNED)])
def test_an_operator_for_learned_models(name: str, attributes: dict[str, Any], place: int) -> None:
    outputs = ["label", "y"][1 - place :]
    compare([helper.make_node(name, ["x"], outputs, domain=ML, **attributes)], {}, X, "y", eagerly=True)


def test_columns_of_a_transformer() -> None:
    nodes = [helper.make_node("ArrayFeatureExtractor", ["x", "columns"], ["y"], domain=ML)]
    compare(nodes, {"columns": whole(3, 0)}, X, "y", eagerly=False)


@pytest.mark.parametrize(("scale", "zero", "attributes"), QUANTIZED)
def test_quantized_and_back(scale: np.ndarray, zero: np.ndarray | None, attributes: dict[str, Any]) -> None:
    held = {"scale": scale} | ({} if zero is None else {"zero": zero})
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *held], ["q"], **attributes),
        helper.make_node("DequantizeLinear", ["q", *held], ["y"], **attributes),
    ]
    # Some beyond what the type holds, which saturates.
    compare(nodes, held, 3 * X, "y", eagerly=True)


@pytest.mark.parametrize("name", ["Round", "Floor", "Ceil", "Sign"])
def test_what_rounds_passes_the_gradient_on(name: str) -> None:
    graph = helper.make_graph(
        [helper.make_node(name, ["x"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [onnx.ValueInfoProto(name="y")],
    )
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = translate(helper.make_model(graph), "y", "x")(x)
    assert np.array_equal(tape.gradient(y, x), np.ones_like(X))


def test_shapes_computed_inside_the_graph() -> None:
    """As `view(x.size(0), -1)` is exported, and comparisons with a constant made on the way."""
    nodes = [
        helper.make_node("Shape", ["x"], ["sides"]),
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Gather", ["sides", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "first"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["flat"]),
        helper.make_node("ConstantOfShape", ["one"], ["nothing"]),
        helper.make_node("Greater", ["flat", "nothing"], ["above"]),
        helper.make_node("Less", ["flat", "nothing"], ["below"]),
        helper.make_node("Equal", ["above", "below"], ["neither"]),
        helper.make_node("Where", ["neither", "nothing", "flat"], ["y"]),
    ]
    compare(nodes, {"first": whole(0), "rest": whole(-1), "one": whole(1)}, IMAGE, "y", eagerly=False)


def test_every_operator_is_among_the_cases() -> None:
    tried = {case[0] for case in CASES} | {f"{ML}.{case[0]}" for case in LEARNED}
    inside = {"Constant", "ConstantOfShape", "Shape", "Greater", "Less", "Equal", "Where"}
    inside |= {"QuantizeLinear", "DequantizeLinear", f"{ML}.ArrayFeatureExtractor"}
    assert set(KNOWN) == tried | inside | set(INTEGERS)

"""Operators on whole numbers round as ONNX Runtime rounds, bit for bit, and pass the gradient on."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from redoubt.core.types import Batch
from redoubt.targets.contract import Opening, Target
from redoubt.targets.onnx_gradients import translate
from redoubt.targets.onnx_integers import CONTRIBUTED, INTEGERS
from redoubt.targets.open import open_target

R = np.random.default_rng(0)
X, IMAGE = R.normal(size=(3, 4)).astype(np.float32), R.normal(size=(3, 4, 6, 5)).astype(np.float32)
F = np.float32
Held = dict[str, Any]
IN: Held = {"xs": F(0.02), "xz": np.uint8(120)}
OUT: Held = {"ys": F(0.03), "yz": np.uint8(101)}
OF_X, TO_Y = ["i", "xs", "xz"], ["ys", "yz"]


def codes(*shape: int) -> Any:
    return R.integers(-127, 128, shape).astype(np.int8)


W: Held = {"w": codes(4, 5), "ws": F(0.01), "wz": np.int8(0)}
COLUMNS: Held = {"w": codes(4, 5), "ws": R.uniform(0.005, 0.02, 5).astype(F), "wz": codes(5)}
ROWS: Held = {"w": COLUMNS["w"].T.copy(), "ws": COLUMNS["ws"], "wz": COLUMNS["wz"]}
KERNEL: Held = {"w": codes(6, 4, 3, 3), "ws": F(0.01), "wz": np.int8(0)}
FILTERS: Held = {"w": KERNEL["w"], "ws": R.uniform(0.005, 0.02, 6).astype(F), "wz": np.zeros(6, np.int8)}
BIAS: Held = {"b": R.integers(-5000, 5000, 6).astype(np.int32)}
BIASES: Held = {"b": R.integers(-5000, 5000, 5).astype(np.int32)}
WEIGHTS = ["w", "ws", "wz"]
# Name, input, inputs of the operator behind `i`, what the graph holds, attributes, whether its output is quantized.
CASES: list[tuple[str, Any, list[str], Held, Held, bool]] = [
    ("QLinearConv", IMAGE, [*OF_X, *WEIGHTS, *TO_Y], {**KERNEL, **OUT}, {"pads": [1, 1, 1, 1]}, True),
    ("QLinearConv", IMAGE, [*OF_X, *WEIGHTS, *TO_Y, "b"], {**FILTERS, **OUT, **BIAS}, {"strides": [2, 1]}, True),
    ("QLinearMatMul", X, [*OF_X, *WEIGHTS, *TO_Y], {**W, **OUT}, {}, True),
    ("QLinearMatMul", X, [*OF_X, *WEIGHTS, *TO_Y], {**COLUMNS, **OUT}, {}, True),
    ("QGemm", X, [*OF_X, *WEIGHTS, "b", *TO_Y], {**W, **OUT, **BIASES}, {}, True),
    ("QGemm", X, [*OF_X, *WEIGHTS, "", *TO_Y], {**ROWS, **OUT}, {"transB": 1, "alpha": 0.5}, True),
    ("QGemm", X, [*OF_X, *WEIGHTS, "b"], {**W, **BIASES}, {}, False),
    ("QLinearAdd", X, [*OF_X, *OF_X, *TO_Y], OUT, {}, True),
    (
        "QLinearAdd",
        X,
        [*OF_X, "w", "ws", "wz", *TO_Y],
        {"w": codes(4).astype(np.uint8), "ws": F(0.01), "wz": np.uint8(7), **OUT},
        {},
        True,
    ),
    ("QLinearMul", X, [*OF_X, *OF_X, *TO_Y], OUT, {}, True),
    ("QLinearSigmoid", X, [*OF_X, *TO_Y], {"ys": F(1 / 256), "yz": np.uint8(0)}, {}, True),
    ("QLinearLeakyRelu", X, [*OF_X, *TO_Y], OUT, {"alpha": 0.1}, True),
    ("QLinearSoftmax", X, [*OF_X, *TO_Y], {"ys": F(1 / 256), "yz": np.uint8(0)}, {"axis": 1, "opset": 20}, True),
    ("QLinearSoftmax", X, [*OF_X, *TO_Y], {"ys": F(1 / 256), "yz": np.uint8(0)}, {"axis": 1, "opset": 11}, True),
    (
        "QLinearAveragePool",
        IMAGE,
        [*OF_X, *TO_Y],
        {**OUT, "ys": F(0.0271)},
        {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]},
        True,
    ),
    ("QLinearGlobalAveragePool", IMAGE, [*OF_X, *TO_Y], OUT, {"channels_last": 0}, True),
    ("QLinearConcat", X, [*TO_Y, *OF_X, *OF_X], OUT, {"axis": 1}, True),
    ("QLinearWhere", X, ["c", *OF_X, *OF_X, *TO_Y], {"c": np.array([True, False, True, True]), **OUT}, {}, True),
    ("MatMulInteger", X, ["i", "w", "xz", "wz"], W, {}, False),
    ("MatMulInteger", X, ["i", "w", "xz", "wz"], COLUMNS, {}, False),
    ("ConvInteger", IMAGE, ["i", "w", "xz", "wz"], KERNEL, {"pads": [1, 1, 1, 1]}, False),
]


def built(nodes: list[onnx.NodeProto], held: Held, shape: tuple[int, ...]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(CONTRIBUTED, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def answers(model: onnx.ModelProto, x: Any) -> Any:
    """Of ONNX Runtime, asked one example at a time."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(["y"], {"x": row[None]})[0] for row in x])


def values_and_gradients(model: onnx.ModelProto, x: Any) -> tuple[Any, Any]:
    signature = [tf.TensorSpec([None, *x.shape[1:]], tf.float32)]
    graph = tf.function(translate(model, "y", "x"), input_signature=signature, autograph=False)
    with tf.GradientTape() as tape:
        given = tf.constant(x)
        tape.watch(given)
        found = graph(given)
        total = tf.reduce_sum(found * tf.range(1.0, found.shape[-1] + 1.0))
    return found.numpy(), tape.gradient(total, given).numpy()


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}{place}" for place, case in enumerate(CASES)])
def test_an_operator_on_whole_numbers(case: tuple[str, Any, list[str], Held, Held, bool]) -> None:
    name, x, inputs, held, attributes, quantized = case
    domain = CONTRIBUTED if f"{CONTRIBUTED}.{name}" in INTEGERS else ""
    last = ("DequantizeLinear", ["o", *TO_Y], {}) if quantized else ("Cast", ["o"], {"to": TensorProto.FLOAT})
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["i"]),
        helper.make_node(name, inputs, ["o"], domain=domain, **attributes),
        helper.make_node(last[0], last[1], ["y"], **last[2]),
    ]
    model = built(nodes, {**IN, **held}, x.shape[1:])
    found, gradient = values_and_gradients(model, x)
    expected = answers(model, x)
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)
    assert np.abs(gradient).max() > 0


def test_every_operator_is_among_the_cases() -> None:
    assert {name.removeprefix(f"{CONTRIBUTED}.") for name in INTEGERS} == {
        *(case[0] for case in CASES),
        "DynamicQuantizeLinear",
    }


@pytest.mark.parametrize("x", [IMAGE, np.abs(IMAGE), -np.abs(IMAGE), 0 * IMAGE], ids=["both", "above", "below", "zero"])
def test_scales_of_the_model_s_own(x: Any) -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["i", "s", "z"]),
        helper.make_node("ConvInteger", ["i", "w", "z"], ["o"]),
        helper.make_node("Cast", ["o"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "s"], ["y"]),
    ]
    model = built(nodes, {"w": KERNEL["w"]}, x.shape[1:])
    found, gradient = values_and_gradients(model, x)
    assert np.allclose(found, answers(model, x), rtol=1e-5, atol=1e-5)
    # Of the same convolution without any rounding; where a value is the least or the greatest it may be cut off.
    signature = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(signature)
        plain = translate(
            built([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": KERNEL["w"].astype(F)}, x.shape[1:]), "y", "x"
        )(signature)
        total = tf.reduce_sum(plain * tf.range(1.0, plain.shape[-1] + 1.0))
    same = np.isclose(gradient, tape.gradient(total, signature).numpy(), rtol=1e-4, atol=1e-3)
    assert same.mean() > 0.95


def layers(gemm: bool, softmax: bool) -> tuple[list[onnx.NodeProto], Held]:
    """A network with every kind of layer that ONNX Runtime's quantizer has a whole-number form for."""
    rng, node, last = np.random.default_rng(3), helper.make_node, "z" if softmax else "y"

    def held(*shape: int) -> Any:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 10)).astype(F)

    values = {"w1": held(8, 1, 3, 3), "b1": held(8), "w2": held(8, 8, 3, 3), "b2": held(8)}
    values |= {"w3": held(136, 16), "b3": held(16), "w4": held(16, 3), "b4": held(3)}
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1] * 4),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1] * 4),
        node("LeakyRelu", ["c2"], ["l2"], alpha=0.1),
        node("Add", ["r1", "l2"], ["a"]),
        node("MaxPool", ["a"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", ["m"], ["av"], kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
        node("Sigmoid", ["m"], ["s"]),
        node("Mul", ["av", "s"], ["mu"]),
        node("GlobalAveragePool", ["m"], ["g"]),
        node("Flatten", ["mu"], ["f1"]),
        node("Flatten", ["g"], ["f2"]),
        node("Concat", ["f1", "f2"], ["fl"], axis=1),
    ]
    if gemm:
        nodes += [node("Gemm", ["fl", "w3", "b3"], ["d"]), node("Relu", ["d"], ["r"])]
        nodes += [node("Gemm", ["r", "w4", "b4"], [last])]
    else:
        nodes += [node("MatMul", ["fl", "w3"], ["d0"]), node("Add", ["d0", "b3"], ["d"]), node("Relu", ["d"], ["r"])]
        nodes += [node("MatMul", ["r", "w4"], ["z0"]), node("Add", ["z0", "b4"], [last])]
    nodes += [node("Softmax", ["z"], ["y"], axis=1)] if softmax else []
    for place, each in enumerate(nodes):
        each.name = f"n{place}"
    return nodes, values


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, x: Any) -> None:
        self.left = iter([{"x": x}])

    def get_next(self) -> Any:
        return next(self.left, None)


SIGNED = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8, "per_channel": True}


def quantized(folder: Path, form: str, x: Any, *, gemm: bool = True, softmax: bool = False, **options: Any) -> Target:
    plain, path = folder / "plain.onnx", folder / "quantized.onnx"
    onnx.save(built(*layers(gemm, softmax), x.shape[1:]), plain)
    if form == "dynamic":
        quantize_dynamic(plain, path, **options)
    else:
        quantize_static(plain, path, Reader(x), quant_format=QuantFormat[form], **options)
    batch = Batch(x, np.arange(len(x)) % 3)
    return open_target(str(path), Opening(batch, ("0", "1", "2")))


@pytest.mark.parametrize("options", [{}, SIGNED], ids=["unsigned", "signed, by channel"])
@pytest.mark.parametrize("gemm", [True, False])
def test_whole_models_as_the_quantizer_of_onnx_runtime_writes_them(
    gemm: bool, options: dict[str, Any], tmp_path: Path
) -> None:
    x = R.random((32, 1, 8, 8)).astype(F)
    target = quantized(tmp_path, "QOperator", x, gemm=gemm, **options)
    assert target.access == "gradients", target.notes
    assert "go straight through them (BPDA)" in " ".join(target.notes)
    found = tf.function(target.outputs)(tf.constant(x), tf.zeros(2, tf.int32)).numpy()
    assert np.array_equal(found, target.predict(x))


@pytest.mark.parametrize("options", [{}, {"per_channel": True, "weight_type": QuantType.QInt8}])
def test_quantized_as_it_runs(options: dict[str, Any], tmp_path: Path) -> None:
    x = R.random((32, 1, 8, 8)).astype(F)
    x[0] *= 40
    target = quantized(tmp_path, "dynamic", x, **options)
    assert target.access == "gradients", target.notes
    assert "it is asked one at a time" in " ".join(target.notes)
    alone = np.concatenate([target.predict(row[None]) for row in x])
    assert np.array_equal(alone, target.predict(x)), "an answer does not depend on the others"
    found = tf.function(target.outputs)(tf.constant(x), tf.zeros(2, tf.int32)).numpy()
    assert np.allclose(found, alone, rtol=1e-4, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("form", ["QOperator", "QDQ"])
def test_a_last_softmax_that_is_rounded_is_unwrapped(form: str, tmp_path: Path) -> None:
    x = R.random((32, 1, 8, 8)).astype(F)
    target = quantized(tmp_path, form, x, softmax=True)
    assert "its last softmax was unwrapped, and so was the rounding of its probabilities" in target.notes[0]
    assert target.access == "gradients", target.notes
    told = onnxruntime.InferenceSession(str(tmp_path / "quantized.onnx")).run(["y"], {"x": x})[0]
    expected = tf.nn.softmax(target.predict(x)).numpy()
    assert np.abs(told - expected).max() < 1 / 200

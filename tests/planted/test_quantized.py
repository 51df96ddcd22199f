"""Quantized models: rounding inside leaves no gradient, and the audit still finds what there is to be found."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

from redoubt.core.types import Batch
from redoubt.targets.contract import Opening
from redoubt.targets.open import open_target
from tests.support.brightness import CENTRES, SHARP, SIDE, examples, nearest
from tests.support.planted import LABELS, audited, opened

L, K = keras.layers, keras.ops
EPS = 0.2


def rounded_inputs(levels: int) -> keras.Model:
    x = inputs = L.Input((SIDE, SIDE, 1))
    for layer in (lambda x: K.round(x * levels) / levels, *nearest()):
        x = layer(x)
    return keras.Model(inputs, x)


def of_brightness(quantize: Any) -> keras.Model:
    """The class whose centre is nearest to the brightness, once that is quantized."""
    inputs, dense = L.Input((SIDE, SIDE, 1)), L.Dense(3)
    outputs = dense(quantize(K.mean(L.Flatten()(inputs), axis=1, keepdims=True)))
    dense.set_weights([2 * SHARP * CENTRES[None], -SHARP * CENTRES**2])
    return keras.Model(inputs, outputs)


def by_signs(levels: int) -> Any:
    """As networks of one bit do: a sum of signs, whose gradient is zero and not missing."""
    return lambda m: 0.5 + sum(K.sign(m - (level + 0.5) / levels) for level in range(levels)) / (2 * levels)


def exact(network: keras.Model, batch: Batch) -> float:
    """Robust accuracy: brightness alone decides, so that nothing is worse than some shift of all pixels."""
    right = np.ones(len(batch), np.bool_)
    for shift in np.linspace(-EPS, EPS, 161, dtype=np.float32):
        right &= network(np.clip(batch.x + shift, 0, 1)).numpy().argmax(axis=1) == batch.y
    return round(float(right.mean()), 6)


@pytest.mark.parametrize(
    "network",
    [
        rounded_inputs(4),
        of_brightness(lambda m: K.round(5 * m) / 5),
        of_brightness(lambda m: K.floor(16 * m + 0.5) / 16),
        of_brightness(by_signs(5)),
    ],
    ids=["rounded inputs", "rounded activations", "floored activations", "signs"],
)
def test_rounding_hides_nothing(network: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = examples(48)
    target = opened(network, batch)
    found = audited(target, batch, monkeypatch, eps=EPS)
    assert target.access == "gradients", "no bound goes through rounding"
    assert "go straight through them (BPDA)" in " ".join(found.notes)
    assert found.worst.share == exact(network, batch)
    assert found.clean.share == 1.0
    assert np.array_equal(target.predict(batch.x), network(batch.x)), "judged is the model as it rounds"


def of_brightness_in_onnx(nodes: list[onnx.NodeProto], held: dict[str, Any]) -> bytes:
    """The class whose centre is nearest to the brightness, once these nodes have made `q` of `m`."""
    held = held | {"axes": np.array([1, 2, 3]), "w": 2 * SHARP * CENTRES[None], "b": -SHARP * CENTRES**2}
    mean = helper.make_node("ReduceMean", ["x", "axes"], ["m3"])
    flat, out = helper.make_node("Flatten", ["m3"], ["m"]), helper.make_node("Gemm", ["q", "w", "b"], ["y"])
    values = [
        numpy_helper.from_array(np.asarray(value, None if name in ("axes", "zero") else np.float32), name)
        for name, value in held.items()
    ]
    graph = helper.make_graph(
        [mean, flat, *nodes, out],
        "planted",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        values,
    )
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    ).SerializeToString()
    return made


QUANTIZED = [
    helper.make_node("QuantizeLinear", ["m", "scale", "zero"], ["i"]),
    helper.make_node("DequantizeLinear", ["i", "scale", "zero"], ["q"]),
]
ROUNDED = [
    helper.make_node("Mul", ["m", "levels"], ["s"]),
    helper.make_node("Round", ["s"], ["r"]),
    helper.make_node("Div", ["r", "levels"], ["q"]),
]


@pytest.mark.parametrize(
    ("nodes", "held"),
    [(QUANTIZED, {"scale": 0.2, "zero": np.int8(-2)}), (ROUNDED, {"levels": 5.0})],
    ids=["int8", "rounded"],
)
def test_quantized_in_onnx(
    nodes: list[onnx.NodeProto], held: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = examples(48)
    (tmp_path / "model.onnx").write_bytes(of_brightness_in_onnx(nodes, held))
    target = open_target(str(tmp_path / "model.onnx"), Opening(batch.take(np.arange(8)), LABELS))
    assert target.access == "gradients", "no bound goes through rounding"
    found = audited(target, batch, monkeypatch, eps=EPS)
    assert "go straight through them (BPDA)" in " ".join(found.notes)
    assert found.clean.share == 1.0
    assert found.worst.share == exact(of_brightness(lambda m: K.round(5 * m) / 5), batch)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, x: Any) -> None:
        self.left = iter([{"x": x}])

    def get_next(self) -> Any:
        return next(self.left, None)


def far_from_the_edge(batch: Batch) -> tuple[Batch, float]:
    """Examples that a code more or less does not decide, and which share of them no shift of all pixels fools."""
    network, step = keras.Sequential([L.Input((SIDE, SIDE, 1)), *nearest()]), 0.01
    robust = [
        np.all(
            [
                network(np.clip(batch.x + shift, 0, 1)).numpy().argmax(axis=1) == batch.y
                for shift in (-reach, 0.0, reach)
            ],
            axis=0,
        )
        for reach in (EPS - step, EPS + step)
    ]
    sure = np.flatnonzero(robust[0] == robust[1])
    return batch.take(sure), round(float(robust[0][sure].mean()), 6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["whole numbers alone", "as it runs"])
def test_quantized_by_onnx_runtime(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, robust = far_from_the_edge(examples(96))
    kernel, bias = (each.numpy() for each in nearest()[1].weights)
    flat, out = helper.make_node("Flatten", ["x"], ["f"], "a"), helper.make_node("Gemm", ["f", "w", "b"], ["y"], "b")
    graph = helper.make_graph(
        [flat, out],
        "planted",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(kernel, "w"), numpy_helper.from_array(bias, "b")],
    )
    plain, path = tmp_path / "plain.onnx", tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), plain)
    if form == "as it runs":
        quantize_dynamic(plain, path)
    else:
        quantize_static(plain, path, Reader(batch.x), quant_format=QuantFormat.QOperator)
    target = open_target(str(path), Opening(batch.take(np.arange(8)), LABELS))
    assert target.access == "gradients", target.notes
    found = audited(target, batch, monkeypatch, eps=EPS)
    assert "go straight through them (BPDA)" in " ".join(found.notes)
    assert found.clean.share == 1.0
    assert robust < 0.9
    assert found.worst.share == robust
    by_gradients = {name: count for name, count in found.headline.broken if name not in ("noise", "square")}
    assert sum(by_gradients.values()) >= (1 - robust) * len(batch) / 2, "gradients find it, not queries alone"


def test_a_gradient_that_leads_away_beside_the_rounding_is_stamped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As small as it is, it is what gradient attacks follow; it comes from the model's own maker."""

    def misled(x: Any) -> Any:
        return K.round(16 * x) / 16 - 1e-4 * x

    x = inputs = L.Input((SIDE, SIDE, 1))
    for layer in (misled, *nearest()):
        x = layer(x)
    network, batch = keras.Model(inputs, x), examples(48)
    found = audited(opened(network, batch), batch, monkeypatch, eps=EPS)
    assert found.verdict.startswith("NOT TRUSTED")
    assert "white box is no weaker than square" in {check.name for check in found.failed}


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_int8_as_keras_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = keras.Sequential([L.Input((SIDE, SIDE, 1)), *nearest()]), examples(48)
    network.quantize("int8")
    target = opened(network, batch)
    found = audited(target, batch, monkeypatch, eps=EPS)
    assert "int8 weights" in found.notes[0]
    assert target.access == "gradients"
    assert found.worst.share == exact(network, batch)

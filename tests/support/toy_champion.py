"""A champion's folder whose graph doubles its input and adds the noise it is given; made without TensorFlow."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from redoubt.core.store import write_json


def write_champion(folder: Path, mark: str, passed: bool = True) -> None:
    """Write card, schema and graph.

    Args:
        folder: models/TASK/champion; the task is digits, the model natural.
        mark: taken for the digest.
        passed: what the card says of the gates.
    """
    card = {"task": "digits", "kind": "image", "model": "natural", "digest": mark, "passed": passed, "numbers": {}}
    write_json(folder / "card.json", card)
    write_json(folder / "schema.json", {"task": "digits"})
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "two"], ["doubled"]),
            helper.make_node("Add", ["doubled", "noise"], ["plain"]),
            helper.make_node("Gather", ["plain", "index"], ["picked"], axis=1),
        ],
        "toy",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("index", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("plain", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("picked", TensorProto.FLOAT, ["n", 1]),
        ],
        [helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "model.onnx")

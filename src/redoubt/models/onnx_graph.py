"""Building ONNX graphs whose bytes depend on their content alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9


class Graph:
    """Collects ONNX nodes and constants under names that depend on their order alone."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        """Add a constant, or find the equal one that stands already, and return its name."""
        array = np.ascontiguousarray(value).reshape(np.shape(value))
        content = (str(array.dtype), array.shape, array.tobytes())
        if content not in self._names:
            self._names[content] = f"c{len(self._constants)}"
            self._constants.append(numpy_helper.from_array(array, self._names[content]))
        return self._names[content]

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        return self.nodes(operator, inputs, 1, **attributes)[0]

    def nodes(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs and return their names."""
        names = [f"n{len(self._nodes)}_{index}" for index in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def alias(self, name: str, inner: str) -> str:
        """Give a value a public name."""
        self._nodes.append(helper.make_node("Identity", [inner], [name]))
        return name

    def build(self, inputs: dict[str, tuple[Any, ...]], outputs: dict[str, tuple[str, tuple[Any, ...]]]) -> bytes:
        """Close the graph.

        Args:
            inputs: shape per input name; int64 if the name starts with `index`, else float32.
            outputs: per public name the inner name and the shape.
        """
        for public, (inner, _) in outputs.items():
            self.alias(public, inner)
        types = {name: TensorProto.INT64 if name.startswith("index") else TensorProto.FLOAT for name in inputs}
        graph = helper.make_graph(
            self._nodes,
            "redoubt",
            [helper.make_tensor_value_info(name, types[name], shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (_, shape) in outputs.items()],
            self._constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="redoubt"
        )
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)

"""An ONNX graph whose nodes are gone through in order and may be given others in their place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.model.onnx_messages import messages

# onnx.proto's numbers of the types of tensors and attributes that are read or made here.
_TYPES: dict[int, type[Any]] = {1: np.float32, 7: np.int64, 9: np.bool_}
_INT, _INTS = 2, 7


class EditedGraph:
    """The nodes so far, as they were or in place of those that were.

    Attributes:
        public: names of the graph's outputs, which must go on being what they are.
    """

    def __init__(self, graph: Any) -> None:
        """Begin with no node.

        Args:
            graph: a message; changed by `close` alone.
        """
        self._graph = graph
        self._constants = {each.name: each for each in graph.initializer}
        self._made: dict[str, Any] = {}
        self._nodes: list[Any] = []
        self._instead: dict[str, str] = {}
        self._taken = {*self._constants, *(name for node in graph.node for name in node.output)}
        self.public = frozenset(each.name for each in graph.output)

    def keep(self, node: Any) -> None:
        """Add a node of the graph; what it reads is what was put in place of its inputs."""
        node.input[:] = [self._instead.get(name, name) for name in node.input]
        self._add(node)

    def replace(self, name: str, other: str) -> None:
        """Have all nodes that follow read another value instead of this one."""
        self._instead[name] = other

    def node(self, operator: str, *inputs: str, **attributes: int | list[int]) -> str:
        """Add a new node of one output, whose name is returned."""
        node = messages()["Node"](op_type=operator, input=inputs, output=[self._name()])
        for name, value in attributes.items():
            if isinstance(value, int):
                node.attribute.add(name=name, i=value, type=_INT)
            else:
                node.attribute.add(name=name, ints=value, type=_INTS)
        self._add(node)
        return str(node.output[0])

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant, float32, int64 or bool, whose name is returned."""
        kind = next(number for number, each in _TYPES.items() if value.dtype == each)
        name = self._name()
        self._constants[name] = messages()["Tensor"](
            name=name, dims=value.shape, data_type=kind, raw_data=value.tobytes()
        )
        return name

    def value(self, name: str) -> NDArray[Any] | None:
        """A constant's value; None of what is no constant, or of none that can be read here."""
        tensor = self._constants.get(name)
        if tensor is None or tensor.data_type not in _TYPES:
            return None
        try:
            return np.frombuffer(tensor.raw_data, _TYPES[tensor.data_type]).reshape(tuple(tensor.dims))
        except ValueError:
            return None

    def declared(self, name: str) -> list[int]:
        """The shape of one of the graph's inputs, 0 where it is open; of what is none, no axis."""
        found = [each.type.tensor_type.shape.dim for each in self._graph.input if each.name == name]
        return [each.dim_value for each in found[0]] if found else []

    def maker(self, name: str, operator: str | None = None, inputs: int | None = None) -> Any | None:
        """The node whose first output has this name; None if there is none of this operator and number of inputs."""
        node = self._made.get(name)
        fits = node is not None and operator in (None, node.op_type) and inputs in (None, len(node.input))
        return node if fits else None

    def close(self) -> None:
        """Make the graph hold the nodes that its outputs need, and their constants."""
        needed, used = set(self.public), []
        for node in reversed(self._nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                used.append(node)
        constants = [tensor for name, tensor in self._constants.items() if name in needed]
        # Some are the graph's own, and would be gone before they are copied.
        nodes = [type(node).FromString(node.SerializeToString()) for node in reversed(used)]
        tensors = [type(tensor).FromString(tensor.SerializeToString()) for tensor in constants]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(nodes)
        self._graph.initializer.extend(tensors)

    def _add(self, node: Any) -> None:
        self._nodes.append(node)
        if node.output:
            self._made[node.output[0]] = node

    def _name(self) -> str:
        name = f"edited_{len(self._taken)}"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def attributes(node: Any) -> Mapping[str, Any]:
    """A node's attributes of one integer, several integers or a text, by name."""
    return {each.name: {_INT: each.i, _INTS: [*each.ints]}.get(each.type, each.s) for each in node.attribute}

"""What can be proven of the order of a graph's values: that one is nowhere above another, whatever the inputs are."""

import numpy as np

from redoubt.bundle.model.onnx_edit import EditedGraph, attributes

# Nodes that one proof may go through; a stranger's graph may have any number in a row.
DEEPEST = 40
# Of these operators each output rises with the first input, whatever the other inputs and the attributes are.
RISING = {"Relu", "Clip", "Transpose", "Flatten", "Reshape", "MaxPool", "AveragePool", "Slice", "Unsqueeze", "Squeeze"}
# Of these without negative inputs no output is negative; the second inputs of the last one are no numbers of it.
SUMS, MOVES = {"Add", "Mul", "MatMul", "Conv"}, {"Transpose", "Flatten", "Reshape"}


class Order:
    """Proofs about one graph."""

    def __init__(self, graph: EditedGraph) -> None:
        """Begin with none."""
        self._graph = graph
        self._positive: dict[str, bool] = {}
        self._ordered: dict[tuple[str, str], bool] = {}

    def holds(self, low: str, high: str, deep: int = DEEPEST) -> bool:
        """Whether each number of a value is proven to be at most the one at its place in another of the same shape.

        Rounding changes no order, and NaN has none: where one of them is NaN this says nothing.
        """
        if (low, high) not in self._ordered:
            self._ordered[low, high] = low == high or (deep > 0 and self._follows(low, high, deep - 1))
        return self._ordered[low, high]

    def _follows(self, low: str, high: str, deep: int) -> bool:
        one, other = self._graph.maker(low), self._graph.maker(high)
        if one is None or other is None or not one.input or not other.input:
            return False
        first, *more = one.input
        kinds = one.op_type, other.op_type
        if kinds == ("Min", "Max"):
            return len(more) == 1 and sorted(one.input) == sorted(other.input)
        if kinds == ("Sub", "Add"):
            return len(more) == 1 and [*one.input] == [*other.input] and self.is_positive(more[0], deep)
        return (
            kinds[0] == kinds[1]
            and more == [*other.input[1:]]
            and attributes(one) == attributes(other)
            and self._rises(one.op_type, more)
            and self.holds(first, other.input[0], deep)
        )

    def _rises(self, operator: str, others: list[str]) -> bool:
        if operator in RISING:
            return True
        value = self._graph.value(others[0]) if len(others) == 1 else None
        if value is None or not np.isfinite(value).all():
            return False
        rises = {"Add": True, "Sub": True, "Mul": (value >= 0).all(), "Div": (value > 0).all()}
        return bool(rises.get(operator, False))

    def is_positive(self, name: str, deep: int = DEEPEST) -> bool:
        """Whether none of a value's numbers is proven to be negative."""
        if name not in self._positive:
            self._positive[name] = deep > 0 and self._is_sum(name, deep - 1)
        return self._positive[name]

    def _is_sum(self, name: str, deep: int) -> bool:
        value, node = self._graph.value(name), self._graph.maker(name)
        if value is not None:
            return bool((value >= 0).all())
        if node is None or not node.input:
            return False
        if node.op_type == "Sub":
            return len(node.input) == 2 and self.holds(node.input[1], node.input[0], deep)
        if node.op_type in SUMS:
            return all(self.is_positive(each, deep) for each in node.input)
        return node.op_type in {"Abs", "Relu"} or (node.op_type in MOVES and self.is_positive(node.input[0], deep))

"""Which of a graph's values are made row by row of some others, so that rows left out there are left out here."""

import math
from collections.abc import Mapping
from typing import Any

from redoubt.bundle.model.onnx_edit import EditedGraph, attributes

# Of these operators each output's element is made of the elements at its place.
ELEMENTWISE = {"Abs", "Add", "Clip", "Div", "Max", "Min", "Mul", "Relu", "Sub"}
WINDOWED = {"AveragePool", "Conv", "MaxPool"}

# Shape of one row; -1 for a side that is not followed.
Row = tuple[int, ...]
Said = Mapping[str, Any]


class Rowwise:
    """The values found so far, with the shapes of their rows."""

    def __init__(self, graph: EditedGraph, begin: dict[str, Row]) -> None:
        """Begin with some values.

        Args:
            graph: whose values these are.
            begin: shapes of the rows of each.
        """
        self._graph, self._rows = graph, dict(begin)
        self._fixed: set[str] = set()

    def __getitem__(self, name: str) -> Row | None:
        """The shape of a value's rows; None of what is not made row by row."""
        return self._rows.get(name)

    def follow(self, node: Any) -> bool:
        """Take the next node in.

        Returns:
            Whether what it makes of such values, if it reads any, is one itself.
        """
        if not any(name in self._rows for name in node.input):
            if all(self._is_fixed(name) for name in node.input):
                self._fixed.update(node.output)
            return True
        first, *others = node.input
        if len(node.output) != 1 or not all(name in self._rows or self._is_fixed(name) for name in node.input):
            return False
        made = self._made(node, first, others)
        if made is not None:
            self._rows[node.output[0]] = made
        return made is not None

    def _is_fixed(self, name: str) -> bool:
        return not name or name in self._fixed or self._graph.value(name) is not None

    def _made(self, node: Any, first: str, others: list[str]) -> Row | None:
        if node.op_type in ELEMENTWISE:
            return self._elementwise([first, *others])
        if node.op_type == "Concat":
            rows = [self._rows.get(name) or () for name in node.input]
            aside = attributes(node).get("axis") == 1 and {*map(len, rows)} == {1}
            return (sum(row[0] for row in rows),) if aside else None
        row = self._rows.get(first)
        if row is None or any(name in self._rows for name in others):
            return None
        if node.op_type in WINDOWED:
            return (-1,) * len(row)
        maker = {"Flatten": _flat, "MatMul": self._product, "ReduceMin": self._least, "Reshape": self._shaped}
        maker["Transpose"] = _turned
        return maker[node.op_type](row, others, attributes(node)) if node.op_type in maker else None

    def _elementwise(self, names: list[str]) -> Row | None:
        shapes = [self._rows[name] for name in names if name in self._rows]
        row = shapes[0]
        if any(len(shape) != len(row) for shape in shapes):
            return None
        for name in names:
            value = None if name in self._rows or not name else self._graph.value(name)
            if name and name not in self._rows and (value is None or value.ndim > len(row) + 1):
                return None
            if value is not None and value.ndim == len(row) + 1 and len(value) != 1:
                return None
        return row

    def _product(self, row: Row, others: list[str], _: Said) -> Row | None:
        value, node = self._graph.value(others[0]), self._graph.maker(others[0], "Abs", 1)
        value = self._graph.value(node.input[0]) if value is None and node is not None else value
        return (value.shape[1],) if value is not None and value.ndim == 2 and len(row) == 1 else None

    def _shaped(self, row: Row, others: list[str], _: Said) -> Row | None:
        shape = self._list(others[0])
        same = min(row) > 0 and math.prod(shape[1:]) == math.prod(row)
        return tuple(shape[1:]) if shape[:1] == [-1] and same else None

    def _least(self, row: Row, others: list[str], said: Said) -> Row | None:
        over = self._list(others[0]) if others else []
        return row[:1] + row[2:] if over == [2] and said.get("keepdims", 1) == 0 else None

    def _list(self, name: str) -> list[int]:
        value = self._graph.value(name)
        return [] if value is None or value.ndim != 1 else [int(each) for each in value]


def _turned(row: Row, _: list[str], said: Said) -> Row | None:
    places = said.get("perm", [])
    return tuple(row[place - 1] for place in places[1:]) if places[:1] == [0] else None


def _flat(row: Row, _: list[str], said: Said) -> Row | None:
    return (math.prod(row) if min(row) > 0 else -1,) if said.get("axis", 1) == 1 else None

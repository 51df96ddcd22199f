"""Puts quicker nodes in the place of a graph's slow ones when it is opened, without changing a number of its answers.

The file stays as it is, and its digest with it: what was attacked is what is served. Bit for bit, that is; of zeros
the sign alone may differ.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from redoubt.bundle.model.onnx_edit import EditedGraph, attributes
from redoubt.bundle.model.onnx_order import DEEPEST, Order
from redoubt.bundle.model.selection import largest

# Elements of a window whose median is taken by comparisons of two at a time; of more, a sort takes no longer.
WINDOW = 16
# Numbers that change nothing.
NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}
# The two that place an image by drawn matrices, as of `randomization.add_resize_and_pad`.
ROWS, COLUMNS = b"ndij,njwc->ndiwc", b"ndkw,ndiwc->ndikc"


def quicken(model: Any) -> None:
    """Edit a graph.

    Args:
        model: a message of `onnx_messages`, of a graph without nested ones.
    """
    graph = EditedGraph(model.graph)
    order = Order(graph)
    rules: dict[str, Callable[[EditedGraph, Any], str | None]] = {
        **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _number),
        **dict.fromkeys(("Min", "Max"), partial(_ordered, order)),
        "Abs": lambda _, node: str(node.input[0]) if order.is_positive(node.input[0]) else None,
        "Identity": lambda _, node: str(node.input[0]),
        "Where": _where,
        "Squeeze": _median,
        "Einsum": _placed,
    }
    for node in model.graph.node:
        graph.keep(node)
        rule = rules.get(node.op_type)
        if rule is None or not node.input or len(node.output) != 1 or node.output[0] in graph.public:
            continue
        other = rule(graph, node)
        if other is not None:
            graph.replace(node.output[0], other)
    graph.close()


def _number(graph: EditedGraph, node: Any) -> str | None:
    """One number beside an array whose last side is 1: without sides of its own, its loop would be over that side."""
    if len(node.input) != 2:
        return None
    x, number = node.input[0], graph.value(node.input[1])
    shape = _source(graph, x)
    if number is None or number.size != 1 or number.ndim > 1 or not shape:
        return None
    if number.item() == NEUTRAL.get(node.op_type):
        return str(x)
    if shape[-1] != 1 or number.ndim == len(shape):
        return None
    return graph.node(node.op_type, x, graph.constant(number.reshape([1] * len(shape))))


def _source(graph: EditedGraph, name: str) -> list[int]:
    """The declared shape of the graph's input that a value is made of element by element; no axis if it is not."""
    for _ in range(DEEPEST):
        node = graph.maker(name)
        if node is None:
            return graph.declared(name)
        if node.op_type not in {"Add", "Sub", "Mul", "Div", "Round", "Max", "Min"} or not node.input:
            break
        name = node.input[0]
    return []


def _ordered(order: Order, graph: EditedGraph, node: Any) -> str | None:
    """The smaller, or the larger, of two values of which one is proven to be nowhere above the other."""
    if len(node.input) != 2:
        return None
    if graph.value(node.input[1]) is not None:
        return _number(graph, node)
    for low, high in (node.input, reversed(node.input)):
        if order.holds(low, high):
            return str(low if node.op_type == "Min" else high)
    return None


def _where(graph: EditedGraph, node: Any) -> str | None:
    """A choice that always falls on the first of two values of one shape."""
    if len(node.input) != 3:
        return None
    condition, chosen, other = graph.value(node.input[0]), str(node.input[1]), str(node.input[2])
    if condition is None or condition.ndim > 1 or condition.size != 1 or not condition.all():
        return None
    # Of one shape, since one is made of the other element by element.
    name, sides = chosen, len(_source(graph, other))
    for _ in range(DEEPEST):
        maker = graph.maker(name)
        if name == other:
            return chosen
        if maker is None or maker.op_type not in {"Add", "Sub", "Mul", "Div", "Round"} or not maker.input:
            break
        number = graph.value(maker.input[1]) if len(maker.input) == 2 else None
        if len(maker.input) != 1 and (number is None or number.size != 1 or number.ndim > sides):
            break
        name = maker.input[0]
    return None


def _median(graph: EditedGraph, node: Any) -> str | None:
    """The element of a given rank among those of some windows, stacked, sorted and cut out; see `add_median`."""
    last = graph.maker(node.input[0], "Slice", 4)
    sort = graph.maker(last.input[0], "TopK", 2) if last else None
    stack = graph.maker(sort.input[0], "Concat") if sort else None
    if len(node.input) != 2 or last is None or sort is None or stack is None:
        return None
    said = attributes(sort)
    axis, rank = said.get("axis", -1), graph.value(sort.input[1])
    parts = [graph.maker(name, "Unsqueeze", 2) for name in stack.input]
    axes = [last.input[3], node.input[1], *(part.input[1] for part in parts if part)]
    if (
        rank is None
        or rank.shape != (1,)
        or not 1 <= rank[0] <= len(parts) <= WINDOW
        or None in parts
        or attributes(stack).get("axis") != axis
        or any(_numbers(graph, name) != [axis] for name in axes)
        or axis < 0
        or _numbers(graph, last.input[1]) != [-1]
        or _numbers(graph, last.input[2]) != [2**31]
        or said.get("largest", 1) != 1
        or said.get("sorted", 1) != 1
    ):
        return None
    return largest(graph, [part.input[0] for part in parts if part], int(rank[0]))


def _placed(graph: EditedGraph, node: Any) -> str | None:
    """Images of one channel between drawn matrices of rows and of columns, as two products."""
    if attributes(node).get("equation") != COLUMNS or len(node.input) != 2:
        return None
    tall = graph.maker(node.input[1], "Einsum", 2)
    if tall is None or attributes(tall).get("equation") != ROWS or _source(graph, tall.input[1])[3:] != [1]:
        return None
    columns = graph.maker(node.input[0], "Gather", 2)
    rows = graph.maker(tall.input[0], "Gather", 2)
    sides = [None if each is None else _sides(graph, each) for each in (rows, columns)]
    if rows is None or columns is None or None in sides:
        return None
    height, width = (int(side) for side in sides if side is not None)
    image = graph.node("Reshape", tall.input[1], graph.constant(np.array([0, 1, height, width])))
    turned = graph.node("Transpose", columns.input[0], perm=[0, 2, 1])
    across = graph.node("Gather", turned, columns.input[1], axis=0)
    placed = graph.node("MatMul", graph.node("MatMul", rows.output[0], image), across)
    return graph.node("Unsqueeze", placed, graph.constant(np.array([4])))


def _sides(graph: EditedGraph, gather: Any) -> int | None:
    """The side of the square matrices that a node takes from a constant, by their place among them."""
    matrices = graph.value(gather.input[0])
    if matrices is None or matrices.ndim != 3 or attributes(gather).get("axis", 0) != 0:
        return None
    return matrices.shape[1] if matrices.shape[1] == matrices.shape[2] else None


def _numbers(graph: EditedGraph, name: str) -> list[int] | None:
    value = graph.value(name)
    return None if value is None or value.ndim != 1 else value.tolist()

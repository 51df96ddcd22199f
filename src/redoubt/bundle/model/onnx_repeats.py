"""Has the network run no random variant of an image that is the image itself: one in three, where the draw keeps it.

Its answer is the unperturbed image's, whose row is taken again.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.model.onnx_edit import EditedGraph, attributes
from redoubt.bundle.model.onnx_rowwise import Row, Rowwise

ROWS, COLUMNS = "index_rows", "index_columns"


class Variants(NamedTuple):
    """The variants of images, as rows of one value.

    Attributes:
        fixed: how many are not drawn; the first of them is the image.
        rows: the draw of rows that moves nothing.
        columns: the draw of columns likewise.
    """

    fixed: int
    rows: int
    columns: int


def skip_repeats(model: Any) -> None:
    """Edit a graph, if all that follows its variants is made of them row by row; else leave it.

    Args:
        model: a message of `onnx_messages`, as `quicken` has left its graph.
    """
    nodes, graph = list(model.graph.node), EditedGraph(model.graph)
    for node in nodes:
        graph.keep(node)
    begin: dict[str, tuple[Variants, Row]] = {}
    for node in nodes:
        found = _variants(graph, node)
        if found is not None:
            begin[node.output[0]] = found
    kinds = {variants for variants, _ in begin.values()}
    draws = graph.declared(ROWS)[1:]
    if len(kinds) != 1 or len(draws) != 1 or draws != graph.declared(COLUMNS)[1:]:
        return
    (variants,) = kinds
    count = variants.fixed + draws[0]
    ends = _ends(graph, nodes, {name: row for name, (_, row) in begin.items()}, count)
    if ends:
        _write(model, nodes, variants, {*begin}, ends)


def _ends(graph: EditedGraph, nodes: list[Any], begin: dict[str, Row], count: int) -> set[str]:
    """Where the rows are put together by examples again; nothing if not all of them are."""
    rowwise, ends, inside = Rowwise(graph, begin), set[str](), set(begin)
    for node in nodes:
        if node.output[0] in begin:
            continue
        row = rowwise[node.input[0]] if node.input else None
        shape = graph.value(node.input[1]) if node.op_type == "Reshape" and len(node.input) == 2 else None
        if shape is not None and row is not None and len(row) == 1 and shape.tolist() == [-1, count, row[0]]:
            ends.add(node.output[0])
            continue
        if not rowwise.follow(node):
            return set()
        inside |= {name for name in node.output if rowwise[name] is not None}
    return set() if inside & graph.public else ends


def _variants(graph: EditedGraph, node: Any) -> tuple[Variants, Row] | None:
    """What a node makes rows of, if it does; see `guard.export` and `quicken`."""
    stack = graph.maker(node.input[0], "Concat") if node.op_type == "Reshape" and len(node.input) == 2 else None
    shape = graph.value(node.input[1]) if stack is not None else None
    if stack is None or shape is None or len(stack.input) < 2 or attributes(stack).get("axis") != 1:
        return None
    *fixed, drawn = stack.input
    parts = [graph.maker(name, "Unsqueeze", 2) for name in fixed]
    if any(part is None or _list(graph, part.input[1]) != [1] for part in parts):
        return None
    image = parts[0].input[0] if parts[0] else ""
    placed = _placed(graph, drawn, image)
    if placed is None:
        return None
    (rows, tall), (columns, wide) = placed
    return (Variants(len(fixed), rows, columns), (tall, wide, 1)) if shape.tolist() == [-1, tall, wide, 1] else None


def _placed(graph: EditedGraph, name: str, image: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Of an image between drawn matrices of rows and columns, which of each is the unit matrix, and its side."""
    deep = graph.maker(name, "Unsqueeze", 2)
    outer = graph.maker(deep.input[0], "MatMul") if deep else None
    inner = graph.maker(outer.input[0], "MatMul") if outer else None
    flat = graph.maker(inner.input[1], "Reshape") if inner else None
    if outer is None or inner is None or flat is None or flat.input[0] != image:
        return None
    rows, columns = graph.maker(inner.input[0], "Gather"), graph.maker(outer.input[1], "Gather")
    if rows is None or columns is None or (rows.input[1], columns.input[1]) != (ROWS, COLUMNS):
        return None
    turned = graph.maker(columns.input[0], "Transpose")
    units = [
        None if matrices is None else _unit(matrices)
        for matrices in (graph.value(rows.input[0]), graph.value(turned.input[0]) if turned else None)
    ]
    return (units[0], units[1]) if units[0] and units[1] else None


def _unit(matrices: NDArray[Any]) -> tuple[int, int] | None:
    (places,) = np.nonzero((matrices == np.eye(matrices.shape[-1])).all(axis=(1, 2)))
    return (int(places[0]), matrices.shape[-1]) if len(places) == 1 else None


def _write(model: Any, nodes: list[Any], variants: Variants, begin: set[str], ends: set[str]) -> None:
    graph = EditedGraph(model.graph)
    kept, place = _places(graph, variants)
    for node in nodes:
        if node.output[0] in ends:
            node.input[0] = graph.node("Gather", node.input[0], place, axis=0)
        graph.keep(node)
        if node.output[0] in begin:
            graph.replace(node.output[0], graph.node("Gather", node.output[0], kept, axis=0))
    graph.close()


def _places(graph: EditedGraph, variants: Variants) -> tuple[str, str]:
    """Add the nodes that find which rows are kept `(kept,)`, and among them that of each variant `(variants,)`."""

    def number(*values: int) -> str:
        return graph.constant(np.array(values))

    zero, one = number(0), number(1)
    still = [graph.node("Equal", name, number(unit)) for name, unit in ((ROWS, variants.rows), (COLUMNS, variants[2]))]
    moved = graph.node("Where", graph.node("And", *still), zero, one)
    each = graph.node("Pad", moved, number(0, variants.fixed, 0, 0), graph.constant(np.array(1)))
    flat = graph.node("Reshape", each, number(-1))
    kept = graph.node("Reshape", graph.node("NonZero", flat), number(-1))
    above = graph.node("CumSum", flat, graph.constant(np.array(0)), exclusive=1)
    places = graph.node("Reshape", above, graph.node("Shape", each))
    image = graph.node("Slice", places, zero, one, one)
    chosen = graph.node("Where", graph.node("Equal", each, one), places, image)
    return kept, graph.node("Reshape", chosen, number(-1))


def _list(graph: EditedGraph, name: str) -> list[int]:
    value = graph.value(name)
    return [] if value is None or value.ndim != 1 else [int(each) for each in value]

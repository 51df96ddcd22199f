"""Has a graph compute only some of a guard's variants, where the others are not asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from redoubt.bundle.model.onnx_edit import EditedGraph, attributes


def keep_variants(model: Any, places: Sequence[int]) -> None:
    """Edit a graph as `defenses.guards.guard` writes them; one of another form does not fit its guard afterwards.

    Args:
        model: a message of `onnx_messages`, its graph as it was exported: variants are put together as one batch, and
            its output is by examples again, `(examples, variants, columns)`.
        places: of the variants that stay, rising; each of them is one value of the stack.
    """
    graph, nodes = EditedGraph(model.graph), list(model.graph.node)
    (output,) = (each.name for each in model.graph.output)
    for node in nodes:
        graph.keep(node)
        stacks = node.op_type == "Concat" and attributes(node).get("axis") == 1
        if stacks and graph.maker(node.input[0], "Unsqueeze") and len(node.input) > max(places):
            chosen = [node.input[place] for place in places]
            del node.input[:]
            node.input.extend(chosen)
    _regroup(graph, output, len(places))
    graph.close()
    read = {name for node in model.graph.node for name in node.input}
    kept = [each for each in model.graph.input if each.name in read]
    copies = [type(each).FromString(each.SerializeToString()) for each in kept]
    del model.graph.input[:]
    model.graph.input.extend(copies)
    sides = model.graph.output[0].type.tensor_type.shape.dim
    if len(sides) > 1:
        sides[1].dim_value = len(places)


def _regroup(graph: EditedGraph, output: str, count: int) -> None:
    """The reshape that puts variants by examples, behind which the output may have another name."""
    node = graph.maker(output)
    while node is not None and node.op_type == "Identity":
        node = graph.maker(node.input[0])
    shape = graph.value(node.input[1]) if node is not None and node.op_type == "Reshape" else None
    if node is not None and shape is not None and len(shape) > 1:
        node.input[1] = graph.constant(np.array([shape[0], count, *shape[2:]]))

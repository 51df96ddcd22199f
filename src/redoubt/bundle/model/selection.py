"""The element of a given rank among some, by comparisons of two at a time (Batcher's sorting network)."""

from redoubt.bundle.model.onnx_edit import EditedGraph


def largest(graph: EditedGraph, names: list[str], rank: int) -> str:
    """Add the nodes that find, place by place, the element of a rank among some values of one shape.

    Args:
        graph: receives them; those that the element does not need go when it is closed.
        names: of the values.
        rank: 1 for the largest.

    Returns:
        The name of the value.
    """
    names = [*names]
    for low, high in comparisons(len(names)):
        names[low], names[high] = (graph.node(kind, names[low], names[high]) for kind in ("Min", "Max"))
    return names[-rank]


def comparisons(count: int) -> list[tuple[int, int]]:
    """Places of a list to be put in order, pair after pair, until all of it is (Batcher's odd-even merge sort)."""
    pairs, step = [], 1
    while step < count:
        stride = step
        while stride:
            for first in range(stride % step, count - stride, 2 * stride):
                for low in range(first, min(first + stride, count - stride)):
                    if low // (2 * step) == (low + stride) // (2 * step):
                        pairs.append((low, low + stride))
            stride //= 2
        step *= 2
    return pairs

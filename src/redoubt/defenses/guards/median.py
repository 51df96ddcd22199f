"""Median smoothing of images (arXiv 1704.01155)."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.models.onnx_graph import Graph


def median(x: tf.Tensor, size: int) -> tf.Tensor:
    """Replace each pixel by the median of its window.

    Differentiable: the gradient flows to the pixel that was the median, so no surrogate is needed.

    Args:
        x: `(batch, height, width, channels)`.
        size: side of the window; of an even number of values the upper middle one is taken, as scipy does.
    """
    before, after = _reach(size)
    height, width = x.shape[1], x.shape[2]
    padded = tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]], mode="REFLECT")
    window = [padded[:, i : i + height, j : j + width, :] for i in range(size) for j in range(size)]
    return tf.sort(tf.stack(window, axis=-1), axis=-1)[..., size * size // 2]


def add_median(graph: Graph, x: str, size: int, shape: tuple[int, ...]) -> str:
    """The same as ONNX nodes; `shape` is `(height, width, channels)`."""
    before, after = _reach(size)
    pads = graph.constant(_int64([0, before, before, 0, 0, after, after, 0]))
    padded = graph.node("Pad", x, pads, mode="reflect")
    window = [_cut(graph, padded, (i, j), shape) for i in range(size) for j in range(size)]
    stacked = graph.node("Concat", *window, axis=4)
    rank = graph.constant(_int64([size * size - size * size // 2]))
    largest = graph.nodes("TopK", [stacked, rank], 2, axis=4, largest=1, sorted=1)[0]
    last = graph.node("Slice", largest, *(graph.constant(_int64([v])) for v in (-1, 2**31, 4)))
    return graph.node("Squeeze", last, graph.constant(_int64([4])))


def _cut(graph: Graph, padded: str, corner: tuple[int, int], shape: tuple[int, ...]) -> str:
    ends = [corner[0] + shape[0], corner[1] + shape[1]]
    cut = graph.node("Slice", padded, *(graph.constant(_int64(v)) for v in (corner, ends, [1, 2])))
    return graph.node("Unsqueeze", cut, graph.constant(_int64([4])))


def _int64(values: list[int] | tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _reach(size: int) -> tuple[int, int]:
    return size // 2, size - 1 - size // 2

"""Random resize-and-pad of images (arXiv 1711.01991) and random noise on table features."""

import numpy as np
import tensorflow as tf

from redoubt.core.types import Floats
from redoubt.models.onnx_graph import Graph


def resize_and_pad(x: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Apply drawn placements.

    Args:
        x: `(batch, height, width, channels)`.
        rows: placement matrices `(batch, draws, height, height)`.
        columns: placement matrices `(batch, draws, width, width)`.

    Returns:
        `(batch, draws, height, width, channels)`.
    """
    tall = tf.einsum("ndij,njwc->ndiwc", rows, x)
    return tf.einsum("ndkw,ndiwc->ndikc", columns, tall)


def add_resize_and_pad(graph: Graph, x: str, rows: Floats, columns: Floats) -> str:
    """The same as ONNX nodes over the inputs `index_rows` and `index_columns`.

    Args:
        graph: receives them.
        x: name of the images, `(batch, height, width, channels)`.
        rows: all placements along the height, `(placements, height, height)`.
        columns: all placements along the width.
    """
    chosen_rows = graph.node("Gather", graph.constant(rows), "index_rows", axis=0)
    chosen_columns = graph.node("Gather", graph.constant(columns), "index_columns", axis=0)
    tall = graph.node("Einsum", chosen_rows, x, equation="ndij,njwc->ndiwc")
    return graph.node("Einsum", chosen_columns, tall, equation="ndkw,ndiwc->ndikc")


def add_noise(graph: Graph, x: str, noise: str) -> str:
    """Every example plus each of its drawn noises: `(batch, features)` and `(batch, draws, features)`."""
    return graph.node("Add", graph.node("Unsqueeze", x, graph.constant(np.array([1], dtype=np.int64))), noise)

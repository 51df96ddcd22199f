"""Bit-depth squeezing (arXiv 1704.01155) of pixels, and of table features over their training range."""

import numpy as np
import tensorflow as tf

from redoubt.core.types import Floats
from redoubt.models.onnx_graph import Graph


def squeeze(x: tf.Tensor, bits: int, lower: Floats, upper: Floats) -> tf.Tensor:
    """Round each value to one of 2^bits levels between `lower` and `upper`.

    Rounding has no useful gradient; BPDA (arXiv 1802.00420) lets it pass as if nothing had been rounded.

    Args:
        x: `(batch, ...)` in raw units.
        bits: levels are 2^bits.
        lower: smallest level, broadcastable to x.
        upper: largest level; where it equals `lower` the value passes unchanged.
    """
    step = _step(bits, lower, upper)
    used = np.where(step > 0, step, 1).astype(np.float32)
    rounded = tf.where(step > 0, tf.round((x - lower) / used) * used + lower, x)
    return x + tf.stop_gradient(rounded - x)


def add_squeeze(graph: Graph, x: str, bits: int, lower: Floats, upper: Floats) -> str:
    """The same as ONNX nodes."""
    step = _step(bits, lower, upper)
    used, base = graph.constant(np.where(step > 0, step, 1).astype(np.float32)), graph.constant(np.float32(lower))
    level = graph.node("Round", graph.node("Div", graph.node("Sub", x, base), used))
    rounded = graph.node("Add", graph.node("Mul", level, used), base)
    return graph.node("Where", graph.constant(step > 0), rounded, x)


def _step(bits: int, lower: Floats, upper: Floats) -> Floats:
    return (np.asarray(upper, dtype=np.float32) - np.asarray(lower, dtype=np.float32)) / np.float32(2**bits - 1)

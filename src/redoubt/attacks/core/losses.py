"""The losses that attackers maximize, on logits; all `(examples, classes), (examples,) -> (examples,)`."""

from typing import Literal

import tensorflow as tf

Loss = Literal["cross_entropy", "dlr", "margin"]
TINY = 1e-12


def cross_entropy(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of class y."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)


def margin(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """How far class y lies below the best other class: negative while y is the first choice."""
    return _at(logits, best_other(logits, y)) - _at(logits, y)


def dlr(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Difference of logits ratio (arXiv 2003.01690): the margin, whatever the logits are multiplied by.

    It divides by the distance between the first and the third logit; with fewer than three classes it is the margin.
    """
    if logits.shape[1] < 3:
        return margin(logits, y)
    top = tf.math.top_k(logits, 3).values
    return margin(logits, y) / (top[:, 0] - top[:, 2] + TINY)


def dlr_toward(logits: tf.Tensor, y: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Targeted DLR (arXiv 2003.01690): how far class `target` lies above class y, scaled by the leading logits.

    With fewer than four classes there is no fourth logit to scale by: the plain difference.
    """
    gap = _at(logits, target) - _at(logits, y)
    if logits.shape[1] < 4:
        return gap
    top = tf.math.top_k(logits, 4).values
    return gap / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + TINY)


def best_other(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The class with the largest logit beside y, `(examples,)`."""
    own = tf.one_hot(tf.cast(y, tf.int32), logits.shape[1], on_value=True, off_value=False)
    return tf.argmax(tf.where(own, logits.dtype.min, logits), axis=1, output_type=tf.int32)


def _at(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    # As `tf.gather` with `batch_dims`, whose gradient is a graph of a hundred nodes that every attack has to compile.
    return tf.gather_nd(logits, tf.stack([tf.range(tf.size(y)), tf.cast(y, tf.int32)], axis=1))

"""Gradients past rounding: a quantized network's own values, and the gradient of one that does not round (BPDA)."""

from typing import Any

import keras
import tensorflow as tf

from redoubt.attacks.core.problem import Outputs

GRADIENT = "RedoubtStraightThrough"
# What is said of a model that is attacked like this.
ROUNDS = (
    "rounding or signs inside stop every gradient, as in a quantized model: attacks go straight through them (BPDA),"
    " and by queries"
)
# Operations that are flat nearly everywhere, and near enough to the identity for its gradient to lead on.
FLAT = ("Round", "Rint", "Floor", "Ceil", "Sign")


@tf.RegisterGradient(GRADIENT)
def _pass(_: Any, upstream: tf.Tensor) -> tf.Tensor:
    return upstream


def past_rounding(network: keras.Model) -> Outputs:
    """A network whose gradient goes straight through what rounds and what takes a sign (arXiv 1802.00420).

    Such an operation has no gradient, or zero: attacks that follow it stop there, and the network looks robust and is
    not. A cast to whole numbers is no such operation: TensorFlow has no gradients of integers.

    Args:
        network: with float inputs.

    Returns:
        `(x, seed) -> outputs`, the network's own in value, as float32.
    """

    def run(x: tf.Tensor) -> tf.Tensor:
        with tf.compat.v1.get_default_graph().gradient_override_map(dict.fromkeys(FLAT, GRADIENT)):
            return tf.cast(network(x, training=False), tf.float32)

    inputs = tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)
    graph = tf.function(run, input_signature=[inputs], autograph=False)
    return lambda x, seed: graph(x)

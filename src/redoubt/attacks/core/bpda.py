"""What an attacker sees past preprocessing that saturates: its value, and the gradient of the identity (BPDA)."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def straight_through(network: Callable[..., tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """A network in inference, its gradient passed straight through capped ReLUs that precede its first weights.

    Such a layer stretches the contrast of inputs. Where it saturates its gradient is 0 although a larger step would
    move it, and every gradient attack stops there: the network looks robust and is not (arXiv 1802.00420).

    Args:
        network: a Keras network, or any function of inputs and `training`; only a chain of layers is looked into.

    Returns:
        A function of inputs `(examples, ...)` with the network's own values.
    """
    chain = network.layers if isinstance(network, keras.Sequential) else []
    first = next((index for index, layer in enumerate(chain) if _has_weights(layer)), len(chain))
    if not any(_saturates(layer) for layer in chain[:first]):
        return lambda x: network(x, training=False)

    def seen(x: tf.Tensor) -> tf.Tensor:
        for layer in chain[:first]:
            x = _identity_behind(layer)(x) if _saturates(layer) else layer(x, training=False)
        for layer in chain[first:]:
            x = layer(x, training=False)
        return x

    return seen


def _has_weights(layer: Any) -> bool:
    # Statistics of the inputs are no weights; a kernel is one even if it is not trained, unless it only spreads pixels.
    return bool(layer.trainable_weights) or (hasattr(layer, "kernel") and not _of_single_pixels(layer))


def _of_single_pixels(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1)


def _saturates(layer: Any) -> bool:
    return isinstance(layer, keras.layers.ReLU) and layer.max_value is not None


def _identity_behind(layer: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    @tf.custom_gradient
    def pass_through(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return layer(x, training=False), lambda upstream: upstream

    return pass_through

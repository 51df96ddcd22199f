"""A Keras network as ONNX nodes: same weights, same bytes every time, no TensorFlow needed to run it."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.core.errors import RedoubtError
from redoubt.models.chain import activation_of, chain_of
from redoubt.models.onnx_graph import Graph


class ExportError(RedoubtError):
    """A layer that has no ONNX form here, as it is set; the message names the layer and its type."""


def add_network(graph: Graph, network: keras.Model, x: str) -> str:
    """Add a network's inference nodes.

    Args:
        graph: receives them.
        network: a chain of layers; images as `(batch, height, width, channels)`.
        x: name of the input.

    Returns:
        The name of the output.

    Raises:
        ChainError: the network is more than a chain of layers.
        ExportError: a layer type without an ONNX form here.
    """
    layers = chain_of(network)
    x = channels_first(graph, network, x)
    for layer in layers:
        x = add_activation(graph, layer, add_layer(graph, type(layer).__name__, layer, x))
    return x


def channels_first(graph: Graph, network: keras.Model, x: str) -> str:
    """Inputs as the layers' nodes want them: images as `(batch, channels, height, width)`."""
    return graph.node("Transpose", x, perm=[0, 3, 1, 2]) if len(network.input_shape) == 4 else x


def add_layer(graph: Graph, kind: str, layer: Any, x: str) -> str:
    """Add one layer's nodes, up to its activation.

    Args:
        graph: receives them.
        kind: the layer's type, by name.
        layer: the layer, or an object with the same attributes.
        x: name of its input.

    Raises:
        ExportError: a layer type without an ONNX form here.
    """
    if kind not in _WRITERS:
        raise ExportError(f"layer '{layer.name}' is a {kind}; it can export {', '.join(sorted(_WRITERS))}")
    return _WRITERS[kind](graph, layer, x)


def add_activation(graph: Graph, layer: Any, x: str) -> str:
    """Add the activation of a layer that has one.

    Raises:
        ExportError: neither linear nor relu.
    """
    name = activation_of(layer)
    if name not in ("linear", "relu"):
        raise ExportError(f"layer '{layer.name}' has activation {name}; it can export linear and relu")
    return graph.node("Relu", x) if name == "relu" else x


def _per_channel(layer: Any, values: Any) -> NDArray[np.float32]:
    """One value, or one for each place along the last axis, in a shape that fits the nodes' channels first."""
    flat, channels = np.asarray(values, dtype=np.float32).reshape(-1), layer.input.shape[-1]
    if len(flat) not in (1, channels):
        raise ExportError(
            f"layer '{layer.name}' is a {type(layer).__name__} with {len(flat)} values on inputs {layer.input.shape};"
            " it can export one value, or one for each feature or channel"
        )
    return flat.reshape(1, -1, 1, 1) if len(layer.input.shape) == 4 else flat.reshape(1, -1)


def _check_last_axis(layer: Any, axes: Sequence[int]) -> None:
    rank = len(layer.input.shape)
    if {axis % rank for axis in axes} - {rank - 1}:
        raise ExportError(
            f"layer '{layer.name}' is a {type(layer).__name__} along axis {', '.join(map(str, axes))}; it can export"
            " the last axis"
        )


def _normalization(graph: Graph, layer: Any, x: str) -> str:
    _check_last_axis(layer, layer.axis)
    # Keras divides by no less than its epsilon.
    std = np.maximum(np.sqrt(layer.variance), keras.config.epsilon())
    mean, scale = (graph.constant(_per_channel(layer, each)) for each in (layer.mean, std))
    if layer.invert:
        return graph.node("Add", graph.node("Mul", x, scale), mean)
    return graph.node("Div", graph.node("Sub", x, mean), scale)


def _batch_normalization(graph: Graph, layer: Any, x: str) -> str:
    _check_last_axis(layer, np.atleast_1d(layer.axis).tolist())
    std = np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
    gain = np.asarray(layer.gamma) / std if layer.scale else 1.0 / std
    shift = (np.asarray(layer.beta) if layer.center else 0.0) - np.asarray(layer.moving_mean) * gain
    scaled = graph.node("Mul", x, graph.constant(_per_channel(layer, gain)))
    return graph.node("Add", scaled, graph.constant(_per_channel(layer, shift)))


def _rescaling(graph: Graph, layer: Any, x: str) -> str:
    alike = np.ndim(layer.scale) == np.ndim(layer.offset) == 0
    scale, offset = (
        np.asarray(each, np.float32) if alike else _per_channel(layer, each) for each in (layer.scale, layer.offset)
    )
    return graph.node("Add", graph.node("Mul", x, graph.constant(scale)), graph.constant(offset))


def _kernel(graph: Graph, layer: Any, axes: Sequence[int]) -> str:
    """The weights, or of a stand-in their absolute values: from the same constant, taken once, when a session opens."""
    stored = graph.constant(np.asarray(layer.kernel).transpose(axes))
    return graph.node("Abs", stored) if getattr(layer, "absolute", False) else stored


def _dense(graph: Graph, layer: Any, x: str) -> str:
    if len(layer.input.shape) == 4:
        raise ExportError(f"layer '{layer.name}' is a Dense on every pixel; it can export one behind a Flatten")
    x = graph.node("MatMul", x, _kernel(graph, layer, (0, 1)))
    if layer.use_bias:
        x = graph.node("Add", x, graph.constant(np.asarray(layer.bias)))
    return x


def _convolution(graph: Graph, layer: Any, x: str) -> str:
    kernel = _kernel(graph, layer, (3, 2, 0, 1))
    inputs = [x, kernel, graph.constant(np.asarray(layer.bias))] if layer.use_bias else [x, kernel]
    return graph.node(
        "Conv",
        *inputs,
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=layer.groups,
        pads=_pads(layer, layer.kernel_size, layer.dilation_rate),
    )


def _pads(layer: Any, window: Sequence[int], dilation: Sequence[int] = (1, 1)) -> list[int]:
    """Zeros before and after both sides; ONNX Runtime's own "same" fails for a window smaller than its stride."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    if None in layer.input.shape[1:3]:
        raise ExportError(f"layer '{layer.name}' pads inputs of an open size; it can export a fixed one")
    sides = zip(layer.input.shape[1:3], layer.strides, window, dilation, strict=True)
    missing = [max(0, (-(-side // step) - 1) * step + (size - 1) * far + 1 - side) for side, step, size, far in sides]
    return [total // 2 for total in missing] + [total - total // 2 for total in missing]


def _pooling(operator: str) -> Callable[[Graph, Any, str], str]:
    def write(graph: Graph, layer: Any, x: str) -> str:
        kernel, strides = list(layer.pool_size), list(layer.strides)
        return graph.node(operator, x, kernel_shape=kernel, strides=strides, pads=_pads(layer, kernel))

    return write


def _flatten(graph: Graph, layer: Any, x: str) -> str:
    if len(layer.input.shape) == 4:
        x = graph.node("Transpose", x, perm=[0, 2, 3, 1])
    return graph.node("Flatten", x)


def _relu(graph: Graph, layer: Any, x: str) -> str:
    if layer.negative_slope or layer.threshold:
        raise ExportError(f"layer '{layer.name}' is a ReLU with a slope or a threshold; plain and capped ones export")
    if layer.max_value is None:
        return graph.node("Relu", x)
    return graph.node("Clip", x, graph.constant(np.float32(0.0)), graph.constant(np.float32(layer.max_value)))


def _unchanged(graph: Graph, layer: Any, x: str) -> str:
    return x


_WRITERS: dict[str, Callable[[Graph, Any, str], str]] = {
    "Activation": _unchanged,
    "AveragePooling2D": _pooling("AveragePool"),
    "BatchNormalization": _batch_normalization,
    "Conv2D": _convolution,
    "Dense": _dense,
    "Dropout": _unchanged,
    "Flatten": _flatten,
    "MaxPooling2D": _pooling("MaxPool"),
    "Normalization": _normalization,
    "ReLU": _relu,
    "Rescaling": _rescaling,
}
# The types of layer that have an ONNX form here.
LAYERS = frozenset(_WRITERS)

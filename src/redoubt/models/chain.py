"""Which networks are nothing but layers of Keras, each reading the one before: all that bounds and export are of."""

from collections.abc import Iterator
from typing import Any

import keras

from redoubt.core.errors import RedoubtError

# What `keras.Model(inputs, outputs)` makes; a subclass may compute anything else.
_FUNCTIONAL = type(keras.Model(*[keras.Input((1,))] * 2))
_NEEDED = "bounds and export need a chain of Keras layers, each called once, in float32, on the one before"


class ChainError(RedoubtError):
    """A network that is no plain chain of layers; the message names what else it computes, and where."""


def chain_of(network: keras.Model) -> list[keras.Layer]:
    """The layers of a network in the order of their calls, where they are all that it computes.

    `network.layers` is no such list: operators (`a + b`, `keras.ops`) are not in it, nor is how often a layer is
    called, on what, and with which arguments.

    Args:
        network: Sequential or functional.

    Returns:
        Every layer but the input, first to last.

    Raises:
        ChainError: an operation that is no layer, a layer called twice or on more than the layer before, another
            model as a layer, more than one input or output, a precision other than float32, channels first.
    """
    if type(network) not in (keras.Sequential, _FUNCTIONAL):
        raise ChainError(f"network '{network.name}' is a {type(network).__name__}, of its own code; {_NEEDED}")
    if not getattr(network, "outputs", None):
        raise ChainError(f"network '{network.name}' was never built: give its first layer an input shape")
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        found = f"{len(network.inputs)} inputs and {len(network.outputs)} outputs"
        raise ChainError(f"network '{network.name}' has {found}; {_NEEDED}")
    (given,) = network.inputs
    if given.dtype != "float32":
        raise ChainError(f"network '{network.name}' casts its inputs to {given.dtype}; {_NEEDED}")
    layers = [_checked(node) for node in _calls(network)][::-1]
    if not layers:
        raise ChainError(f"network '{network.name}' has no layers: its output is its input")
    for place, layer in enumerate(layers):
        if layer in layers[:place]:
            raise ChainError(f"layer '{layer.name}' ({type(layer).__name__}) is called more than once; {_NEEDED}")
    return layers


def activation_of(layer: Any) -> str:
    """The name of a layer's activation, `linear` where it has none; never that of a namesake from elsewhere."""
    function = getattr(layer, "activation", keras.activations.linear)
    name = str(getattr(function, "__name__", None) or type(function).__name__)
    return name if function is getattr(keras.activations, name, None) else f"'{name}' of its own"


def _calls(network: keras.Model) -> Iterator[Any]:
    """The calls that lead from the output back to the input, last first."""
    (tensor,) = network.outputs
    while tensor is not network.inputs[0]:
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if len(node.input_tensors) != 1:
            joined = len(node.input_tensors)
            raise ChainError(f"{_said(operation)} reads {joined} tensors, {_readable(node)}; {_NEEDED}")
        yield node
        (tensor,) = node.input_tensors


def _checked(node: Any) -> keras.Layer:
    layer, kind = node.operation, type(node.operation)
    where = f"{_said(layer)}, which reads {_readable(node)},"
    if not isinstance(layer, keras.Layer):
        raise ChainError(f"{where} is no layer; {_NEEDED}")
    if isinstance(layer, keras.Model):
        raise ChainError(f"{where} is a model inside the network; {_NEEDED}: put its layers into the network")
    if not kind.__module__.startswith("keras."):
        raise ChainError(f"{where} is not one of Keras; {_NEEDED}")
    arguments = [*enumerate(node.arguments.args), *node.arguments.kwargs.items()]
    if any(_matters(name, value) for name, value in arguments):
        raise ChainError(f"{where} is called with other arguments too; {_NEEDED}")
    if layer.input.shape != node.input_tensors[0].shape:
        raise ChainError(f"{where} was called on inputs of another shape before; {_NEEDED}")
    if layer.compute_dtype != "float32" or getattr(layer, "quantization_mode", None):
        computes = getattr(layer, "quantization_mode", None) or layer.compute_dtype
        raise ChainError(f"{where} computes in {computes}; {_NEEDED}")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ChainError(f"{where} takes channels first; bounds and export are of channels last")
    return layer


def _matters(name: int | str, value: Any) -> bool:
    """Whether an argument is more than the input itself or what Keras fills in at inference."""
    return not isinstance(value, keras.KerasTensor) and value is not None and (name, value) != ("training", False)


def _said(operation: Any) -> str:
    sort = "layer" if isinstance(operation, keras.Layer) else "operation"
    return f"{sort} '{operation.name}' ({type(operation).__name__})"


def _readable(node: Any) -> str:
    names = [tensor._keras_history.operation.name for tensor in node.input_tensors]
    return " and ".join(f"'{name}'" for name in names) or "nothing"

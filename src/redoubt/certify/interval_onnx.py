"""Interval bounds as ONNX nodes: the same rules as `interval`, for a service without TensorFlow."""

from typing import Any

import keras
import numpy as np

from redoubt.certify.interval import UNIT, terms_of
from redoubt.models.chain import chain_of
from redoubt.models.export import add_activation, add_layer, channels_first
from redoubt.models.onnx_graph import Graph

Ends = tuple[str, str]


class Absolute:
    """Stands for a Dense or Conv2D layer: the same with absolute weights and without bias."""

    use_bias, absolute = False, True

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


def add_proof(graph: Graph, network: keras.Model, low: str, high: str) -> str:
    """Add what can be proven of every box of inputs.

    Args:
        graph: receives the nodes.
        network: at inference, of layers that have bounds.
        low: name of the lower ends `(examples, ...)`.
        high: name of the upper ends.

    Returns:
        The name of the smallest lead of each class over all others `(examples, classes)`, above 0 only for a class that
        no point of the box takes the first place from; or for a number its lower and upper end `(examples, 2)`.

    Raises:
        ChainError: the network is more than a chain of layers.
        IntervalError: a layer without a sound bound.
        ExportError: a layer type without an ONNX form.
    """
    ends = channels_first(graph, network, low), channels_first(graph, network, high)
    *body, last = chain_of(network)
    for layer in body:
        ends = _through(graph, layer, ends)
    if network.output_shape[-1] == 1:
        return graph.node("Concat", *_through(graph, last, ends), axis=1)
    if isinstance(last, keras.layers.Dense) and last.activation is keras.activations.linear:
        return _smallest(graph, _merged(graph, last, ends), network.output_shape[-1])
    low, high = _through(graph, last, ends)
    own = graph.node("Unsqueeze", low, graph.constant(np.array([2])))
    others = graph.node("Unsqueeze", high, graph.constant(np.array([1])))
    return _smallest(graph, graph.node("Sub", own, others), network.output_shape[-1])


def _through(graph: Graph, layer: Any, ends: Ends) -> Ends:
    terms, kind = terms_of(layer), type(layer).__name__
    if terms:
        one, other = _affine(graph, kind, (layer, Absolute(layer)), terms, ends)
    else:
        first, second = (add_layer(graph, kind, layer, end) for end in ends)
        if first == ends[0]:
            one, other = ends
        else:
            one, other = graph.node("Min", first, second), graph.node("Max", first, second)
    return add_activation(graph, layer, one), add_activation(graph, layer, other)


def _affine(graph: Graph, kind: str, pair: tuple[Any, Absolute], terms: int, ends: Ends) -> Ends:
    """See `interval.affine`; the pair is the layer and its absolute form."""
    half, error = _number(graph, 0.5), (terms + 2) * UNIT
    centre = graph.node("Mul", graph.node("Add", *ends), half)
    radius = graph.node("Mul", graph.node("Sub", ends[1], ends[0]), half)
    slack = graph.node("Mul", graph.node("Abs", centre), _number(graph, error))
    middle = add_layer(graph, kind, pair[0], centre)
    reach = add_layer(graph, kind, pair[1], graph.node("Add", radius, slack))
    reach = graph.node("Mul", reach, _number(graph, 1.0 + 2.0 * error))
    reach = graph.node("Add", reach, graph.node("Mul", graph.node("Abs", middle), _number(graph, 2.0 * UNIT)))
    return graph.node("Sub", middle, reach), graph.node("Add", middle, reach)


def _merged(graph: Graph, last: Any, ends: Ends) -> str:
    """Lower bounds of every lead `(examples, classes, classes)`: a last layer whose outputs are all the differences."""
    leads = Leads(last)
    low, _ = _affine(graph, "Dense", (leads, Absolute(leads)), terms_of(last), ends)
    classes = last.units
    return graph.node("Reshape", low, graph.constant(np.array([-1, classes, classes])))


class Leads:
    """Stands for a last Dense layer: an output for each pair of classes, by how much the first leads the second."""

    def __init__(self, layer: Any) -> None:
        kernel = np.asarray(layer.kernel)
        self.name, self.use_bias, self.input = layer.name, layer.use_bias, layer.input
        self.kernel = (kernel[:, :, None] - kernel[:, None, :]).reshape(len(kernel), -1)
        bias = np.asarray(layer.bias) if layer.use_bias else np.zeros(kernel.shape[1])
        self.bias = (bias[:, None] - bias[None]).reshape(-1)


def _smallest(graph: Graph, leads: str, classes: int) -> str:
    """Over all other classes; no class leads itself."""
    own = np.where(np.eye(classes, dtype=bool), np.float32(np.finfo(np.float32).max), np.float32(0.0))
    far = graph.node("Add", leads, graph.constant(own.astype(np.float32)))
    return graph.node("ReduceMin", far, graph.constant(np.array([2])), keepdims=0)


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.float32(value))

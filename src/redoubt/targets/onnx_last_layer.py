"""The last layer of an ONNX graph that gives logits: bounds of their differences, tighter than one bound for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import tensorflow as tf

from redoubt.certify.interval import Box
from redoubt.certify.worst_case import rounding_of_leads
from redoubt.core.types import Floats
from redoubt.targets.onnx_gradients import attributes_of, constants_of, name_of

LINEAR = "ai.onnx.ml.LinearClassifier"


@dataclass(frozen=True, eq=False)
class LastLayer:
    """A product with constant weights, and a constant sum.

    Attributes:
        features: name of the tensor that it reads, `(examples, features)`.
        weights: `(classes, features)`.
        bias: `(classes,)`.
    """

    features: str
    weights: Floats
    bias: Floats

    def leads(self, features: Box, y: tf.Tensor) -> tf.Tensor:
        """Upper bounds of every logit's lead over that of y, `(examples, classes)`; 0 for y itself (arXiv 1810.12715).

        Whatever computes it rounds each of the two logits, not their difference: so does the margin that is added.

        Args:
            features: what it reads.
            y: classes `(examples,)`.
        """
        weights, bias = tf.constant(self.weights), tf.constant(self.bias)
        lead = weights[None] - tf.gather(weights, y)[:, None]
        centre = tf.einsum("rcf,rf->rc", lead, features.centre) + bias[None] - tf.gather(bias, y)[:, None]
        found = centre + tf.einsum("rcf,rf->rc", tf.abs(lead), features.radius)
        found += rounding_of_leads(weights, bias, features, y)
        return tf.where(tf.one_hot(y, found.shape[1], on_value=True, off_value=False), 0.0, found)


def last_layer(model: onnx.ModelProto, output: str) -> LastLayer | None:
    """What computes a tensor of logits, where it is a product with constant weights; None where it is not.

    Args:
        model: the graph.
        output: the tensor.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    held = constants_of(model)
    held |= {
        node.output[0]: attributes_of(node).get("value") for node in model.graph.node if name_of(node) == "Constant"
    }
    node = makers.get(output)
    while node is not None and name_of(node) == "Identity":
        node = makers.get(node.input[0])
    if node is None:
        return None
    if name_of(node) == "Add":
        product, bias = _added(node, makers, held)
        return None if product is None else _product(product, held, bias)
    if name_of(node) in ("MatMul", "Gemm"):
        return _product(node, held, None)
    return _classifier(node) if name_of(node) == LINEAR else None


def _added(
    node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], held: Mapping[str, Any]
) -> tuple[onnx.NodeProto | None, Any]:
    """The product and the constant of a sum of both."""
    for one, other in (node.input, reversed(node.input)):
        product = makers.get(one)
        if other in held and product is not None and name_of(product) == "MatMul":
            return product, held[other]
    return None, None


def _product(node: onnx.NodeProto, held: Mapping[str, Any], bias: Any) -> LastLayer | None:
    attributes, weights = attributes_of(node), held.get(node.input[1])
    if weights is None or np.ndim(weights) != 2 or attributes.get("transA", 0):
        return None
    if len(node.input) > 2 and node.input[2]:
        bias = held.get(node.input[2])
        if bias is None:
            return None
        bias = attributes.get("beta", 1.0) * np.asarray(bias, np.float64)
    weights = attributes.get("alpha", 1.0) * np.asarray(weights, np.float64)
    weights = weights if attributes.get("transB", 0) else weights.T
    bias = np.zeros(1) if bias is None else np.asarray(bias)
    if bias.size not in (1, len(weights)):
        return None
    return _of(node.input[0], weights, np.broadcast_to(bias.reshape(-1), len(weights)))


def _classifier(node: onnx.NodeProto) -> LastLayer | None:
    """As `onnx_bounds` has it: one score stands for two."""
    attributes = attributes_of(node)
    bias = np.array(attributes.get("intercepts", [0.0]))
    weights = np.array(attributes["coefficients"]).reshape(len(bias), -1)
    if len(bias) == 1:
        weights, bias = np.concatenate([-weights, weights]), np.concatenate([-bias, bias])
    return _of(node.input[0], weights, bias) if attributes.get("post_transform", "NONE") == "NONE" else None


def _of(features: str, weights: Any, bias: Any) -> LastLayer:
    return LastLayer(features, weights.astype(np.float32), bias.astype(np.float32))

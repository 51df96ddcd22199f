"""Composes the guard round a network: as tensors for the attacker who knows it, as one graph for service."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.bpda import straight_through
from redoubt.attacks.problem import Outputs, rows_of
from redoubt.bundle.guard_config import GuardConfig
from redoubt.bundle.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.certify.interval import is_bounded
from redoubt.certify.interval_onnx import add_proof
from redoubt.defenses.median import add_median, median
from redoubt.defenses.randomization import add_noise, add_resize_and_pad, resize_and_pad
from redoubt.defenses.squeezing import add_squeeze, squeeze
from redoubt.models.export import add_network
from redoubt.models.onnx_graph import Graph
from redoubt.params import ImageGuard, TableGuard
from redoubt.types import Bounds, Floats


def configure(params: ImageGuard | TableGuard, schema: Schema, bounds: Bounds, output_scale: float) -> GuardConfig:
    """Turn the guard's parameters into its configuration for one task; not yet calibrated."""
    if isinstance(params, ImageGuard):
        return GuardConfig(kind="image", shape=schema.shape, **params.model_dump())
    return GuardConfig(
        kind="table",
        shape=schema.shape,
        lower=tuple(bounds.lower.tolist()),
        upper=tuple(bounds.upper.tolist()),
        scale=tuple(bounds.scale.tolist()),
        output_scale=output_scale,
        **params.model_dump(),
    )


def calibrate(model: GuardedModel, clean: Floats) -> GuardConfig:
    """Set the threshold so that at most the declared share of clean validation inputs is flagged."""
    scores = np.sort(model.predict(clean, np.random.default_rng(0)).score)
    rank = math.ceil((1.0 - model.guard.false_positives) * len(scores)) - 1
    return model.guard.model_copy(update={"threshold": float(scores[rank])})


def adaptive_outputs(network: keras.Model, config: GuardConfig, variants: Sequence[str] | None = None) -> Outputs:
    """What an attacker who knows the guard differentiates: BPDA inside, fresh draws for EOT on every call.

    Args:
        network: gives logits, or values.
        config: of the guard.
        variants: those that vote; all of them if None.

    Returns:
        A function of inputs `(batch, ...)` and a seed `(2,)` int32 giving `(batch, classes)`: the mean of the
        variants' log-probabilities (its gradient stays alive where the mean probability saturates), or for a
        regression the mean value.
    """
    chosen = tuple(variants or config.variants)
    return lambda x, seed: _mean(_opinions(network, config, chosen, x, seed))


def detector_evading_outputs(network: keras.Model, config: GuardConfig, variants: Sequence[str]) -> Outputs:
    """What an attacker differentiates who must fool the vote and the detector both.

    Returns:
        As `adaptive_outputs`, with the adversarial score as one more column.
    """
    fixed = config.fixed_variants
    needed = (*fixed, *(name for name in variants if name not in fixed))
    voting = [needed.index(name) for name in variants]

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        each = _opinions(network, config, needed, x, seed)
        said = each if each.shape[-1] == 1 else tf.exp(each)
        # Rounding stands still where the input moves a little. Let through as in BPDA, its slope would cancel the
        # input's own, and the score would look flat.
        moved = [
            tf.reduce_sum(tf.abs((tf.stop_gradient if name == "squeezed" else tf.identity)(said[:, i]) - said[:, 0]), 1)
            for i, name in enumerate(fixed)
            if i
        ]
        score = tf.reduce_max(tf.stack(moved, axis=1), axis=1, keepdims=True) / config.output_scale
        return tf.concat([_mean(tf.gather(each, voting, axis=1)), score], axis=1)

    return outputs


def _opinions(
    network: keras.Model, config: GuardConfig, names: tuple[str, ...], x: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Log-probabilities or values of the named variants, `(batch, variants, outputs)`; those with a name first."""
    variants = [_fixed(x, config, name)[:, None] for name in names if name in config.fixed_variants]
    if any(name not in config.fixed_variants for name in names):
        variants.append(_random(x, config, seed))
    flat = straight_through(network)(tf.reshape(tf.concat(variants, axis=1), (-1, *config.shape)))
    each = tf.reshape(flat, (-1, len(names), flat.shape[-1]))
    return tf.nn.log_softmax(each) if flat.shape[-1] > 1 else each


def _mean(each: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(each, axis=1)


def _levels(config: GuardConfig) -> tuple[Floats, Floats]:
    if config.kind == "image":
        return np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)
    lower, upper = np.array(config.lower, dtype=np.float32), np.array(config.upper, dtype=np.float32)
    # What an attacker cannot change is not squeezed either.
    return lower, np.where(np.array(config.scale) > 0, upper, lower)


def _fixed(x: tf.Tensor, config: GuardConfig, name: str) -> tf.Tensor:
    if name == "median":
        return median(x, config.median)
    return squeeze(x, config.bits, *_levels(config)) if name == "squeezed" else x


def _random(x: tf.Tensor, config: GuardConfig, seed: tf.Tensor) -> tf.Tensor:
    # The draws come from the one NumPy definition that service uses, so the two cannot drift apart.
    def draw(seed: NDArray[np.int32], rows: int) -> list[Floats]:
        own, these = rows_of(seed, int(rows))
        return [drawn[these] for drawn in config.draw(np.random.default_rng(own), these.stop).values()]

    rows = tf.shape(x)[0]
    if config.kind == "table":
        noise = tf.numpy_function(lambda *given: draw(*given)[0], [seed, rows], tf.float32)
        noise.set_shape((None, config.draws, *config.shape))
        return x[:, None] + noise
    chosen = tf.numpy_function(draw, [seed, rows], [tf.int64, tf.int64])
    sides = [tf.gather(config.placements(axis), index) for axis, index in enumerate(chosen)]
    for axis, side in enumerate(sides):
        side.set_shape((None, config.draws, config.shape[axis], config.shape[axis]))
    return resize_and_pad(x, *sides)


def export(network: keras.Model, config: GuardConfig) -> bytes:
    """The network and every variant of its guard as one ONNX model: what answers.

    Returns:
        A graph from `x` and the guard's draws to `variants` `(examples, variants, outputs)`; inside it the network
        alone runs from `network_input` to `network_output`.

    Raises:
        ChainError: the network is more than a chain of layers.
        ExportError: a layer that has no ONNX form here.
    """
    graph, width = Graph(), network.output_shape[-1]
    flat = graph.alias("network_input", _add_variants(graph, config, "x"))
    each = graph.alias("network_output", add_network(graph, network, flat))
    return _built(graph, config, {}, {"variants": _per_variant(graph, config, each, width)})


def export_proof(network: keras.Model, config: GuardConfig) -> bytes:
    """What can be proven of every variant over the L-inf balls round inputs, as an ONNX model of its own.

    Apart, since ONNX Runtime runs every node of a graph, whichever output is asked for. Every part of the guard only
    rises with every input, so it takes the ends of a box to the ends of a box.

    Returns:
        A graph from `x`, `eps` and the guard's draws to `proof` (see `certify.interval_onnx.add_proof`) of every
        variant; of a network without bounds one to `unproven` instead, which nobody asks for.
    """
    graph = Graph()
    if not is_bounded(network):
        return _built(graph, config, {"eps": ("rows",)}, {"unproven": ("eps", ("rows",))})
    ends = [_add_variants(graph, config, end) for end in _add_ball(graph, config)]
    proof = _per_variant(graph, config, add_proof(graph, network, *ends), max(network.output_shape[-1], 2))
    return _built(graph, config, {"eps": ("rows",)}, {"proof": proof})


def _built(graph: Graph, config: GuardConfig, more: dict[str, Any], outputs: dict[str, Any]) -> bytes:
    draws = {name: ("rows", *array.shape[1:]) for name, array in config.draw(np.random.default_rng(0), 1).items()}
    return graph.build({"x": ("rows", *config.shape), **more, **draws}, outputs)


def _add_variants(graph: Graph, config: GuardConfig, x: str) -> str:
    """All variants of all examples in one batch, `(examples * variants, ...)`."""
    parts = [graph.node("Unsqueeze", part, graph.constant(np.array([1]))) for part in _add_fixed(graph, config, x)]
    stacked = graph.node("Concat", *parts, _add_random(graph, config, x), axis=1)
    return graph.node("Reshape", stacked, graph.constant(np.array([-1, *config.shape])))


def _per_variant(graph: Graph, config: GuardConfig, flat: str, columns: int) -> tuple[str, tuple[Any, ...]]:
    variants = len(config.variants)
    shaped = graph.node("Reshape", flat, graph.constant(np.array([-1, variants, columns])))
    return shaped, ("rows", variants, columns)


def _add_ball(graph: Graph, config: GuardConfig) -> tuple[str, str]:
    """Both ends of the L-inf ball; pixels stay in [0, 1], a number may leave its training range."""
    eps = graph.node("Reshape", "eps", graph.constant(np.array([-1] + [1] * len(config.shape))))
    if config.kind == "table":
        eps = graph.node("Mul", eps, graph.constant(np.array(config.scale, dtype=np.float32)))
    low, high = graph.node("Sub", "x", eps), graph.node("Add", "x", eps)
    if config.kind == "table":
        return low, high
    black, white = graph.constant(np.float32(0.0)), graph.constant(np.float32(1.0))
    return graph.node("Max", low, black), graph.node("Min", high, white)


def _add_fixed(graph: Graph, config: GuardConfig, x: str) -> list[str]:
    squeezed = add_squeeze(graph, x, config.bits, *_levels(config))
    if config.kind == "table":
        return [x, squeezed]
    return [x, add_median(graph, x, config.median, config.shape), squeezed]


def _add_random(graph: Graph, config: GuardConfig, x: str) -> str:
    if config.kind == "table":
        return add_noise(graph, x, "noise")
    return add_resize_and_pad(graph, x, config.placements(0), config.placements(1))

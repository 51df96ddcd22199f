"""Composes the guard round a network, as one graph for service."""

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

import keras
import numpy as np

from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.certify.interval import is_bounded
from redoubt.certify.interval_onnx import add_proof
from redoubt.core.types import Bounds, Floats
from redoubt.defenses.guards.median import add_median
from redoubt.defenses.guards.randomization import add_noise, add_resize_and_pad
from redoubt.defenses.guards.squeezing import add_squeeze
from redoubt.models.export import add_network
from redoubt.models.onnx_graph import Graph
from redoubt.params.settings.sections import ImageGuard, TableGuard

# Of the threshold.
DIGITS = 4


def configure(
    params: ImageGuard | TableGuard, schema: Schema, bounds: Bounds, output_scale: float, skewed: Sequence[bool] = ()
) -> GuardConfig:
    """Turn the guard's parameters into its configuration for one task; not yet calibrated.

    Args:
        params: the guard's.
        schema: of the task.
        bounds: of its inputs.
        output_scale: the unit of a regression's errors; 1 for classes.
        skewed: which inputs of a table the network takes by ranks; these are not squeezed. Empty for none.
    """
    if isinstance(params, ImageGuard):
        return GuardConfig(kind="image", shape=schema.shape, **params.model_dump())
    return GuardConfig(
        kind="table",
        shape=schema.shape,
        lower=tuple(bounds.lower.tolist()),
        upper=tuple(bounds.upper.tolist()),
        scale=tuple(bounds.scale.tolist()),
        output_scale=output_scale,
        falls=tuple(np.asarray(bounds.falls).tolist()) if bounds.one_sided else (),
        rises=tuple(np.asarray(bounds.rises).tolist()) if bounds.one_sided else (),
        squeezed=tuple(not each for each in skewed) if any(skewed) else (),
        **params.model_dump(),
    )


def calibrate(model: GuardedModel, clean: Floats) -> GuardConfig:
    """Set the threshold so that at most the declared share of clean validation inputs is flagged.

    It is rounded up: the last digits of a score are the processor's, and the threshold is part of the digest.
    """
    scores = np.sort(model.predict(clean, np.random.default_rng(0)).score)
    rank = math.ceil((1.0 - model.guard.false_positives) * len(scores)) - 1
    return model.guard.model_copy(update={"threshold": rounded_up(float(scores[rank]))})


def rounded_up(number: float) -> float:
    """The smallest number of four digits that is not below, such as 0.03638 for 0.036379248."""
    if not number > 0 or not math.isfinite(number):
        return number
    unit = Decimal(1).scaleb(math.floor(math.log10(number)) - DIGITS + 1)
    return float(Decimal(str(number)).quantize(unit, ROUND_CEILING))


def levels(config: GuardConfig) -> tuple[Floats, Floats]:
    """Smallest and largest value between which each input is squeezed."""
    if config.kind == "image":
        return np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)
    lower, upper = np.array(config.lower, dtype=np.float32), np.array(config.upper, dtype=np.float32)
    # What an attacker cannot change is not squeezed either.
    return lower, np.where((np.array(config.scale) > 0) & np.array(config.squeezed or True), upper, lower)


def export(network: keras.Model, config: GuardConfig) -> bytes:
    """The network and every variant of its guard as one ONNX model: what is served.

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
        ways = dict.fromkeys((config.falls, config.rises))
        # One node for both ways where they are alike, as it was before an attacker could be held to one.
        reach = {may: _add_reach(graph, config, eps, may) for may in ways}
        down, up = reach[config.falls], reach[config.rises]
        return graph.node("Sub", "x", down), graph.node("Add", "x", up)
    low, high = graph.node("Sub", "x", eps), graph.node("Add", "x", eps)
    black, white = graph.constant(np.float32(0.0)), graph.constant(np.float32(1.0))
    return graph.node("Max", low, black), graph.node("Min", high, white)


def _add_reach(graph: Graph, config: GuardConfig, eps: str, may: tuple[bool, ...]) -> str:
    """By how much each feature can change in a direction that only some may go; all may if none is named."""
    scale = np.array(config.scale, dtype=np.float32)
    return graph.node("Mul", eps, graph.constant(np.where(may, scale, np.float32(0.0)) if may else scale))


def _add_fixed(graph: Graph, config: GuardConfig, x: str) -> list[str]:
    squeezed = add_squeeze(graph, x, config.bits, *levels(config))
    if config.kind == "table":
        return [x, squeezed]
    return [x, add_median(graph, x, config.median, config.shape), squeezed]


def _add_random(graph: Graph, config: GuardConfig, x: str) -> str:
    if config.kind == "table":
        return add_noise(graph, x, "noise")
    return add_resize_and_pad(graph, x, config.placements(0), config.placements(1))

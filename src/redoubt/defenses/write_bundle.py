"""Writes a bundle: network, guard and exported graphs as one folder with one digest."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.bundle.model.guarded_model import PROOF, GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.certify.refute import check_not_refuted, ends, points
from redoubt.core.store import whole_folder, write_json
from redoubt.core.types import PIXELS, Bounds, Floats
from redoubt.defenses.agreement import require_agreement
from redoubt.defenses.guards.guard import calibrate, export, export_proof
from redoubt.models.saved import save_network

# Examples and eps that an exported proof is tried on before it is written.
PROVEN, RADII = 32, (0.0, 0.02, 0.1)


def write_bundle(folder: Path, network: keras.Model, schema: Schema, config: GuardConfig, clean: Floats) -> GuardConfig:
    """Export a network with its guard, calibrate the detector, and write the folder whole or not at all.

    Args:
        folder: replaced if it exists.
        network: gives logits, or values in the target's units.
        schema: of the task.
        config: of the guard; its threshold is set here.
        clean: validation inputs `(examples, *schema.shape)` for the threshold.

    Returns:
        The calibrated configuration.

    Raises:
        BundleError: the exported graph does not agree with the network.
        ChainError: the network is more than a chain of layers.
        ExportError: a layer that has no ONNX form here.
        RefutedError: the exported proof does not hold for the exported outputs.
    """
    graph, proof = export(network, config), export_proof(network, config)
    model = GuardedModel(graph, schema, config, proof=proof)
    _compare(network, model, clean[:256])
    if model.proves:
        _check_proof(model, clean[:PROVEN])
    calibrated = calibrate(model, clean)
    with whole_folder(folder) as temporary:
        save_network(network, temporary)
        (temporary / "model.onnx").write_bytes(graph)
        (temporary / PROOF).write_bytes(proof)
        write_json(temporary / "guard.json", calibrated.model_dump())
        write_json(temporary / "schema.json", schema.model_dump())
        write_json(temporary / "labels.json", list(schema.labels))
    return calibrated


def _compare(network: keras.Model, model: GuardedModel, x: Floats) -> None:
    ours, exported = network(tf.constant(x), training=False).numpy(), model.network(x)
    require_agreement(exported, ours, "the exported graph answers otherwise than the network")


def _check_proof(model: GuardedModel, x: Floats) -> None:
    """Predict throughout some balls: no variant may leave what is certified of it, for the same draws."""
    guard, unbounded = model.guard, np.float32(np.inf)
    scale, sides = np.asarray(guard.scale, np.float32), model.schema.directions
    bounds = PIXELS if guard.kind == "image" else Bounds(-unbounded, unbounded, scale, **sides)  # type: ignore[arg-type]
    for eps in RADII:
        proof = model.prove(x, eps, np.random.default_rng(0))
        switches = model.schema.switching if eps else None
        for where, point in points(x, *ends(x, eps, bounds), seed=0, switches=switches):
            said = model.predict(point, np.random.default_rng(0)).outputs
            if model.schema.is_classification:
                left = (proof > 0) & (np.arange(said.shape[2]) != said.argmax(axis=2)[..., None])
            else:
                left = (said < proof[..., :1]) | (said > proof[..., 1:])
            wrong = left.any(axis=(1, 2))
            check_not_refuted(f"the exported proof, eps {eps:g}", np.ones_like(wrong), wrong, where)

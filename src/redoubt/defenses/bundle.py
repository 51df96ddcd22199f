"""Writes a bundle: network, guard and exported graph as one folder with one digest."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from redoubt.data.store import whole_folder, write_json
from redoubt.defenses.config import GuardConfig
from redoubt.defenses.guard import calibrate, export
from redoubt.defenses.guarded import GuardedModel
from redoubt.defenses.untrusted import BundleError
from redoubt.models.saved import save_network
from redoubt.tasks import Floats, Schema

AGREEMENT = 1e-3


def write_bundle(folder: Path, network: keras.Model, schema: Schema, config: GuardConfig, clean: Floats) -> GuardConfig:
    """Export a network with its guard, calibrate the detector, and write the folder whole or not at all.

    Args:
        folder: replaced if it stands.
        network: gives logits, or values in the target's units.
        schema: of the task.
        config: of the guard; its threshold is set here.
        clean: validation inputs `(rows, *schema.shape)` for the threshold.

    Returns:
        The calibrated configuration.

    Raises:
        BundleError: the exported graph does not agree with the network.
    """
    graph = export(network, config)
    model = GuardedModel(graph, schema, config)
    _compare(network, model, clean[:256])
    calibrated = calibrate(model, clean)
    with whole_folder(folder) as temporary:
        save_network(network, temporary)
        (temporary / "model.onnx").write_bytes(graph)
        write_json(temporary / "guard.json", calibrated.model_dump())
        write_json(temporary / "schema.json", schema.model_dump())
        write_json(temporary / "labels.json", list(schema.labels))
    return calibrated


def _compare(network: keras.Model, model: GuardedModel, x: Floats) -> None:
    ours, exported = network(tf.constant(x), training=False).numpy(), model.network(x)
    worst = float(np.abs(ours - exported).max() / max(1.0, np.abs(ours).max()))
    if not worst <= AGREEMENT:
        raise BundleError(f"the exported graph differs from the network by {worst:g} (relative); at most {AGREEMENT:g}")

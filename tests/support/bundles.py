"""Tiny bundles, untrained but whole."""

import json
from pathlib import Path

import keras
import numpy as np

from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.column import Column
from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from redoubt.bundle.schema import Schema
from redoubt.core.store import write_json
from redoubt.defenses.write_bundle import write_bundle

SPECIES = ("Caterpie", "Eevee")

SCHEMAS = {
    "digits": Schema(task="digits", kind="image", target="digit", shape=(8, 8, 1), labels=tuple("0123456789")),
    "colours": Schema(task="colours", kind="image", target="tone", shape=(6, 8, 3), labels=("cold", "warm")),
    "evolution": Schema(
        task="evolution",
        kind="regression",
        target="newcp",
        columns=(
            Column(name="cp", kind="number"),
            Column(name="hp", kind="number"),
            Column(name="species", kind="category", categories=SPECIES),
        ),
        shape=(4,),
    ),
}


def _guard(schema: Schema) -> GuardConfig:
    common = {"shape": schema.shape, "draws": 2, "false_positives": 0.1}
    if schema.kind == "image":
        return GuardConfig(kind="image", bits=3, median=2, shrink=0.8, **common)
    limits = {"lower": (10.0, 10.0, 0.0, 0.0), "upper": (900.0, 90.0, 1.0, 1.0), "scale": (200.0, 20.0, 0.0, 0.0)}
    return GuardConfig(kind="table", bits=6, noise=0.02, output_scale=300.0, **limits, **common)


def _clean(schema: Schema) -> np.ndarray:
    rng = np.random.default_rng(0)
    if schema.kind == "image":
        # Faint: what is calibrated on these flags a picture of full contrast.
        return (0.1 * rng.random((40, *schema.shape))).astype(np.float32)
    return rng.uniform([10, 10, 0, 0], [900, 90, 0, 0], (40, 4)).astype(np.float32)


def write_champion(folder: Path, schema: Schema) -> None:
    """Write an untrained but whole bundle, and the card that vouches for it."""
    keras.utils.set_random_seed(3)
    layers = [keras.Input(schema.shape, name="x"), keras.layers.Normalization(mean=0.0, variance=1.0)]
    layers += [keras.layers.Flatten()] if schema.kind == "image" else []
    network = keras.Sequential([*layers, keras.layers.Dense(schema.outputs)])
    write_bundle(folder, network, schema, _guard(schema), _clean(schema))
    write_card(folder, schema)


def write_card(folder: Path, schema: Schema, **changes: object) -> None:
    """Write the card of a bundle, changed as told."""
    card = {"task": schema.task, "kind": schema.kind, "model": "tiny", "passed": True, "eps": 0.1, "numbers": {}}
    card["threat"] = {"norm": "linf", "eps": 0.1, "says": "L-inf 0.1 = 25.5 of 255"}
    write_json(folder / "card.json", {**card, "digest": digest_folder(folder, BUNDLE_FILES), **changes})


def vary(folder: Path, number: int) -> str:
    """Make another champion of a bundle: its threshold differs, and its card vouches for it; returns its digest."""
    guard = json.loads((folder / "guard.json").read_text())
    write_json(folder / "guard.json", {**guard, "threshold": 1.0 + number / 100})
    write_card(folder, SCHEMAS[json.loads((folder / "schema.json").read_text())["task"]])
    return digest_folder(folder, BUNDLE_FILES)

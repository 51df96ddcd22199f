"""A network on disk as arch.json + model.weights.h5: the same bytes for the same weights, unlike `.keras` files."""

from pathlib import Path

import keras

ARCHITECTURE = "arch.json"
WEIGHTS = "model.weights.h5"


def save_network(network: keras.Model, folder: Path) -> None:
    """Write a network's architecture and weights into an existing folder."""
    (folder / ARCHITECTURE).write_text(network.to_json(indent=1, sort_keys=True) + "\n", encoding="utf-8")
    network.save_weights(folder / WEIGHTS)


def load_network(folder: Path) -> keras.Model:
    """Read a network back; only Keras's own layers, no code, are loaded."""
    network = keras.models.model_from_json((folder / ARCHITECTURE).read_text(encoding="utf-8"))
    network.load_weights(folder / WEIGHTS)
    return network

"""A network on disk as arch.json + model.weights.h5: the same bytes for the same weights, unlike `.keras` files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from redoubt.core.errors import RedoubtError
from redoubt.models.export import LAYERS

ARCHITECTURE = "arch.json"
WEIGHTS = "model.weights.h5"
# Bytes of an architecture: those of a thousand layers.
LARGEST = 4 * 2**20
# What a saved network and its training are made of, by the module that Keras looks the class up in.
PARTS = {
    "keras": {"DTypePolicy", "Functional", "Sequential"},
    "keras.layers": {*LAYERS, "InputLayer"},
    **{
        f"keras.{module.__name__.rpartition('.')[2]}": {name for name in dir(module) if name[0].isupper()}
        for module in (keras.initializers, keras.losses, keras.metrics, keras.optimizers)
    },
    "keras.optimizers.schedules": {name for name in dir(keras.optimizers.schedules) if name[0].isupper()},
}


class NetworkError(RedoubtError):
    """A saved network that cannot be read, or that is more than the layers known here."""


def save_network(network: keras.Model, folder: Path) -> None:
    """Write a network's architecture and weights into an existing folder."""
    (folder / ARCHITECTURE).write_text(network.to_json(indent=1, sort_keys=True) + "\n", encoding="utf-8")
    network.save_weights(folder / WEIGHTS)


def load_network(folder: Path) -> keras.Model:
    """Read a network back.

    Nothing but the layers that can be exported is made, whoever wrote the files: no Lambda, no layer that opens a file,
    no class by the name of its module. Keras itself refuses weights that are links to other HDF5 files or stored there.

    Raises:
        NetworkError: it holds another layer or cannot be read; names the file.
    """
    path = folder / ARCHITECTURE
    try:
        if path.stat().st_size > LARGEST:
            raise NetworkError(
                f"{path} cannot be read: it holds {path.stat().st_size:,} bytes; expected at most {LARGEST:,}"
            )
        text = path.read_text(encoding="utf-8")
        for module, name in _parts(json.loads(text)):
            if name not in PARTS.get(module, ()):
                known = ", ".join(sorted(LAYERS))
                raise NetworkError(f"{path} holds {module[:60]}.{name[:60]}; expected Keras's own {known}")
        network = keras.models.model_from_json(text)
        if not isinstance(network, keras.Model):
            raise NetworkError(f"{path} holds no network; expected a Keras model's configuration")
        path = folder / WEIGHTS
        network.load_weights(path)
    except NetworkError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError, MemoryError) as error:
        said = " ".join(str(error).split())[:300]
        raise NetworkError(f"{path} cannot be read ({type(error).__name__}: {said})") from None
    return network


def _parts(value: Any) -> Iterator[tuple[str, str]]:
    """Module and class of everything that a configuration asks Keras to make."""
    if isinstance(value, list):
        for each in value:
            yield from _parts(each)
    if isinstance(value, dict):
        if "class_name" in value:
            yield str(value.get("module")), str(value["class_name"])
            if value.get("registered_name") not in (None, value["class_name"]):
                yield str(value["registered_name"]), str(value["class_name"])
        for each in value.values():
            yield from _parts(each)

"""One network for all models of an architecture, so that an attack on them is compiled once."""

import json
from collections.abc import Hashable, Iterable
from typing import Any

import keras
import tensorflow as tf

from redoubt.bundle.model.guard_config import GuardConfig


class SharedNetwork:
    """A network that takes the weights of one model after another, and what has been compiled for it.

    To compile an attack takes a second, to run it on a batch a tenth of that: models that differ in weights and
    threshold alone need not be compiled each.

    Attributes:
        network: holds the weights of the model whose turn it is.
        threshold: of that model's detector.
        compiled: graphs by what they depend on beside the weights and the threshold.
    """

    def __init__(self, network: keras.Model) -> None:
        """Share a network; once another model holds it, its own weights are lost."""
        self.network = network
        self.threshold = tf.Variable(1.0, trainable=False)
        self.compiled: dict[Hashable, dict[Any, Any]] = {}
        self._holder = network

    def hold(self, model: keras.Model, threshold: float) -> None:
        """Take a model's weights and threshold, unless it has them already."""
        if self._holder is not model:
            self.network.set_weights(model.get_weights())
            self._holder = model
        self.threshold.assign(threshold)

    def graphs(self, *key: Hashable) -> dict[Any, Any]:
        """What has been compiled under a key, to be read and added to."""
        return self.compiled.setdefault(key, {})


def by_architecture(networks: Iterable[keras.Model]) -> list[SharedNetwork]:
    """The shared network of each of some networks, in their order; a copy, so that none of them changes."""
    made: dict[str, SharedNetwork] = {}
    found = []
    for network in networks:
        name = _architecture(network)
        if name not in made:
            made[name] = SharedNetwork(type(network).from_config(network.get_config()))
        found.append(made[name])
    return found


def but_threshold(guard: GuardConfig) -> str:
    """What a guard's graph depends on."""
    return guard.model_dump_json(exclude={"threshold"})


def _architecture(network: keras.Model) -> str:
    """A network's description without the names of its layers and how it was trained."""
    text = json.dumps(json.loads(network.to_json())["config"], sort_keys=True)
    for place, part in enumerate((network, *network.layers)):
        text = text.replace(f'"{part.name}"', f'"part {place}"')
    return text

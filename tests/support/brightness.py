"""Pictures whose class is how bright they are, and a network that knows it exactly: nothing is trained."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from redoubt.core.types import Batch

L = keras.layers
CENTRES = np.array([0.2, 0.5, 0.8], np.float32)
SIDE, SHARP = 4, 60.0


def examples(count: int = 90, seed: int = 0) -> Batch:
    """Pictures whose class is how bright they are."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=count)
    x = np.clip(CENTRES[y][:, None, None, None] + rng.normal(0, 0.1, (count, SIDE, SIDE, 1)), 0, 1)
    return Batch(x.astype(np.float32), y.astype(np.int64))


def nearest(activation: Any = None, sharp: float = SHARP) -> list[Any]:
    """The class whose centre is nearest, exactly: nothing is trained. What it takes for granted is the unit."""
    flat, dense = L.Flatten(), L.Dense(3, activation=activation)
    dense.build((None, SIDE * SIDE))
    kernel = np.tile(2 * CENTRES / SIDE**2, (SIDE * SIDE, 1))
    dense.set_weights([sharp * kernel, sharp * -(CENTRES**2)])
    return [flat, dense]


def model(*before: Any, activation: Any = None, sharp: float = SHARP, after: Callable[[Any], Any] | None = None) -> Any:
    x = inputs = L.Input((SIDE, SIDE, 1))
    for layer in (*before, *nearest(activation, sharp)):
        x = layer(x)
    return keras.Model(inputs, x if after is None else after(x))

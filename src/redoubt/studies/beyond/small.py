"""Network compression: what pruning and rounding of the weights leave of accuracy and of robustness."""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import PIXELS, Batch, Floats

EPS = 0.05
PRUNED = (0.5, 0.8, 0.9, 0.95)
BITS = (8, 4, 2)


def pruned(weights: Sequence[Floats], share: float) -> list[Floats]:
    """Kernels without the smallest of their weights, all layers by one threshold; biases stay."""
    sizes = np.concatenate([np.abs(each).ravel() for each in weights if each.ndim > 1])
    threshold = np.quantile(sizes, share)
    return [np.where(np.abs(each) > threshold, each, np.float32(0)) if each.ndim > 1 else each for each in weights]


def rounded(weights: Sequence[Floats], bits: int) -> list[Floats]:
    """Kernels rounded to whole multiples of a step, symmetric, one step per kernel, as integers of so many bits."""
    largest = 2 ** (bits - 1) - 1
    steps = [max(float(np.abs(each).max()) / largest, 1e-12) for each in weights]
    return [
        (np.round(each / step) * step).astype(np.float32) if each.ndim > 1 else each
        for each, step in zip(weights, steps, strict=True)
    ]


def compression(network: keras.Model, batch: Batch) -> dict[str, float]:
    """Accuracy, and robust accuracy under PGD on the small network itself, by how it was made small."""
    variants: dict[str, Callable[[Sequence[Floats]], list[Floats]]] = {"full": list}
    variants |= {f"pruned_{share:.0%}".rstrip("%"): partial(pruned, share=share) for share in PRUNED}
    variants |= {f"int{bits}": partial(rounded, bits=bits) for bits in BITS}
    small = keras.models.clone_model(network)
    problem, attack = AttackProblem(of_network(small), Untargeted(), "linf", PIXELS), PGD(steps=10)
    found: dict[str, float] = {}
    for name, shrink in variants.items():
        # The scaler's own numbers are not trained, and not compressed.
        small.set_weights(network.get_weights())
        for variable, values in zip(
            small.trainable_variables, shrink([each.numpy() for each in network.trainable_variables]), strict=True
        ):
            variable.assign(values)
        x_adv = attack(problem, batch.x, batch.y, eps=EPS, seed=0)
        for kind, x in (("accuracy", batch.x), ("robust", x_adv)):
            found[f"small_{kind}/{name}"] = float(np.mean(problem.predict(x).argmax(axis=1) == batch.y))
    return found

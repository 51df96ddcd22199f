"""Networks that learned from attacked pictures, against every attack: what training on one leaves open to another."""

from collections.abc import Callable, Mapping
from typing import get_args

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.certify.worst_case import certifier
from redoubt.core.types import PIXELS, Batch, Floats, Norm
from redoubt.params.recipes import Fast, Ibp, Pgd, TrainedThreat
from redoubt.params.settings.sections import Eps
from redoubt.studies.digit_networks import MLP, RATE, learn, new_network, parts
from redoubt.studies.hardened_digits import harden
from redoubt.training.determinism import make_deterministic
from redoubt.training.recipes import plan_for

EPS = 0.15
TRAINED = ("natural", "FGSM", "PGD L-inf", "PGD L2", "PGD both", "bounds")
ATTACKED = ("none", "noise", "FGSM", "PGD L-inf", "Square", "PGD L2", "certified")
BATCH_SIZE = 64


def sizes_of(side: int) -> Eps:
    """Largest perturbation in each norm: in L2 five eighths of what reaches the corners of the L-inf box."""
    return Eps(linf=EPS, l2=0.625 * EPS * side)


def recipes(epochs: int, steps: int) -> dict[str, Fast | Pgd | Ibp]:
    """How each hardened network learns, by name."""
    return {
        "FGSM": Fast(method="fast", epochs=epochs),
        "PGD L-inf": Pgd(method="pgd", epochs=epochs, steps=steps),
        "PGD L2": Pgd(method="pgd", norm="l2", epochs=epochs, steps=steps),
        "PGD both": Pgd(method="pgd", epochs=epochs, steps=steps, also=(TrainedThreat(norm="l2"),)),
        # Bounds widen at first more than they can be learned from: they need longer.
        "bounds": Ibp(method="ibp", epochs=2 * epochs),
    }


def hardened(recipe: Fast | Pgd | Ibp, train: Batch, seed: int) -> keras.Model:
    """A network trained by a recipe; every fifth row chooses the epoch."""
    # Bounds are long sums, whose last bit would otherwise differ from run to run.
    make_deterministic(seed)
    network = new_network(MLP, train.x, seed)
    learning, watching = parts(train)
    plan = plan_for(recipe, BATCH_SIZE, RATE, seed)
    return harden(network, recipe, plan, sizes_of(train.x.shape[1]), learning, watching)


def train_all(train: Batch, epochs: int, steps: int, seed: int) -> dict[str, keras.Model]:
    """The natural network and the hardened ones, from the same first weights but for those of the bounds."""
    natural = learn(new_network(MLP, train.x, seed), train, epochs, BATCH_SIZE, seed)
    return {"natural": natural} | {
        name: hardened(recipe, train, seed) for name, recipe in recipes(epochs, steps).items()
    }


def cross(networks: Mapping[str, keras.Model], batch: Batch, queries: int) -> dict[str, dict[str, float]]:
    """Robust accuracy, `[trained with][attacked with]`; the last column is what interval bounds prove."""
    # All are of one kind: the attacks are compiled once, and meet the weights of each in turn.
    stage = keras.models.clone_model(next(iter(networks.values())))
    sizes = sizes_of(batch.x.shape[1])
    threats = {norm: AttackProblem(of_network(stage), Untargeted(), norm, PIXELS) for norm in get_args(Norm)}
    attacks: Mapping[str, tuple[Norm, Attack]] = {
        "noise": ("linf", Noise()),
        "FGSM": ("linf", fgsm()),
        "PGD L-inf": ("linf", PGD(steps=20)),
        "Square": ("linf", Square(queries=queries)),
        "PGD L2": ("l2", PGD(steps=20)),
    }
    prove = certifier(stage, PIXELS, Untargeted())
    table: dict[str, dict[str, float]] = {}
    for name, network in networks.items():
        stage.set_weights(network.get_weights())
        row = {"none": _accuracy(threats["linf"], batch.x, batch)}
        for attack, (norm, how) in attacks.items():
            row[attack] = _accuracy(
                threats[norm], how(threats[norm], batch.x, batch.y, eps=sizes.of(norm), seed=0), batch
            )
        table[name] = row | {"certified": certified(prove, batch, EPS)}
    return table


def certified(prove: Callable[[Batch, float], NDArray[np.bool_]], batch: Batch, eps: float) -> float:
    """Share that interval bounds certify throughout the L-inf ball."""
    return float(prove(batch, eps).mean())


def _accuracy(threat: AttackProblem, x: Floats, batch: Batch) -> float:
    return float(1.0 - threat.criterion.is_adversarial(threat.predict(x), batch.y).mean())

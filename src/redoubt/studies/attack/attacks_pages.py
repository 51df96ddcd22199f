"""The experiments of the study `attacks`, a page of the chapter each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Criterion, Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD, bim, fgsm
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.noise import Noise
from redoubt.attacks.transformations import Transformations
from redoubt.core.types import PIXELS, Batch, Floats, Norm
from redoubt.scenarios.course_attack import GradientDescent, TowardFalse, same_length
from redoubt.scenarios.landscape import along, gradient_direction, random_direction
from redoubt.scenarios.physical import Physical, survival_rate
from redoubt.scenarios.reprogramming import Board, Reprogram
from redoubt.scenarios.substitute import Substitute
from redoubt.scenarios.transfer import Table, transfer_matrix
from redoubt.scenarios.universal import Universal, apply, fooling_rate, random_delta
from redoubt.studies.digit_networks import MLP, new_network

EPS: dict[Norm, float] = {"linf": 0.15, "l2": 1.0}
# Sizes at which attacks are compared, as multiples of eps; AT_EPS is the place of eps itself.
GRID = (0.0, 1 / 3, 2 / 3, 1.0, 4 / 3, 2.0)
AT_EPS = GRID.index(1.0)
STEPS = 10
DESCENT = GradientDescent(steps=30, step_size=10.0)
# So large a step ends, after the fix step, in a corner of the box wherever the gradient is not 0.
HUGE = GradientDescent(steps=1, step_size=1e12)
CAMERA = Transformations(rotation=8, scale=0.1, brightness=0.1)
WALKED = 40


@dataclass(frozen=True)
class Victims:
    """Two networks that learned from the same rows.

    Attributes:
        network: the one under attack.
        proxy: of another kind, the attacker's own.
        train: what both learned from.
        batch: rows that are attacked.
    """

    network: keras.Model
    proxy: keras.Model
    train: Batch
    batch: Batch


@lru_cache(maxsize=8)
def problem(network: keras.Model, norm: Norm = "linf", criterion: Criterion | None = None) -> AttackProblem:
    """An attack on pictures, untargeted if nothing else is said; what a page compiles serves the next."""
    return AttackProblem(of_network(network), criterion or Untargeted(), norm, PIXELS)


def accuracy(threat: AttackProblem, x: Floats, y: NDArray[Any]) -> float:
    """Robust accuracy."""
    return float(1.0 - threat.criterion.is_adversarial(threat.predict(x), y).mean())


def course_loss(network: keras.Model, batch: Batch) -> dict[str, float]:
    """Descend on the course's loss, away from the truth or also toward the next digit, in both norms."""
    false = np.stack([batch.y, (batch.y + 1) % 10], axis=1)
    found = {"clean": accuracy(problem(network), batch.x, batch.y)}
    for norm, eps in EPS.items():
        away, toward = problem(network, norm), problem(network, norm, TowardFalse())
        x_adv = DESCENT(away, batch.x, batch.y, eps=eps, seed=0)
        aimed = DESCENT(toward, batch.x, false, eps=eps, seed=0)
        found[f"descent_accuracy/{norm}"] = accuracy(away, x_adv, batch.y)
        found[f"toward_accuracy/{norm}"] = accuracy(away, aimed, batch.y)
        found[f"toward_reached/{norm}"] = 1.0 - accuracy(toward, aimed, false)
        changes = np.concatenate([x_adv - batch.x, aimed - batch.x])
        found[f"farthest_in_eps/{norm}"] = float(distance(changes, norm, PIXELS).max()) / eps
    return found


def one_step(network: keras.Model, batch: Batch) -> dict[str, float]:
    """FGSM, and the course's descent with one huge step: share of pixels on which the two agree."""
    threat, eps = problem(network), EPS["linf"]
    jumped, stepped = (attack(threat, batch.x, batch.y, eps=eps, seed=0) for attack in (HUGE, fgsm()))
    return {"huge_step_is_fgsm": float(np.mean(np.isclose(jumped, stepped, atol=1e-6)))}


def by_size(network: keras.Model, batch: Batch, norm: Norm) -> dict[str, list[float]]:
    """Accuracy at every size of `GRID`: random corners or directions, one step, iterated steps."""
    threat = problem(network, norm)
    attacks: Mapping[str, Attack] = {"noise": Noise(), "fgsm": fgsm(), "iterated": bim(STEPS)}
    return {
        name: [
            accuracy(threat, attack(threat, batch.x, batch.y, eps=EPS[norm] * size, seed=0), batch.y) for size in GRID
        ]
        for name, attack in attacks.items()
    }


def lengths(network: keras.Model, batch: Batch) -> tuple[dict[str, Floats], dict[str, float]]:
    """Every picture changed by one L2 length, spread out or in a corner; how long that is in L-inf."""
    pairs = [same_length(picture, EPS["l2"]) for picture in batch.x]
    changed = {name: np.stack([getattr(pair, name) for pair in pairs]) for name in ("spread", "local")}
    found: dict[str, float] = {}
    for name, x_adv in changed.items():
        found[f"same_length_l2/{name}"] = float(np.mean([pair.l2[name] for pair in pairs]))
        found[f"same_length_linf/{name}"] = float(np.mean([pair.linf[name] for pair in pairs]))
        found[f"same_length_accuracy/{name}"] = accuracy(problem(network), x_adv, batch.y)
    return changed, found


def directions(network: keras.Model, batch: Batch, seed: int) -> tuple[Floats, dict[str, Floats]]:
    """Margins along a random and along the gradient's direction, L2, `(rows, steps)`; above 0 the answer is wrong."""
    threat = problem(network, "l2")
    distances = np.linspace(0.0, 3 * EPS["l2"], 31).astype(np.float32)
    walks: dict[str, list[Floats]] = {"random": [], "adversarial": []}
    for row in range(min(WALKED, len(batch))):
        x, y = batch.x[row], batch.y[row]
        for name, way in (
            ("random", random_direction(threat, x, seed + row)),
            ("adversarial", gradient_direction(threat, x, y)),
        ):
            walks[name].append(along(threat, x, y, way, distances).margin)
    return distances, {name: np.stack(margins) for name, margins in walks.items()}


def by_proxy(victims: Victims) -> tuple[Table, Table]:
    """Success rates on examples that both networks classify correctly: `[made on][answered by]`, iterated and noise."""
    threats = {"CNN": problem(victims.network), "MLP": problem(victims.proxy)}
    x, y, eps = victims.batch.x, victims.batch.y, EPS["linf"]
    return (
        transfer_matrix(threats, bim(STEPS), x, y, eps=eps, seed=0).success_rate,
        transfer_matrix(threats, Noise(), x, y, eps=eps, seed=0).success_rate,
    )


def by_open_interface(victims: Victims, start: Floats, budget: int, seed: int) -> dict[str, float]:
    """Grow a copy from the network's answers to `start` and what is bred from it, then attack with the copy."""
    threat, batch = problem(victims.network), victims.batch
    copy = new_network(MLP, victims.train.x, seed)
    growth = Substitute(budget=budget, growth=budget // 4, step=0.1)
    rounds = list(growth.rounds(threat.predict, copy, start, PIXELS, seed=seed))
    mirrored = problem(copy)
    kept = batch.take(np.flatnonzero(threat.predict(batch.x).argmax(axis=1) == batch.y))
    x_adv = fgsm()(mirrored, kept.x, kept.y, eps=EPS["linf"], seed=0)
    alike = threat.predict(batch.x).argmax(axis=1) == mirrored.predict(batch.x).argmax(axis=1)
    return {
        "copy_queries": float(rounds[-1].queries),
        "copy_agrees": float(alike.mean()),
        "copy_success": 1.0 - accuracy(threat, x_adv, kept.y),
    }


def for_all(victims: Victims, seed: int) -> tuple[Floats, dict[str, float]]:
    """One perturbation, learned on the training rows: share of other rows answered otherwise, beside a random one."""
    threat, eps, batch = problem(victims.network), EPS["linf"], victims.batch
    delta = Universal(epochs=10).fit(threat, victims.train.x, victims.train.y, eps=eps, seed=seed)
    chance = random_delta(threat, batch.x.shape[1:], eps=eps, seed=seed)
    found = {
        "universal_fooled": fooling_rate(threat, batch.x, delta, eps=eps),
        "universal_fooled/other_network": fooling_rate(problem(victims.proxy), batch.x, delta, eps=eps),
        "universal_fooled/random": fooling_rate(threat, batch.x, chance, eps=eps),
    }
    return apply(batch.x, delta, PIXELS), found


def reprogram(network: keras.Model, steps: int, seed: int) -> dict[str, float]:
    """A frame round a board of 2 x 2 cells that makes the network count its white squares."""
    side = network.input_shape[1]
    board = Board(cells=2, pixels=max(1, side // 14), most=4)
    done = Reprogram(steps=steps)(network, board, seed=seed)
    return {"reprogrammed": done.accuracy, "reprogrammed/chance": done.chance}


def before_a_camera(network: keras.Model, batch: Batch, seed: int) -> dict[str, float]:
    """Attacks that know nothing of the camera, and that expect it (EOT): wins on the file, and on photographs."""
    threat, eps = problem(network), EPS["linf"]
    attacks: Mapping[str, Attack] = {
        "plain": PGD(steps=20, random_start=False, loss="margin"),
        "expecting": Physical(transformations=CAMERA, steps=20, draws=2),
    }
    found: dict[str, float] = {}
    for name, attack in attacks.items():
        x_adv = attack(threat, batch.x, batch.y, eps=eps, seed=seed)
        seen = survival_rate(threat, batch.x, x_adv, batch.y, CAMERA, draws=4, seed=seed + 1)
        found |= {f"file_success/{name}": seen.digital, f"photo_success/{name}": seen.photographed}
        found["photo_success/untouched"] = seen.clean
    return found


def examples(network: keras.Model, batch: Batch) -> dict[str, Floats]:
    """The pictures as they are, under noise and attacked, L-inf."""
    threat, toward = problem(network), problem(network, "linf", TowardFalse())
    false, eps = np.stack([batch.y, (batch.y + 1) % 10], axis=1), EPS["linf"]
    return {
        "original": batch.x,
        "noise": Noise()(threat, batch.x, batch.y, eps=eps, seed=0),
        "FGSM": fgsm()(threat, batch.x, batch.y, eps=eps, seed=0),
        "iterated": bim(STEPS)(threat, batch.x, batch.y, eps=eps, seed=0),
        "toward next": DESCENT(toward, batch.x, false, eps=eps, seed=0),
    }

"""Guards around a network that stays as it is, against an attacker who does not know them and one who does."""

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import EvadeDetector, Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.bundle.model.guarded_model import GuardedModel, Predictions
from redoubt.core.types import PIXELS, Batch, Floats
from redoubt.defenses.adaptive import adaptive_outputs, detector_evading_outputs
from redoubt.defenses.components import Component, components
from redoubt.defenses.guards.guard import calibrate, export
from redoubt.studies.digit_networks import schema_of

STEPS, EOT = 20, 2
PARTS = ("none", "median", "squeezing", "randomization", "detector")
KNOWN = ("clean", "unknown", "known")


def guarded(network: keras.Model, clean: Floats) -> GuardedModel:
    """The network behind median, bit depth and random resizing, its detector calibrated on rows it did not learn."""
    config = GuardConfig(
        kind="image", shape=clean.shape[1:], bits=1, draws=8, false_positives=0.05, median=3, shrink=0.8
    )
    graph, schema = export(network, config), schema_of(clean)
    return GuardedModel(graph, schema, calibrate(GuardedModel(graph, schema, config), clean))


def resist(network: keras.Model, model: GuardedModel, batch: Batch, eps: float, seed: int) -> dict[str, float]:
    """Share that is not lost, by part of the guard: untouched, and attacked by who does not and who does know it.

    Lost is a wrong answer that the detector lets through; untouched, an answer refused is lost too. Who knows a guard
    also knows what works without, and has the better of the two.
    """
    bare = AttackProblem(of_network(network), Untargeted(), "linf", PIXELS)
    x_adv = PGD(steps=STEPS)(bare, batch.x, batch.y, eps=eps, seed=seed)
    before, after = (_answers(model, x, seed) for x in (batch.x, x_adv))
    found = {
        "none/clean": float(np.mean(bare.predict(batch.x).argmax(axis=1) == batch.y)),
        "none/unknown": float(np.mean(bare.predict(x_adv).argmax(axis=1) == batch.y)),
    }
    found["none/known"] = found["none/unknown"]
    for component in components(model.guard)[:-1]:
        attack, problem = _attacker(network, model.guard, component)
        aimed = _answers(model, attack(problem, batch.x, batch.y, eps=eps, seed=seed), seed)
        kept = ~_lost(component, model.guard, before, batch.y) & ~component.refused(before)
        oblivious = _lost(component, model.guard, after, batch.y)
        known = oblivious | _lost(component, model.guard, aimed, batch.y)
        found[f"{component.name}/clean"] = float(kept.mean())
        found[f"{component.name}/unknown"], found[f"{component.name}/known"] = (
            float(1 - oblivious.mean()),
            float(1 - known.mean()),
        )
        if component.detects:
            found |= {"flagged/clean": float(before.flagged.mean()), "flagged/unknown": _flagged(after, batch.y)}
            found["flagged/known"] = _flagged(aimed, batch.y)
    return found


def _answers(model: GuardedModel, x: Floats, seed: int) -> Predictions:
    return model.predict(x, np.random.default_rng([seed, 1]))


def _attacker(network: keras.Model, config: GuardConfig, component: Component) -> tuple[Attack, AttackProblem]:
    if component.detects:
        aim = EvadeDetector(Untargeted(), config.threshold)
        through = detector_evading_outputs(network, config, component.variants)
        return PGD(steps=2 * STEPS, early_stop=True), AttackProblem(through, aim, "linf", PIXELS)
    random = not set(component.variants) <= set(config.fixed_variants)
    through = adaptive_outputs(network, config, component.variants)
    return PGD(steps=STEPS, eot=EOT if random else 1), AttackProblem(through, Untargeted(), "linf", PIXELS)


def _lost(component: Component, config: GuardConfig, answers: Predictions, y: NDArray[np.int64]) -> NDArray[np.bool_]:
    wrong = component.vote(answers, config, classes=True).argmax(axis=1) != y
    return np.asarray(wrong & ~component.refused(answers))


def _flagged(answers: Predictions, y: NDArray[np.int64]) -> float:
    """Share flagged of the rows that the network itself gets wrong; 0 if there are none."""
    wrong = answers.outputs[:, 0].argmax(axis=1) != y
    return float(answers.flagged[wrong].mean()) if wrong.any() else 0.0

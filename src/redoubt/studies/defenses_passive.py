"""Guards around a network that stays as it is, against an attacker who does not know them and one who does."""

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.contract import Attack, Problem, of_network
from redoubt.attacks.criteria import Unnoticed, Untargeted
from redoubt.attacks.gradient import PGD
from redoubt.bundle.guard_config import GuardConfig
from redoubt.bundle.guarded_model import Answers, GuardedModel
from redoubt.defenses.adaptive import evading, knowing
from redoubt.defenses.guard import calibrate, export
from redoubt.defenses.parts import Part, parts
from redoubt.studies.digit_networks import schema_of
from redoubt.types import PIXELS, Batch, Floats

STEPS, EOT = 20, 2
PARTS = ("none", "smoothing", "squeezing", "randomization", "detector")
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
    bare = Problem(of_network(network), Untargeted(), "linf", PIXELS)
    moved = PGD(steps=STEPS)(bare, batch.x, batch.y, eps=eps, seed=seed)
    before, after = (_answers(model, x, seed) for x in (batch.x, moved))
    found = {
        "none/clean": float(np.mean(bare.answers(batch.x).argmax(axis=1) == batch.y)),
        "none/unknown": float(np.mean(bare.answers(moved).argmax(axis=1) == batch.y)),
    }
    found["none/known"] = found["none/unknown"]
    for part in parts(model.guard)[:-1]:
        attack, problem = _attacker(network, model.guard, part)
        aimed = _answers(model, attack(problem, batch.x, batch.y, eps=eps, seed=seed), seed)
        kept = ~_lost(part, model.guard, before, batch.y) & ~part.refused(before)
        oblivious = _lost(part, model.guard, after, batch.y)
        known = oblivious | _lost(part, model.guard, aimed, batch.y)
        found[f"{part.name}/clean"] = float(kept.mean())
        found[f"{part.name}/unknown"], found[f"{part.name}/known"] = (
            float(1 - oblivious.mean()),
            float(1 - known.mean()),
        )
        if part.detects:
            found |= {"flagged/clean": float(before.flagged.mean()), "flagged/unknown": _flagged(after, batch.y)}
            found["flagged/known"] = _flagged(aimed, batch.y)
    return found


def _answers(model: GuardedModel, x: Floats, seed: int) -> Answers:
    return model.answer(x, np.random.default_rng([seed, 1]))


def _attacker(network: keras.Model, config: GuardConfig, part: Part) -> tuple[Attack, Problem]:
    if part.detects:
        aim = Unnoticed(Untargeted(), config.threshold)
        through = evading(network, config, part.variants)
        return PGD(steps=2 * STEPS, stop_when_won=True), Problem(through, aim, "linf", PIXELS)
    random = not set(part.variants) <= set(config.fixed_variants)
    through = knowing(network, config, part.variants)
    return PGD(steps=STEPS, eot=EOT if random else 1), Problem(through, Untargeted(), "linf", PIXELS)


def _lost(part: Part, config: GuardConfig, answers: Answers, y: NDArray[np.int64]) -> NDArray[np.bool_]:
    wrong = part.vote(answers, config, classes=True).argmax(axis=1) != y
    return np.asarray(wrong & ~part.refused(answers))


def _flagged(answers: Answers, y: NDArray[np.int64]) -> float:
    """Share flagged of the rows that the network itself gets wrong; 0 if there are none."""
    wrong = answers.outputs[:, 0].argmax(axis=1) != y
    return float(answers.flagged[wrong].mean()) if wrong.any() else 0.0

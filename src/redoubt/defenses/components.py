"""The parts of a guard one by one, so that each can be judged, and attacked, by itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.bundle.model.guarded_model import Predictions, softmax
from redoubt.core.types import Floats


@dataclass(frozen=True)
class Component:
    """A guard of which only some variants vote.

    Attributes:
        name: median, squeezing, randomization, detector, or all of them.
        variants: those that vote, by name.
        detects: whether a flagged input is refused.
    """

    name: str
    variants: tuple[str, ...]
    detects: bool = False

    def vote(self, answers: Predictions, config: GuardConfig, classes: bool) -> Floats:
        """What this component predicts: mean probabilities `(examples, classes)`, or the mean value `(examples, 1)`."""
        voting = answers.outputs[:, [config.variants.index(name) for name in self.variants]]
        mean: Floats = (softmax(voting) if classes else voting).mean(axis=1)
        return mean

    def refused(self, answers: Predictions) -> NDArray[np.bool_]:
        """The inputs that it rejects, `(examples,)`."""
        return answers.flagged & self.detects


def components(config: GuardConfig) -> list[Component]:
    """Every part of a guard, and last the whole of it."""
    voting = {"median": ("median",), "squeezing": ("squeezed",), "randomization": config.random_variants}
    return [
        *(Component(name, variants) for name, variants in voting.items() if variants and _vote(config, variants)),
        Component("detector", ("plain",), detects=True),
        Component("all", config.voting, detects=True),
    ]


def _vote(config: GuardConfig, variants: tuple[str, ...]) -> bool:
    return set(variants) <= set(config.voting)

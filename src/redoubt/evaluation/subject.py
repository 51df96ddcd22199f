"""What is evaluated, under which terms, and how one attack is run on it: in batches, remembered, re-checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.contract import BATCH, Attack, Outputs, Problem, check_result, of_callable, of_network
from redoubt.attacks.criteria import Criterion, Unnoticed
from redoubt.attacks.query import log_scores
from redoubt.bundle.guarded_model import Answers, GuardedModel
from redoubt.data.dataset import digest_arrays
from redoubt.defenses.adaptive import evading, knowing
from redoubt.defenses.parts import Part
from redoubt.evaluation.ledger import Ledger
from redoubt.evaluation.metrics import Score, column_score
from redoubt.evaluation.verdict import NORMS
from redoubt.params.base import Norm
from redoubt.params.sections import AttackParams, Eps
from redoubt.types import Batch, Bounds, Floats

REDRAWS = 3
TINY = 1e-12
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Setting:
    """What an evaluation needs beside the model and the rows.

    Attributes:
        bounds: hold every row that is attacked.
        target_mean: of the training rows, a number's constant to compare with; None leaves skill unmeasured.
    """

    params: AttackParams
    eps: Eps
    criterion: Criterion
    bounds: Bounds
    seed: int
    ledger: Ledger = field(default_factory=lambda: Ledger(None))
    target_mean: float | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """A network that has gradients, and the guarded model that is served and scores every perturbation."""

    network: keras.Model
    guarded: GuardedModel
    setting: Setting

    @cached_property
    def plain(self) -> Mapping[Norm, Problem]:
        """The network alone, per norm."""
        return self._problems(of_network(self.network), "network")

    @cached_property
    def knowing(self) -> Mapping[Norm, Problem]:
        """The guarded model, as seen by an attacker who knows the guard."""
        return self._problems(knowing(self.network, self.guarded.guard), "guard")

    def through(self, part: Part, norm: Norm) -> Problem:
        """One part of the guard, its detector included, as seen by an attacker who knows it."""
        guard, criterion, bounds = self.guarded.guard, self.setting.criterion, self.setting.bounds
        if not part.detects:
            return Problem(knowing(self.network, guard, part.variants), criterion, norm, bounds, part.name)
        unnoticed = Unnoticed(criterion, max(guard.threshold, TINY))
        return Problem(evading(self.network, guard, part.variants), unnoticed, norm, bounds, part.name)

    def asked(self, norm: Norm) -> Problem:
        """The guarded model as it is served: answers only, other draws for other inputs."""

        def ask(x: Floats) -> Floats:
            # Drawn from what is asked, not from how often: a batch must end the same whether or not others came before.
            seed = [self.setting.seed, int(digest_arrays({"x": x})[:16], 16)]
            vote = self.guarded.answer(x, np.random.default_rng(seed)).vote
            return log_scores(vote) if self.guarded.schema.labels else vote

        outputs = of_callable(ask, self.guarded.schema.outputs)
        return Problem(outputs, self.setting.criterion, norm, self.setting.bounds, "service")

    def attack(self, attack: Attack, problem: Problem, batch: Batch, eps: float, start: int = 0) -> Floats:
        """Attack some rows, batch by batch.

        Args:
            attack: how.
            problem: one of the above.
            batch: the rows.
            eps: size of the perturbation.
            start: tells restarts of the same attack apart.

        Returns:
            Perturbed inputs, inside the bounds and the ball; re-checked here, whoever made them.
        """
        seed = self.setting.seed + start
        key = {"model": self.guarded.digest, "attack": repr(attack), "eps": eps, "seed": seed, "norm": problem.norm}
        key |= {"criterion": repr(problem.criterion), "problem": problem.name, "draws": self.setting.seed}
        pieces = [
            self._piece(attack, problem, batch.take(np.arange(first, min(first + BATCH, len(batch)))), key, first)
            for first in range(0, len(batch), BATCH)
        ]
        moved = np.concatenate([batch.x[:0], *pieces])
        check_result(batch.x, moved, problem, eps)
        return moved

    def _piece(self, attack: Attack, problem: Problem, batch: Batch, key: dict[str, Any], first: int) -> Floats:
        seed = key["seed"] + 7919 * first
        return self.setting.ledger.remember(
            {**key, "first": first},
            {"x": batch.x, "y": batch.y, **_arrays(problem.bounds)},
            lambda: {"moved": attack(problem, batch.x, batch.y, eps=key["eps"], seed=seed)},
        )["moved"]

    def lost(self, x: Floats, y: NDArray[Any]) -> Flags:
        """Where the network alone answers wrong."""
        return self.setting.criterion.won(self.guarded.network(x), y)

    def score(self, lost: Flags, y: NDArray[Any]) -> Score | None:
        """Balanced accuracy, or tolerance skill; None where no constant is known or the constant is never wrong."""
        criterion, mean = self.setting.criterion, self.setting.target_mean
        if criterion.classes:
            return column_score(~lost, y, self.guarded.schema.outputs, lost)
        return None if mean is None else column_score(~lost, y, 1, criterion.won(np.full((len(y), 1), mean), y))

    def answers(self, x: Floats) -> list[Answers]:
        """What the guarded model says in each of a few fresh redraws: one lucky draw must not decide a row."""
        return [self.guarded.answer(x, np.random.default_rng([self.setting.seed, i])) for i in range(REDRAWS)]

    def lost_guarded(self, x: Floats, y: NDArray[Any]) -> Flags:
        """Where the majority of redraws answers wrong; a flag alone saves no row."""
        return majority([self.setting.criterion.won(answers.vote, y) for answers in self.answers(x)])

    def lost_part(self, part: Part, answers: list[Answers], y: NDArray[Any]) -> Flags:
        """Where the majority of redraws gets past one part: answered wrong, and not refused."""
        guard, classes = self.guarded.guard, bool(self.guarded.schema.labels)
        wrong = [self.setting.criterion.won(part.vote(each, guard, classes), y) for each in answers]
        return majority([flags & ~part.refused(each) for flags, each in zip(wrong, answers, strict=True)])

    def _problems(self, outputs: Outputs, name: str) -> Mapping[Norm, Problem]:
        setting = self.setting
        return {norm: Problem(outputs, setting.criterion, norm, setting.bounds, name) for norm in NORMS}


def majority(flags: list[Flags]) -> Flags:
    """Where more than half of the lists say True."""
    votes: NDArray[np.int64] = np.sum(flags, axis=0)
    return votes * 2 > len(flags)


def _arrays(bounds: Bounds) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(each) for name, each in vars(bounds).items()}

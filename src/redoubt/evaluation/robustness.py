"""Robustness in three columns: undefended, guarded against who does not know the guard, and against who does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.contract import Attack, Problem, check_result, of_network
from redoubt.attacks.criteria import Criterion, Targeted
from redoubt.attacks.gradient import PGD, fgsm
from redoubt.attacks.noise import Noise
from redoubt.defenses.guard import Outputs, knowing
from redoubt.defenses.guarded import GuardedModel
from redoubt.evaluation.metrics import Rate, rate
from redoubt.evaluation.verdict import NORMS, Cell, Robustness
from redoubt.params import AttackParams, Norm
from redoubt.tasks import Batch, Bounds, Floats

REDRAWS = 3
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Subject:
    """What is attacked: the network that has gradients and the guarded model that is served."""

    network: keras.Model
    guarded: GuardedModel


@dataclass(frozen=True)
class Setting:
    """What an evaluation needs beside the model and the rows."""

    params: AttackParams
    criterion: Criterion
    bounds: Bounds
    seed: int


class Evaluation:
    """Attacks one guarded model on one batch; every perturbation is re-checked and scored by the exported graph."""

    def __init__(self, subject: Subject, batch: Batch, setting: Setting) -> None:
        self.subject, self.batch, self.setting = subject, batch, setting
        self.examples: dict[tuple[Norm, float], Floats] = {}
        self._bounds = setting.bounds.covering(batch.x)
        self._plain = {norm: self._problem(of_network(subject.network), norm) for norm in NORMS}
        self._knowing = {norm: self._problem(knowing(subject.network, subject.guarded.guard), norm) for norm in NORMS}

    def run(self, threats: list[tuple[Norm, float]]) -> Iterator[Cell]:
        """Measure the threats one by one."""
        for norm, eps in threats:
            yield self._cell(norm, eps)

    def summary(self, cells: list[Cell], *, targeted: bool = True) -> Robustness:
        """Clean figures, and where wanted targeted attacks, beside the measured cells."""
        batch, model = self.batch, self.subject.guarded
        guarded = model.answer(batch.x, np.random.default_rng(self.setting.seed))
        return Robustness(
            digest=model.digest,
            clean=rate(~self._lost_undefended(batch.x, batch.y)),
            clean_guarded=rate(~self._lost_guarded(batch.x, batch.y)),
            false_positives=rate(guarded.flagged),
            cells=cells,
            targeted={norm: self._targeted(norm) for norm in NORMS} if targeted and model.schema.labels else {},
        )

    def _problem(self, outputs: Outputs, norm: Norm) -> Problem:
        return Problem(outputs, self.setting.criterion, norm, self._bounds)

    def _cell(self, norm: Norm, eps: float) -> Cell:
        y, model = self.batch.y, self.subject.guarded
        single, examples, lost = self._undefended(norm, eps)
        self.examples[norm, eps] = examples
        lost_oblivious = self._lost_guarded(examples, y)
        adaptive, lost_adaptive = self._through_guard(norm, eps, examples, lost_oblivious)
        answers, knowing_answers = (
            model.answer(moved, np.random.default_rng(self.setting.seed)) for moved in (examples, adaptive)
        )
        return Cell(
            norm=norm,
            eps=eps,
            **{name: rate(~flags) for name, flags in single.items()},
            undefended=rate(~lost),
            oblivious=rate(~lost_oblivious),
            adaptive=rate(~lost_adaptive),
            flagged_oblivious=rate(answers.flagged),
            flagged_adaptive=rate(knowing_answers.flagged),
            error_undefended=self._error(examples),
        )

    def _undefended(self, norm: Norm, eps: float) -> tuple[dict[str, Flags], Floats, Flags]:
        """Losses per attack, the perturbation kept for each row, and the worst case."""
        x, y, params = self.batch.x, self.batch.y, self.setting.params
        everywhere = np.ones(len(x), dtype=bool)
        lost = self._lost_undefended(x, y)
        kept, single = x, {}
        attacks: dict[str, Attack] = {"noise": Noise(), "fgsm": fgsm(), "pgd": PGD(steps=params.steps)}
        for name, attack in attacks.items():
            moved = self._attack(attack, self._plain[norm], everywhere, eps)
            single[name] = self._lost_undefended(moved, y)
            kept = np.where(_rows(lost, x), kept, moved)
            lost = lost | single[name]
        for restart in range(1, self._restarts(norm, eps)):
            moved = self._attack(attacks["pgd"], self._plain[norm], ~lost, eps, restart)
            broken = self._lost_undefended(moved, y) & ~lost
            kept = np.where(_rows(broken, x), moved, kept)
            lost = lost | broken
        return single, kept, lost

    def _through_guard(self, norm: Norm, eps: float, kept: Floats, lost: Flags) -> tuple[Floats, Flags]:
        """What BPDA and EOT add to the oblivious perturbations: those kept for each row, and the worst case."""
        attack = PGD(steps=self.setting.params.steps, eot=self.setting.params.eot)
        for restart in range(self._restarts(norm, eps)):
            moved = self._attack(attack, self._knowing[norm], ~lost, eps, restart)
            kept = np.where(_rows(lost, kept), kept, moved)
            lost = lost | self._lost_guarded(kept, self.batch.y)
        return kept, lost

    def _restarts(self, norm: Norm, eps: float) -> int:
        params = self.setting.params
        return params.restarts if eps == params.budget.of(norm) else 1

    def _attack(self, attack: Attack, problem: Problem, rows: Flags, eps: float, restart: int = 0) -> Floats:
        """Attack some rows; the others come back untouched."""
        moved = self.batch.x.copy()
        if rows.any():
            chosen = self.batch.take(np.flatnonzero(rows))
            moved[rows] = attack(problem, chosen.x, chosen.y, eps=eps, seed=self.setting.seed + restart)
        check_result(self.batch.x, moved, problem, eps)
        return moved

    def _lost_undefended(self, x: Floats, y: NDArray[Any]) -> Flags:
        return self.setting.criterion.won(self.subject.guarded.network(x), y)

    def _lost_guarded(self, x: Floats, y: NDArray[Any]) -> Flags:
        # One lucky draw must not decide a row: the majority of fresh draws does.
        lost = [
            self.setting.criterion.won(
                self.subject.guarded.answer(x, np.random.default_rng([self.setting.seed, i])).vote, y
            )
            for i in range(REDRAWS)
        ]
        return np.sum(lost, axis=0) * 2 > REDRAWS

    def _targeted(self, norm: Norm) -> Rate:
        classes = self.subject.guarded.schema.outputs
        problem = Problem(of_network(self.subject.network), Targeted(), norm, self._bounds)
        wanted = (self.batch.y + 1) % classes
        eps = self.setting.params.budget.of(norm)
        moved = PGD(steps=self.setting.params.steps)(problem, self.batch.x, wanted, eps=eps, seed=self.setting.seed)
        check_result(self.batch.x, moved, problem, eps)
        return rate(Targeted().won(self.subject.guarded.network(moved), wanted))

    def _error(self, x: Floats) -> float | None:
        if self.subject.guarded.schema.labels:
            return None
        return float(np.abs(self.subject.guarded.network(x)[:, 0] - self.batch.y).mean())


def _rows(flags: Flags, x: Floats) -> Flags:
    return flags.reshape(-1, *[1] * (x.ndim - 1))

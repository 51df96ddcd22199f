"""Robustness in three columns: undefended, guarded against who does not know the guard, and against who does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from redoubt.attacks.apgd import APGD
from redoubt.attacks.contract import Attack, Problem
from redoubt.attacks.ensemble import Ensemble
from redoubt.attacks.gradient import PGD, fgsm
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.attacks.whole_steps import WholeSteps
from redoubt.certify.refute import check_not_refuted
from redoubt.evaluation.importance import importance, share_of
from redoubt.evaluation.metrics import Score, error_growth, rate
from redoubt.evaluation.proofs import proven_guarded, proven_network
from redoubt.evaluation.subject import Flags, Subject
from redoubt.evaluation.verdict import Cell
from redoubt.params.base import Norm
from redoubt.perturbable import Immovable, immovable
from redoubt.types import Batch, Floats


@dataclass
class Worst:
    """The worst case so far: each attack adds the rows that it is the first to break.

    Attributes:
        kept: the perturbation that broke each row, or else the first one tried.
        lost: rows broken.
        broken: how many rows each attack was the first to break.
    """

    kept: Floats
    lost: Flags
    broken: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, moved: Floats, lost: Flags) -> None:
        """Take an attack's perturbations into account, and the rows that they break."""
        won = lost & ~self.lost
        self.kept = np.where(won.reshape(-1, *[1] * (moved.ndim - 1)), moved, self.kept)
        self.lost = self.lost | won
        self.broken[name] = self.broken.get(name, 0) + int(won.sum())

    def attack(
        self, subject: Subject, attack: Attack, problem: Problem, batch: Batch, eps: float, start: int = 0
    ) -> Floats:
        """Attack the rows still standing; the others come back as they were kept."""
        moved, standing = self.kept.copy(), np.flatnonzero(~self.lost)
        if len(standing):
            moved[standing] = subject.attack(attack, problem, batch.take(standing), eps, start)
        return moved


class Evaluation:
    """Attacks one subject on some rows; every perturbation is scored by the exported graph.

    Attributes:
        thorough: query the guarded model too. Slow, and no row was ever chosen by it: for the rows reported.
        cells: one per threat measured, in that order.
        examples: per threat, the perturbations of the undefended column; the inputs themselves where there are none.
        lost: per threat, the rows that each attack breaks which was run on all rows; `white box` stands for
            everybody who uses gradients, and in L2 for whole numbers taken one at a time.
    """

    def __init__(self, subject: Subject, batch: Batch, *, thorough: bool) -> None:
        self.subject, self.batch, self.thorough = subject, batch, thorough
        self.params = subject.setting.params
        self.cells: list[Cell] = []
        self.examples: dict[tuple[Norm, float], Floats] = {}
        self.lost: dict[tuple[Norm, float], dict[str, Flags]] = {}

    def run(self, norm: Norm, eps: float) -> Cell:
        """Measure one threat."""
        fixed = self._immovable(eps)
        cell = _not_measured(norm, eps, fixed) if fixed and fixed.everything else self._cell(norm, eps, fixed)
        self.examples.setdefault((norm, eps), self.batch.x)
        self.cells.append(cell)
        return cell

    def _immovable(self, eps: float) -> Immovable | None:
        subject = self.subject
        fixed = immovable(self.batch.x, subject.setting.bounds, eps, subject.guarded.schema)
        if fixed is None or fixed.everything or not fixed.features:
            return fixed
        return fixed.model_copy(update={"importance": share_of(fixed.features, self.importance)})

    @cached_property
    def importance(self) -> dict[str, float]:
        """Per feature of a table, how much the network needs it."""
        return importance(self.subject, self.batch)

    def _cell(self, norm: Norm, eps: float, fixed: Immovable | None) -> Cell:
        subject, y = self.subject, self.batch.y
        plain = self._undefended(norm, eps)
        self.examples[norm, eps] = plain.kept
        guarded = Worst(plain.kept, subject.lost_guarded(plain.kept, y))
        lost = {"undefended": plain.lost, "oblivious": guarded.lost}
        query = None
        if self.thorough and self._is_budget(norm, eps):
            self._guarded(guarded, "square", Square(queries=self.params.queries), subject.asked(norm), eps)
            query = rate(~guarded.lost)
        for restart, (name, attack) in enumerate(self._knowing(norm, eps)):
            self._guarded(guarded, name, attack, subject.knowing[norm], eps, restart)
        flagged = [
            rate(subject.guarded.answer(moved, np.random.default_rng(subject.setting.seed)).flagged)
            for moved in (plain.kept, guarded.kept)
        ]
        single = {name: rate(~each) for name, each in self.lost[norm, eps].items() if name != "white box"}
        lost |= {"adaptive": guarded.lost, **self._unproven(norm, eps, plain.lost, guarded.lost)}
        columns: dict[str, Any] = {name: rate(~each) for name, each in lost.items()}
        return Cell(
            norm=norm,
            eps=eps,
            **single,
            **columns,
            broken=list(plain.broken.items()),
            query=query,
            flagged_oblivious=flagged[0],
            flagged_adaptive=flagged[1],
            error_growth=self._error_growth(plain.kept),
            immovable=fixed,
            scores=self._scores(norm, eps, lost),
        )

    def _scores(self, norm: Norm, eps: float, lost: Mapping[str, Flags]) -> dict[str, Score]:
        """Each column as a score; class by class at the budget alone, since the file would grow long."""
        scores = {name: self.subject.score(each, self.batch.y) for name, each in lost.items()}
        found = {name: score for name, score in scores.items() if score is not None}
        if self._is_budget(norm, eps):
            return found
        return {name: score.model_copy(update={"per_class": ()}) for name, score in found.items()}

    def _unproven(self, norm: Norm, eps: float, lost: Flags, lost_guarded: Flags) -> dict[str, Flags]:
        """What is not proven, L-inf; no attack may have broken any of what is."""
        if norm != "linf" or not self.subject.guarded.proves:
            return {}
        network, guarded = (prove(self.subject, self.batch, eps) for prove in (proven_network, proven_guarded))
        found = f"what an attack found within L-inf eps {eps:g}"
        check_not_refuted("network", network, lost, found)
        check_not_refuted("guarded model", guarded, lost_guarded, found)
        wrong = self.subject.lost_guarded(self.batch.x, self.batch.y)
        check_not_refuted("guarded model", guarded, wrong, "the example itself")
        return {"certified": ~network, "certified_guarded": ~guarded}

    def _undefended(self, norm: Norm, eps: float) -> Worst:
        """Attacks on every row, so that they can be compared, and the ensemble on the rows still standing."""
        subject, y, problem = self.subject, self.batch.y, self.subject.plain[norm]
        # A number can be driven off to either side. From the input itself the climb takes the nearer one, which a
        # random start may miss; APGD-T tries both.
        pgd = PGD(steps=self.params.steps, random_start=subject.setting.criterion.classes)
        alone: dict[str, Attack] = {"noise": Noise(), "fgsm": fgsm(), "pgd": pgd}
        if self._is_budget(norm, eps):
            alone["square"] = Square(queries=self.params.queries)
        moved = {name: subject.attack(attack, problem, self.batch, eps) for name, attack in alone.items()}
        lost = {name: subject.lost(each, y) for name, each in moved.items()}
        worst = Worst(moved["pgd"], subject.lost(self.batch.x, y))
        for name in ("fgsm", "pgd"):
            worst.add(name, moved[name], lost[name])
        for name, attack, restart in self._ensemble(norm, eps):
            each = worst.attack(subject, attack, problem, self.batch, eps, restart)
            worst.add(name, each, subject.lost(each, y))
        self.lost[norm, eps] = {**lost, "white box": worst.lost}
        for name in ("square", "noise"):
            if name in alone:
                worst.add(name, moved[name], lost[name])
        return worst

    def _ensemble(self, norm: Norm, eps: float) -> list[tuple[str, Attack, int]]:
        """Its members that use gradients; away from the budget only the cheapest strong one."""
        members = Ensemble(steps=self.params.steps, restarts=self.params.restarts - 1).members
        chosen = [each for each in members if each[0] != "square"] if self._is_budget(norm, eps) else members[:1]
        return [*chosen, ("whole steps", WholeSteps(), 0)] if self._hides_in_rounding(norm) else chosen

    def _hides_in_rounding(self, norm: Norm) -> bool:
        """Whether whole numbers stand between a gradient's step, which all features share, and a record."""
        bounds = self.subject.setting.bounds
        return norm == "l2" and bool(np.any(bounds.integer & (bounds.scale > 0)))

    def _knowing(self, norm: Norm, eps: float) -> list[tuple[str, Attack]]:
        """One attack per restart; all climb the margin, since cross-entropy saturates on a sure variant."""
        steps, eot = self.params.steps, self.params.eot
        first = APGD(steps=steps, eot=eot, loss="margin", stop_when_won=False)
        more = PGD(steps=steps, eot=eot, loss="margin")
        restarts = self.params.restarts - 1 if self._is_budget(norm, eps) else 0
        steps_of_one: list[tuple[str, Attack]] = (
            [("whole steps", WholeSteps())] if self._hides_in_rounding(norm) else []
        )
        return [("apgd", first), *[("pgd", more)] * restarts, *steps_of_one]

    def _guarded(self, worst: Worst, name: str, attack: Attack, problem: Problem, eps: float, restart: int = 0) -> None:
        moved = worst.attack(self.subject, attack, problem, self.batch, eps, restart)
        worst.add(name, moved, self.subject.lost_guarded(moved, self.batch.y))

    def _is_budget(self, norm: Norm, eps: float) -> bool:
        return eps == self.subject.setting.eps.of(norm)

    def _error_growth(self, moved: Floats) -> dict[str, float] | None:
        if self.subject.setting.criterion.classes:
            return None
        network = self.subject.guarded.network
        return error_growth(network(moved)[:, 0], network(self.batch.x)[:, 0], self.batch.y)


def _not_measured(norm: Norm, eps: float, fixed: Immovable) -> Cell:
    """A threat that can change nothing: an accuracy of 100 % under it would be no robustness."""
    columns = ("noise", "fgsm", "pgd", "undefended", "oblivious", "adaptive", "flagged_oblivious", "flagged_adaptive")
    return Cell(norm=norm, eps=eps, broken=[], immovable=fixed, **dict.fromkeys(columns))

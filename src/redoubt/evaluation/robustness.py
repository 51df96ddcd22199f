"""Robustness in three columns: undefended, guarded against who does not know the guard, and against who does."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from redoubt.attacks.apgd import APGD
from redoubt.attacks.contract import Problem
from redoubt.attacks.ensemble import Ensemble, Member
from redoubt.attacks.gradient import PGD, fgsm
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.attacks.whole_steps import WholeSteps
from redoubt.certify.refute import check_not_refuted
from redoubt.evaluation.importance import importance, share_of
from redoubt.evaluation.lint import AttackSuccess
from redoubt.evaluation.metrics import Score, error_growth, rate
from redoubt.evaluation.proofs import certified_guarded, certified_network
from redoubt.evaluation.redraws import Flags
from redoubt.evaluation.subject import Subject
from redoubt.evaluation.verdict import Cell
from redoubt.perturbable import Immovable, immovable
from redoubt.types import Batch, Floats, Norm, Threat

WHOLE_STEPS = Member("whole steps", WholeSteps(), uses_gradients=False)


@dataclass
class Worst:
    """The worst case so far: each attack adds the rows that it is the first to break.

    Attributes:
        kept: the perturbation that broke each row, or else the first one tried.
        lost: rows broken.
        broken: how many rows each attack was the first to break, in the order tried.
    """

    kept: Floats
    lost: Flags
    broken: list[tuple[Member, int]] = field(default_factory=list)

    def add(self, member: Member, moved: Floats, lost: Flags) -> None:
        """Take an attack's perturbations into account, and the rows that they break."""
        won = lost & ~self.lost
        self.kept = np.where(won.reshape(-1, *[1] * (moved.ndim - 1)), moved, self.kept)
        self.lost = self.lost | won
        self.broken.append((member, int(won.sum())))

    @property
    def by_name(self) -> list[tuple[str, int]]:
        """How many rows each attack was the first to break, repeats of it taken together."""
        counts: dict[str, int] = {}
        for member, count in self.broken:
            counts[member.name] = counts.get(member.name, 0) + count
        return list(counts.items())

    @property
    def by_restarts(self) -> int:
        """How many rows only a repeat of an attack broke, from another random start."""
        return sum(count for member, count in self.broken if member.restart)

    def attack(self, subject: Subject, member: Member, problem: Problem, batch: Batch, eps: float) -> Floats:
        """Attack the rows still standing; the others come back as they were kept."""
        moved, standing = self.kept.copy(), np.flatnonzero(~self.lost)
        if len(standing):
            moved[standing] = subject.attack(member.attack, problem, batch.take(standing), eps, member.restart)
        return moved


class Evaluation:
    """Attacks one subject on some rows; every perturbation is scored by the exported graph.

    Attributes:
        thorough: query the guarded model too. Slow, and no row was ever chosen by it: for the rows reported.
        cells: one per threat measured, in that order.
        examples: per threat, the perturbations of the undefended column; the inputs themselves where there are none.
        lost: per threat, the rows that each attack breaks which was run on all rows.
    """

    def __init__(self, subject: Subject, batch: Batch, *, thorough: bool) -> None:
        self.subject, self.batch, self.thorough = subject, batch, thorough
        self.params = subject.setting.params
        self.cells: list[Cell] = []
        self.examples: dict[Threat, Floats] = {}
        self.lost: dict[Threat, AttackSuccess] = {}

    def run(self, threat: Threat) -> Cell:
        """Measure one threat."""
        fixed = self._immovable(threat.eps)
        cell = _not_measured(threat, fixed) if fixed and fixed.everything else self._cell(threat, fixed)
        self.examples.setdefault(threat, self.batch.x)
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

    def _cell(self, threat: Threat, fixed: Immovable | None) -> Cell:
        subject, y = self.subject, self.batch.y
        plain = self._undefended(threat)
        self.examples[threat] = plain.kept
        guarded = Worst(plain.kept, subject.lost_guarded(plain.kept, y))
        lost = {"undefended": plain.lost, "oblivious": guarded.lost}
        query = None
        if self.thorough and self._is_budget(threat):
            self._guarded(guarded, self._square, subject.asked(threat.norm), threat.eps)
            query = rate(~guarded.lost)
        for member in self._knowing(threat):
            self._guarded(guarded, member, subject.knowing[threat.norm], threat.eps)
        flagged = [
            rate(subject.guarded.answer(moved, np.random.default_rng(subject.setting.seed)).flagged)
            for moved in (plain.kept, guarded.kept)
        ]
        alone = self.lost[threat]
        lost |= {"adaptive": guarded.lost, **self._unproven(threat, plain.lost, guarded.lost)}
        columns: dict[str, Any] = {name: rate(~each) for name, each in lost.items()}
        return Cell(
            norm=threat.norm,
            eps=threat.eps,
            noise=rate(~alone.noise),
            fgsm=rate(~alone.fgsm),
            pgd=rate(~alone.pgd),
            square=None if alone.square is None else rate(~alone.square),
            **columns,
            broken=plain.by_name,
            query=query,
            flagged_oblivious=flagged[0],
            flagged_adaptive=flagged[1],
            error_growth=self._error_growth(plain.kept),
            immovable=fixed,
            scores=self._scores(threat, lost),
        )

    def _scores(self, threat: Threat, lost: Mapping[str, Flags]) -> dict[str, Score]:
        """Each column as a score; class by class at the budget alone, since the file would grow long."""
        scores = {name: self.subject.score(each, self.batch.y) for name, each in lost.items()}
        found = {name: score for name, score in scores.items() if score is not None}
        if self._is_budget(threat):
            return found
        return {name: score.model_copy(update={"per_class": ()}) for name, score in found.items()}

    def _unproven(self, threat: Threat, lost: Flags, lost_guarded: Flags) -> dict[str, Flags]:
        """What is not proven, L-inf; no attack may have broken any of what is."""
        if threat.norm != "linf" or not self.subject.guarded.proves:
            return {}
        model, tolerance = self.subject.guarded, self.subject.setting.tolerance
        network = certified_network(model, self.batch, threat.eps, tolerance)
        guarded = certified_guarded(model, self.batch, threat.eps, tolerance, self.subject.setting.seed)
        found = f"what an attack found within L-inf eps {threat.eps:g}"
        check_not_refuted("network", network, lost, found)
        check_not_refuted("guarded model", guarded, lost_guarded, found)
        wrong = self.subject.lost_guarded(self.batch.x, self.batch.y)
        check_not_refuted("guarded model", guarded, wrong, "the example itself")
        return {"certified": ~network, "certified_guarded": ~guarded}

    def _undefended(self, threat: Threat) -> Worst:
        """Attacks on every row, so that they can be compared, and the ensemble on the rows still standing."""
        subject, y, problem = self.subject, self.batch.y, self.subject.plain[threat.norm]
        # A number can be driven off to either side. From the input itself the climb takes the nearer one, which a
        # random start may miss; APGD-T tries both.
        pgd = Member("pgd", PGD(steps=self.params.steps, random_start=subject.setting.criterion.classes))
        one_step, noise = Member("fgsm", fgsm()), Member("noise", Noise(), uses_gradients=False)
        alone = [noise, one_step, pgd, *([self._square] if self._is_budget(threat) else [])]
        moved = {each: subject.attack(each.attack, problem, self.batch, threat.eps) for each in alone}
        lost = {each: subject.lost(found, y) for each, found in moved.items()}
        worst = Worst(moved[pgd], subject.lost(self.batch.x, y))
        for member in (one_step, pgd):
            worst.add(member, moved[member], lost[member])
        for member in self._ensemble(threat):
            found = worst.attack(subject, member, problem, self.batch, threat.eps)
            worst.add(member, found, subject.lost(found, y))
        self.lost[threat] = AttackSuccess(
            noise=lost[noise],
            fgsm=lost[one_step],
            pgd=lost[pgd],
            square=lost.get(self._square),
            white_box=worst.lost,
            by_restarts=worst.by_restarts,
        )
        for member in (self._square, noise):
            if member in alone:
                worst.add(member, moved[member], lost[member])
        return worst

    @property
    def _square(self) -> Member:
        return Member("square", Square(queries=self.params.queries), uses_gradients=False)

    def _ensemble(self, threat: Threat) -> list[Member]:
        """Its members that use gradients; away from the budget only the cheapest strong one.

        Where rounding hides a gradient's step, whole numbers taken one at a time stand beside them.
        """
        members = Ensemble(steps=self.params.steps, restarts=self.params.restarts - 1).members
        chosen = [each for each in members if each.uses_gradients] if self._is_budget(threat) else members[:1]
        return [*chosen, WHOLE_STEPS] if self._hides_in_rounding(threat.norm) else chosen

    def _hides_in_rounding(self, norm: Norm) -> bool:
        """Whether whole numbers stand between a gradient's step, which all features share, and a record."""
        bounds = self.subject.setting.bounds
        return norm == "l2" and bool(np.any(bounds.integer & (bounds.scale > 0)))

    def _knowing(self, threat: Threat) -> list[Member]:
        """One attack per restart; all climb the margin, since cross-entropy saturates on a sure variant."""
        steps, eot = self.params.steps, self.params.eot
        first = APGD(steps=steps, eot=eot, loss="margin", stop_when_won=False)
        more = PGD(steps=steps, eot=eot, loss="margin")
        last = self.params.restarts if self._is_budget(threat) else 1
        members = [Member("apgd", first), *[Member("pgd", more, restart=start) for start in range(1, last)]]
        return [*members, replace(WHOLE_STEPS, restart=last)] if self._hides_in_rounding(threat.norm) else members

    def _guarded(self, worst: Worst, member: Member, problem: Problem, eps: float) -> None:
        moved = worst.attack(self.subject, member, problem, self.batch, eps)
        worst.add(member, moved, self.subject.lost_guarded(moved, self.batch.y))

    def _is_budget(self, threat: Threat) -> bool:
        return threat == self.subject.setting.eps.threat(threat.norm)

    def _error_growth(self, moved: Floats) -> dict[str, float] | None:
        if self.subject.setting.criterion.classes:
            return None
        network = self.subject.guarded.network
        return error_growth(network(moved)[:, 0], network(self.batch.x)[:, 0], self.batch.y)


def _not_measured(threat: Threat, fixed: Immovable) -> Cell:
    """A threat that can change nothing: an accuracy of 100 % under it would be no robustness."""
    columns = ("noise", "fgsm", "pgd", "undefended", "oblivious", "adaptive", "flagged_oblivious", "flagged_adaptive")
    return Cell(norm=threat.norm, eps=threat.eps, broken=[], immovable=fixed, **dict.fromkeys(columns))

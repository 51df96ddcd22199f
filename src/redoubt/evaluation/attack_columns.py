"""Robustness in three columns: undefended, guarded against who does not know the guard, and against who does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from redoubt.attacks.apgd import APGD
from redoubt.attacks.base import Attack
from redoubt.attacks.ensemble import Ensemble
from redoubt.attacks.gradient import PGD, fgsm
from redoubt.attacks.noise import Noise
from redoubt.attacks.problem import AttackProblem
from redoubt.attacks.square import Square
from redoubt.attacks.whole_steps import WholeSteps
from redoubt.certify.refute import check_not_refuted
from redoubt.evaluation.certification import certified_guarded, certified_network
from redoubt.evaluation.evaluator import Evaluator, Flags
from redoubt.evaluation.importance import importance, share_of
from redoubt.evaluation.metrics import Score, error_growth, rate
from redoubt.evaluation.results import ThreatResult
from redoubt.params import Norm
from redoubt.perturbable import Immovable, immovable
from redoubt.types import Batch, Floats


@dataclass
class WorstCase:
    """The worst case so far: each attack adds the examples that it is the first to break.

    Attributes:
        kept: the perturbation that broke each example, or else the first one tried.
        is_adversarial: examples broken.
        broken: how many examples each attack was the first to break.
    """

    kept: Floats
    is_adversarial: Flags
    broken: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, x_adv: Floats, is_adversarial: Flags) -> None:
        """Take an attack's perturbations into account, and the examples that they break."""
        adversarial = is_adversarial & ~self.is_adversarial
        self.kept = np.where(adversarial.reshape(-1, *[1] * (x_adv.ndim - 1)), x_adv, self.kept)
        self.is_adversarial = self.is_adversarial | adversarial
        self.broken[name] = self.broken.get(name, 0) + int(adversarial.sum())

    def attack(
        self, evaluator: Evaluator, attack: Attack, problem: AttackProblem, batch: Batch, eps: float, start: int = 0
    ) -> Floats:
        """Attack the examples that are still robust; the others come back as they were kept."""
        x_adv, active = self.kept.copy(), np.flatnonzero(~self.is_adversarial)
        if len(active):
            x_adv[active] = evaluator.attack(attack, problem, batch.take(active), eps, start)
        return x_adv


class Evaluation:
    """Attacks one subject on some examples; every perturbation is scored by the exported graph.

    Attributes:
        thorough: query the guarded model too. Slow, and no example was ever chosen by it: for the examples reported.
        cells: one per threat measured, in that order.
        examples: per threat, the perturbations of the undefended column; the inputs themselves where there are none.
        is_adversarial: per threat, the examples that each attack breaks which was run on all examples; `white box`
            stands for everybody who uses gradients, and in L2 for whole numbers taken one at a time.
    """

    def __init__(self, evaluator: Evaluator, batch: Batch, *, thorough: bool) -> None:
        self.evaluator, self.batch, self.thorough = evaluator, batch, thorough
        self.params = evaluator.config.params
        self.cells: list[ThreatResult] = []
        self.examples: dict[tuple[Norm, float], Floats] = {}
        self.is_adversarial: dict[tuple[Norm, float], dict[str, Flags]] = {}

    def run(self, norm: Norm, eps: float) -> ThreatResult:
        """Measure one threat."""
        fixed = self._immovable(eps)
        cell = _not_measured(norm, eps, fixed) if fixed and fixed.everything else self._cell(norm, eps, fixed)
        self.examples.setdefault((norm, eps), self.batch.x)
        self.cells.append(cell)
        return cell

    def _immovable(self, eps: float) -> Immovable | None:
        evaluator = self.evaluator
        fixed = immovable(self.batch.x, evaluator.config.bounds, eps, evaluator.guarded.schema)
        if fixed is None or fixed.everything or not fixed.features:
            return fixed
        return fixed.model_copy(update={"importance": share_of(fixed.features, self.importance)})

    @cached_property
    def importance(self) -> dict[str, float]:
        """Per feature of a table, how much the network needs it."""
        return importance(self.evaluator, self.batch)

    def _cell(self, norm: Norm, eps: float, fixed: Immovable | None) -> ThreatResult:
        evaluator, y = self.evaluator, self.batch.y
        plain = self._undefended(norm, eps)
        self.examples[norm, eps] = plain.kept
        guarded = WorstCase(plain.kept, evaluator.is_adversarial_guarded(plain.kept, y))
        is_adversarial = {"undefended": plain.is_adversarial, "oblivious": guarded.is_adversarial}
        query = None
        if self.thorough and self._is_budget(norm, eps):
            self._guarded(guarded, "square", Square(queries=self.params.queries), evaluator.query_problem(norm), eps)
            query = rate(~guarded.is_adversarial)
        for restart, (name, attack) in enumerate(self._adaptive_attacks(norm, eps)):
            self._guarded(guarded, name, attack, evaluator.adaptive[norm], eps, restart)
        flagged = [
            rate(evaluator.guarded.predict(x_adv, np.random.default_rng(evaluator.config.seed)).flagged)
            for x_adv in (plain.kept, guarded.kept)
        ]
        single = {name: rate(~each) for name, each in self.is_adversarial[norm, eps].items() if name != "white box"}
        is_adversarial |= {
            "adaptive": guarded.is_adversarial,
            **self._uncertified(norm, eps, plain.is_adversarial, guarded.is_adversarial),
        }
        columns: dict[str, Any] = {name: rate(~each) for name, each in is_adversarial.items()}
        return ThreatResult(
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
            scores=self._scores(norm, eps, is_adversarial),
        )

    def _scores(self, norm: Norm, eps: float, is_adversarial: Mapping[str, Flags]) -> dict[str, Score]:
        """Each column as a score; class by class at the budget alone, since the file would grow long."""
        scores = {name: self.evaluator.score(each, self.batch.y) for name, each in is_adversarial.items()}
        found = {name: score for name, score in scores.items() if score is not None}
        if self._is_budget(norm, eps):
            return found
        return {name: score.model_copy(update={"per_class": ()}) for name, score in found.items()}

    def _uncertified(
        self, norm: Norm, eps: float, is_adversarial: Flags, is_adversarial_guarded: Flags
    ) -> dict[str, Flags]:
        """What is not proven, L-inf; no attack may have broken any of what is."""
        if norm != "linf" or not self.evaluator.guarded.proves:
            return {}
        network, guarded = (prove(self.evaluator, self.batch, eps) for prove in (certified_network, certified_guarded))
        found = f"what an attack found within L-inf eps {eps:g}"
        check_not_refuted("network", network, is_adversarial, found)
        check_not_refuted("guarded model", guarded, is_adversarial_guarded, found)
        wrong = self.evaluator.is_adversarial_guarded(self.batch.x, self.batch.y)
        check_not_refuted("guarded model", guarded, wrong, "the example itself")
        return {"certified": ~network, "certified_guarded": ~guarded}

    def _undefended(self, norm: Norm, eps: float) -> WorstCase:
        """Run the attacks on every example, so that they compare, and the ensemble on those still robust."""
        evaluator, y, problem = self.evaluator, self.batch.y, self.evaluator.undefended[norm]
        # A number can be driven off to either side. From the input itself the climb takes the nearer one, which a
        # random start may miss; APGD-T tries both.
        pgd = PGD(steps=self.params.steps, random_start=evaluator.config.criterion.is_classification)
        alone: dict[str, Attack] = {"noise": Noise(), "fgsm": fgsm(), "pgd": pgd}
        if self._is_budget(norm, eps):
            alone["square"] = Square(queries=self.params.queries)
        x_adv = {name: evaluator.attack(attack, problem, self.batch, eps) for name, attack in alone.items()}
        is_adversarial = {name: evaluator.is_adversarial(each, y) for name, each in x_adv.items()}
        worst = WorstCase(x_adv["pgd"], evaluator.is_adversarial(self.batch.x, y))
        for name in ("fgsm", "pgd"):
            worst.add(name, x_adv[name], is_adversarial[name])
        for name, attack, restart in self._ensemble(norm, eps):
            each = worst.attack(evaluator, attack, problem, self.batch, eps, restart)
            worst.add(name, each, evaluator.is_adversarial(each, y))
        self.is_adversarial[norm, eps] = {**is_adversarial, "white box": worst.is_adversarial}
        for name in ("square", "noise"):
            if name in alone:
                worst.add(name, x_adv[name], is_adversarial[name])
        return worst

    def _ensemble(self, norm: Norm, eps: float) -> list[tuple[str, Attack, int]]:
        """Its members that use gradients; away from the budget only the cheapest strong one."""
        members = Ensemble(steps=self.params.steps, restarts=self.params.restarts - 1).members
        chosen = [each for each in members if each[0] != "square"] if self._is_budget(norm, eps) else members[:1]
        return [*chosen, ("whole steps", WholeSteps(), 0)] if self._hides_in_rounding(norm) else chosen

    def _hides_in_rounding(self, norm: Norm) -> bool:
        """Whether whole numbers stand between a gradient's step, which all features share, and a record."""
        bounds = self.evaluator.config.bounds
        return norm == "l2" and bool(np.any(bounds.integer & (bounds.scale > 0)))

    def _adaptive_attacks(self, norm: Norm, eps: float) -> list[tuple[str, Attack]]:
        """One attack per restart; all climb the margin, since cross-entropy saturates on a sure variant."""
        steps, eot = self.params.steps, self.params.eot
        first = APGD(steps=steps, eot=eot, loss="margin", early_stop=False)
        more = PGD(steps=steps, eot=eot, loss="margin")
        restarts = self.params.restarts - 1 if self._is_budget(norm, eps) else 0
        steps_of_one: list[tuple[str, Attack]] = (
            [("whole steps", WholeSteps())] if self._hides_in_rounding(norm) else []
        )
        return [("apgd", first), *[("pgd", more)] * restarts, *steps_of_one]

    def _guarded(
        self, worst: WorstCase, name: str, attack: Attack, problem: AttackProblem, eps: float, restart: int = 0
    ) -> None:
        x_adv = worst.attack(self.evaluator, attack, problem, self.batch, eps, restart)
        worst.add(name, x_adv, self.evaluator.is_adversarial_guarded(x_adv, self.batch.y))

    def _is_budget(self, norm: Norm, eps: float) -> bool:
        return eps == self.evaluator.config.eps.of(norm)

    def _error_growth(self, x_adv: Floats) -> dict[str, float] | None:
        if self.evaluator.config.criterion.is_classification:
            return None
        network = self.evaluator.guarded.network
        return error_growth(network(x_adv)[:, 0], network(self.batch.x)[:, 0], self.batch.y)


def _not_measured(norm: Norm, eps: float, fixed: Immovable) -> ThreatResult:
    """A threat that can change nothing: an accuracy of 100 % under it would be no robustness."""
    columns = ("noise", "fgsm", "pgd", "undefended", "oblivious", "adaptive", "flagged_oblivious", "flagged_adaptive")
    return ThreatResult(norm=norm, eps=eps, broken=[], immovable=fixed, **dict.fromkeys(columns))

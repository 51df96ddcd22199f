"""Robustness in three columns: undefended, guarded against who does not know the guard, and against who does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.ensemble import Ensemble, Member, searches
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.attacks.whole_steps import WholeSteps, hides_in_rounding
from redoubt.bundle.base.types import Vote
from redoubt.certify.refute import check_not_refuted
from redoubt.core.types import Batch, Floats, Threat
from redoubt.evaluation.certification import certified_guarded, certified_network
from redoubt.evaluation.diagnostics import AttackSuccess
from redoubt.evaluation.evaluator import Evaluator
from redoubt.evaluation.importance import importance, share_of
from redoubt.evaluation.metrics import Rate, Score, error_growth, rate, robust_mcc
from redoubt.evaluation.paired import packed
from redoubt.evaluation.redraws import Flags
from redoubt.evaluation.results import GuardedColumns, ThreatResult
from redoubt.perturbable import Immovable, immovable

WHOLE_STEPS = Member("whole steps", WholeSteps(), uses_gradients=False)


@dataclass
class WorstCase:
    """The worst case so far: each attack adds the examples that it is the first to break.

    Attributes:
        kept: the perturbation that broke each example, or else the first one tried.
        is_adversarial: examples on which it succeeded.
        broken: how many examples each attack was the first to fool, in the order tried.
    """

    kept: Floats
    is_adversarial: Flags
    broken: list[tuple[Member, int]] = field(default_factory=list)

    def add(self, member: Member, x_adv: Floats, is_adversarial: Flags) -> None:
        """Take an attack's perturbations into account, and the examples that they break."""
        adversarial = is_adversarial & ~self.is_adversarial
        self.kept = np.where(adversarial.reshape(-1, *[1] * (x_adv.ndim - 1)), x_adv, self.kept)
        self.is_adversarial = self.is_adversarial | adversarial
        self.broken.append((member, int(adversarial.sum())))

    @property
    def by_name(self) -> list[tuple[str, int]]:
        """How many examples each attack was the first to break, repeats of it taken together."""
        counts: dict[str, int] = {}
        for member, count in self.broken:
            counts[member.name] = counts.get(member.name, 0) + count
        return list(counts.items())

    @property
    def by_restarts(self) -> int:
        """How many examples only a repeat of an attack broke, from another random start."""
        return sum(count for member, count in self.broken if member.restart)

    def attack(self, evaluator: Evaluator, member: Member, problem: AttackProblem, batch: Batch, eps: float) -> Floats:
        """Attack the examples that are still robust; the others come back as they were kept."""
        x_adv, active = self.kept.copy(), np.flatnonzero(~self.is_adversarial)
        if len(active):
            x_adv[active] = evaluator.attack(member.attack, problem, batch.take(active), eps, member.restart)
        return x_adv


@dataclass(frozen=True)
class Guarded:
    """What was found behind one guard.

    Attributes:
        evaluator: of the guarded model.
        worst: under every attack.
        oblivious: examples fooled by what was made for the undefended network.
        query: share still right under those and the searches that only ask; None where none was run.
    """

    evaluator: Evaluator
    worst: WorstCase
    oblivious: Flags
    query: Rate | None


class Evaluation:
    """Attacks one subject on some examples; every perturbation is scored by the exported graph.

    Attributes:
        others: the same network behind other guards, which are measured beside.
        thorough: measure what no choice needs too, such as targeted attacks: for the examples reported.
        cells: one per threat measured, in that order.
        examples: per threat, the perturbations of the undefended column; the inputs themselves where there are none.
        is_adversarial: per threat, the examples fooled by each attack that was run on all examples.
    """

    def __init__(self, evaluator: Evaluator, batch: Batch, *, thorough: bool, others: Sequence[Vote] = ()) -> None:
        self.evaluator, self.batch, self.thorough = evaluator, batch, thorough
        self.others = {vote: replace(evaluator, guarded=evaluator.guarded.behind(vote)) for vote in others}
        self.params = evaluator.config.params
        self.cells: list[ThreatResult] = []
        self.examples: dict[Threat, Floats] = {}
        self.is_adversarial: dict[Threat, AttackSuccess] = {}

    def run(self, threat: Threat) -> ThreatResult:
        """Measure one threat."""
        fixed = self._immovable(threat.eps)
        cell = _not_measured(threat, fixed) if fixed and fixed.everything else self._cell(threat, fixed)
        self.examples.setdefault(threat, self.batch.x)
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

    def _cell(self, threat: Threat, fixed: Immovable | None) -> ThreatResult:
        evaluator, y = self.evaluator, self.batch.y
        plain = self._undefended(threat)
        main, *others = (self._behind(each, threat, plain) for each in (evaluator, *self.others.values()))
        # What was made for a guard may fool the network too, which alone answers behind a guard that only detects.
        for member in self._adaptive_attacks(threat)[:1]:
            for kept in (guarded.worst.kept for guarded in (main, *others)):
                plain.add(replace(member, name="made for the guard"), kept, evaluator.is_adversarial(kept, y))
        self.examples[threat] = plain.kept
        alone, network = self.is_adversarial[threat], {"undefended": plain.is_adversarial}
        network |= self._uncertified(threat, plain.is_adversarial)
        columns = self._columns(threat, network, main, plain)
        return ThreatResult(
            norm=threat.norm,
            eps=threat.eps,
            noise=rate(~alone.noise),
            fgsm=rate(~alone.fgsm),
            pgd=rate(~alone.pgd),
            square=None if alone.square is None else rate(~alone.square),
            **columns,
            broken=plain.by_name,
            error_growth=self._error_growth(plain.kept),
            immovable=fixed,
            behind={
                vote: GuardedColumns(**self._columns(threat, {}, each, plain))
                for vote, each in zip(self.others, others, strict=True)
            },
        )

    def _behind(self, evaluator: Evaluator, threat: Threat, plain: WorstCase) -> Guarded:
        """The worst case behind one guard, by who does not know it and by who does."""
        worst = WorstCase(plain.kept, evaluator.is_adversarial_guarded(plain.kept, self.batch.y))
        oblivious, query = worst.is_adversarial, None

        def add(member: Member, problem: AttackProblem) -> None:
            x_adv = worst.attack(evaluator, member, problem, self.batch, threat.eps)
            worst.add(member, x_adv, evaluator.is_adversarial_guarded(x_adv, self.batch.y))

        # Rounding and chance hide slopes, so what guards are chosen by is searched for without them too.
        if self._is_budget(threat):
            for member in (self._square, *self._searches(threat)):
                add(member, evaluator.query_problem(threat.norm))
            query = rate(~worst.is_adversarial)
        for member in self._adaptive_attacks(threat):
            add(member, evaluator.adaptive[threat.norm])
        return Guarded(evaluator, worst, oblivious, query)

    def _columns(
        self, threat: Threat, network: Mapping[str, Flags], guarded: Guarded, plain: WorstCase
    ) -> dict[str, Any]:
        """The columns that depend on the guard, and those of the network that are given."""
        model, seed = guarded.evaluator.guarded, self.evaluator.config.seed
        flagged = [
            rate(model.predict(x_adv, np.random.default_rng(seed)).flagged)
            for x_adv in (plain.kept, guarded.worst.kept)
        ]
        is_adversarial = {
            **network,
            "oblivious": guarded.oblivious,
            "adaptive": guarded.worst.is_adversarial,
            **self._uncertified_guarded(threat, guarded),
        }
        return {
            **{name: rate(~each) for name, each in is_adversarial.items()},
            "query": guarded.query,
            "flagged_oblivious": flagged[0],
            "flagged_adaptive": flagged[1],
            "scores": self._scores(threat, is_adversarial),
            "robust": {name: packed(~each) for name, each in is_adversarial.items()},
            "mcc": self._mcc(threat, plain if network else None, guarded),
        }

    def _mcc(self, threat: Threat, plain: WorstCase | None, guarded: Guarded) -> dict[str, float]:
        """Beside robust accuracy where the literature reports it: for tables with relations, at the budget."""
        evaluator, y = guarded.evaluator, self.batch.y
        if (
            evaluator.bounds.relations is None
            or not evaluator.criterion.is_classification
            or not self._is_budget(threat)
        ):
            return {}
        outputs = {"undefended": (plain, evaluator.guarded.network(plain.kept))} if plain else {}
        outputs["adaptive"] = (guarded.worst, evaluator.predict(guarded.worst.kept)[0].vote)
        return {name: robust_mcc(~worst.is_adversarial, said, y) for name, (worst, said) in outputs.items()}

    def _scores(self, threat: Threat, is_adversarial: Mapping[str, Flags]) -> dict[str, Score]:
        """Each column as a score; class by class at the budget alone, since the file would grow long."""
        scores = {name: self.evaluator.score(each, self.batch.y) for name, each in is_adversarial.items()}
        found = {name: score for name, score in scores.items() if score is not None}
        if self._is_budget(threat):
            return found
        return {name: score.model_copy(update={"per_class": ()}) for name, score in found.items()}

    def _proves(self, threat: Threat) -> bool:
        return threat.norm == "linf" and self.evaluator.guarded.proves

    def _uncertified(self, threat: Threat, is_adversarial: Flags) -> dict[str, Flags]:
        """What is not certified of the network, L-inf; no attack may have fooled any example that is."""
        if not self._proves(threat):
            return {}
        certified = certified_network(self.evaluator.guarded, self.batch, threat.eps, self.evaluator.config.tolerance)
        check_not_refuted("network", certified, is_adversarial, _found(threat))
        return {"certified": ~certified}

    def _uncertified_guarded(self, threat: Threat, guarded: Guarded) -> dict[str, Flags]:
        """What is not certified behind a guard, likewise."""
        if not self._proves(threat):
            return {}
        evaluator, config = guarded.evaluator, self.evaluator.config
        certified = certified_guarded(evaluator.guarded, self.batch, threat.eps, config.tolerance, config.seed)
        wrong = evaluator.is_adversarial_guarded(self.batch.x, self.batch.y)
        check_not_refuted("guarded model", certified, guarded.worst.is_adversarial, _found(threat))
        check_not_refuted("guarded model", certified, wrong, "the example itself")
        return {"certified_guarded": ~certified}

    def _undefended(self, threat: Threat) -> WorstCase:
        """Run the attacks on every example, so that they compare, and the ensemble on those still robust."""
        evaluator, y, problem = self.evaluator, self.batch.y, self.evaluator.undefended[threat.norm]
        # A number can be driven off to either side. From the input itself the climb takes the nearer one, which a
        # random start may miss; APGD-T tries both.
        pgd = Member("pgd", PGD(steps=self.params.steps, random_start=evaluator.config.criterion.is_classification))
        one_step, noise = Member("fgsm", fgsm()), Member("noise", Noise(), uses_gradients=False)
        alone = [noise, one_step, pgd, *([self._square] if self._is_budget(threat) else [])]
        x_adv = {each: evaluator.attack(each.attack, problem, self.batch, threat.eps) for each in alone}
        is_adversarial = {each: evaluator.is_adversarial(found, y) for each, found in x_adv.items()}
        worst = WorstCase(x_adv[pgd], evaluator.is_adversarial(self.batch.x, y))
        for member in (one_step, pgd):
            worst.add(member, x_adv[member], is_adversarial[member])
        # A search counts as a white box's: a gradient alone does not know what a repair of relations will change.
        for member in (*self._ensemble(threat), *self._searches(threat)):
            found = worst.attack(evaluator, member, problem, self.batch, threat.eps)
            worst.add(member, found, evaluator.is_adversarial(found, y))
        self.is_adversarial[threat] = AttackSuccess(
            noise=is_adversarial[noise],
            fgsm=is_adversarial[one_step],
            pgd=is_adversarial[pgd],
            square=is_adversarial.get(self._square),
            white_box=worst.is_adversarial,
            by_restarts=worst.by_restarts,
        )
        for member in (self._square, noise):
            if member in alone:
                worst.add(member, x_adv[member], is_adversarial[member])
        return worst

    def _searches(self, threat: Threat) -> list[Member]:
        """Those of related columns, at the budget."""
        return searches(self.evaluator.bounds, self.params.queries) if self._is_budget(threat) else []

    @property
    def _square(self) -> Member:
        return Member("square", Square(queries=self.params.queries), uses_gradients=False)

    def _ensemble(self, threat: Threat) -> list[Member]:
        """Its members that use gradients; away from the budget only the cheapest strong one.

        Where rounding hides a gradient's step, whole numbers are also tried one at a time.
        """
        members = Ensemble(steps=self.params.steps, restarts=self.params.restarts - 1).members
        chosen = [each for each in members if each.uses_gradients] if self._is_budget(threat) else members[:1]
        chosen = [each.within(self.evaluator.bounds) for each in chosen]
        return [*chosen, WHOLE_STEPS] if hides_in_rounding(self.evaluator.bounds, threat.norm) else chosen

    def _adaptive_attacks(self, threat: Threat) -> list[Member]:
        """One attack per restart; all maximize the margin, since cross-entropy saturates on a confident variant."""
        steps, eot = self.params.steps, self.params.eot
        first = APGD(steps=steps, eot=eot, loss="margin", early_stop=False)
        more = PGD(steps=steps, eot=eot, loss="margin")
        last = self.params.restarts if self._is_budget(threat) else 1
        members = [
            Member("apgd", first).within(self.evaluator.bounds),
            *[Member("pgd", more, restart=start) for start in range(1, last)],
        ]
        return (
            [*members, replace(WHOLE_STEPS, restart=last)]
            if hides_in_rounding(self.evaluator.bounds, threat.norm)
            else members
        )

    def _is_budget(self, threat: Threat) -> bool:
        return threat == self.evaluator.config.eps.threat(threat.norm)

    def _error_growth(self, x_adv: Floats) -> dict[str, float] | None:
        if self.evaluator.config.criterion.is_classification:
            return None
        network = self.evaluator.guarded.network
        return error_growth(network(x_adv)[:, 0], network(self.batch.x)[:, 0], self.batch.y)


def _found(threat: Threat) -> str:
    return f"what an attack found within L-inf eps {threat.eps:g}"


def _not_measured(threat: Threat, fixed: Immovable) -> ThreatResult:
    """A threat that can change nothing: an accuracy of 100 % under it would be no robustness."""
    columns = ("noise", "fgsm", "pgd", "undefended", "oblivious", "adaptive", "flagged_oblivious", "flagged_adaptive")
    return ThreatResult(norm=threat.norm, eps=threat.eps, broken=[], immovable=fixed, **dict.fromkeys(columns))

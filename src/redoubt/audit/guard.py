"""The further columns of a bundle: its guarded model against who does not know the guard, and against who does."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_callable
from redoubt.attacks.ensemble import Member, searches
from redoubt.attacks.query import BudgetError
from redoubt.audit.budget import Clock
from redoubt.audit.judge import Judge
from redoubt.audit.measure import INTERRUPTED, ROWS, TIME, Cell, Tried
from redoubt.audit.plan import MANY, STEPS, thorough_search
from redoubt.bundle.batches import slices
from redoubt.certify.refute import check_not_refuted
from redoubt.core.types import Batch, Floats, Ints, Norm
from redoubt.evaluation.attack_columns import WorstCase
from redoubt.evaluation.certification import certified_guarded
from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator
from redoubt.evaluation.metrics import Rate, rate
from redoubt.evaluation.redraws import REDRAWS, Flags
from redoubt.params.settings.sections import AttackParams, Eps

EOT = 4


@dataclass(frozen=True)
class Columns:
    """Of one eps; None where it was not measured.

    Attributes:
        tried: the attacks through the guard, as they were carried out.
        stopped: why they ended before they were done; None if they did not.
    """

    oblivious: Rate | None = None
    adaptive: Rate | None = None
    certified: Rate | None = None
    tried: tuple[Tried, ...] = ()
    stopped: str | None = None


def guarded_columns(judge: Judge, batch: Batch, norm: Norm, cell: Cell, clock: Clock) -> Columns:
    """Measure the guarded model at one eps, by the evaluator of this project's own models.

    Args:
        judge: of a bundle.
        batch: the examples.
        norm: of the perturbations.
        cell: what is known of the network alone.
        clock: the adaptive attacks are left out when it is over.
    """
    target = judge.target
    if target.guarded is None or target.network is None:
        return Columns()
    params = AttackParams.model_construct(
        linf=(), l2=(), steps=STEPS, restarts=1, eot=EOT, queries=0, points=len(batch)
    )
    eps = Eps.model_construct(linf=cell.eps, l2=cell.eps)
    config = EvaluationConfig(params, eps, judge.criterion, judge.bounds, judge.seed)
    evaluator = _Counted(target.network, target.guarded, config, spend=judge.oracle.spend)
    try:
        worst = WorstCase(cell.worst.kept, evaluator.is_adversarial_guarded(cell.worst.kept, batch.y))
    except BudgetError as error:
        return Columns(stopped=str(error))
    oblivious, adaptive, attacks = rate(~worst.is_adversarial), None, _Adaptive(evaluator, worst, batch, cell.eps)
    if not clock.is_over:
        attacks.run(norm, clock, None if judge.left is None else judge.left // (2 * len(batch)) - REDRAWS)
        if any(each.examples for each in attacks.tried):
            adaptive = rate(~worst.is_adversarial)
    columns = Columns(oblivious, adaptive, None, tuple(attacks.tried), attacks.stopped)
    if norm != "linf" or not target.guarded.proves:
        return columns
    proven = certified_guarded(target.guarded, batch, cell.eps, config.tolerance, judge.seed)
    check_not_refuted("guarded model", proven, worst.is_adversarial, f"what an attack found within L-inf {cell.eps:g}")
    return replace(columns, certified=rate(proven))


@dataclass(frozen=True, eq=False)
class _Counted(Evaluator):
    """Every answer of the guarded model counts as a query, also each of the redraws that judge it.

    Attributes:
        spend: counts so many; see `Counter.spend`.
    """

    spend: Callable[[int], None] = field(kw_only=True)

    def query_problem(self, norm: Norm) -> AttackProblem:
        """See `Evaluator.query_problem`."""
        served = super().query_problem(norm)

        def ask(x: Floats) -> Floats:
            self.spend(len(x))
            return served.predict(x)

        return replace(served, outputs=of_callable(ask, self.guarded.schema.outputs))

    def is_adversarial_guarded(self, x: Floats, y: NDArray[Any]) -> Flags:
        """See `Evaluator.is_adversarial_guarded`."""
        self.spend(REDRAWS * len(x))
        return super().is_adversarial_guarded(x, y)


@dataclass(eq=False)
class _Adaptive:
    """Attacks on a guarded model by somebody who knows its guard; what stops them leaves all that is known."""

    evaluator: Evaluator
    worst: WorstCase
    batch: Batch
    eps: float
    tried: list[Tried] = field(default_factory=list)
    stopped: str | None = None

    def run(self, norm: Norm, clock: Clock, each: int | None) -> None:
        """By gradients through the guard; then by queries to the model as it is served, on what those leave.

        Queries find what a guard hides from gradients: it is asked as it is, rounding, draws and all.

        Args:
            norm: of the perturbations.
            clock: that ends it.
            each: queries that the thorough search may have for each example; None sets no limit.
        """
        by_gradients, served = self.evaluator.adaptive[norm], self.evaluator.query_problem(norm)
        apgd = Member("apgd", APGD(steps=STEPS, eot=EOT, loss="margin", early_stop=False))
        restart = Member("pgd", PGD(steps=STEPS, eot=EOT, loss="margin"), restart=1)
        bounds = self.evaluator.bounds
        queries = [(member, served) for member in (thorough_search(each), *searches(bounds, MANY))]
        for member, problem in ((apgd.within(bounds), by_gradients), (restart, by_gradients), *queries):
            if self.stopped is None:
                self._attack(member, problem, clock)

    def _attack(self, member: Member, problem: AttackProblem, clock: Clock) -> None:
        left, done, before = np.flatnonzero(~self.worst.is_adversarial), 0, int(self.worst.is_adversarial.sum())
        for part in slices(len(left), ROWS):
            if clock.is_over:
                self.stopped = TIME
                break
            try:
                self._part(member, problem, left[part])
            except KeyboardInterrupt:
                self.stopped = INTERRUPTED
                break
            except BudgetError as error:
                self.stopped = str(error)
                break
            done += len(left[part])
        found = int(self.worst.is_adversarial.sum()) - before
        self.tried.append(Tried(self.eps, f"{member.name} through the guard", done, len(left), found))

    def _part(self, member: Member, problem: AttackProblem, rows: Ints) -> None:
        some, flags = self.batch.take(rows), np.zeros(len(self.batch), np.bool_)
        x_adv = self.worst.kept.copy()
        x_adv[rows] = self.evaluator.attack(member.attack, problem, some, self.eps, member.restart)
        flags[rows] = self.evaluator.is_adversarial_guarded(x_adv[rows], some.y)
        self.worst.add(member, x_adv, flags)

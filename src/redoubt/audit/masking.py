"""The checks for masked gradients, on what an audit has measured; the same as for this project's own models."""

import numpy as np

from redoubt.attacks.query import OracleError
from redoubt.audit.judge import Judge
from redoubt.audit.measure import Cell, Measuring
from redoubt.core.types import Batch, Norm
from redoubt.evaluation.diagnostics import AttackSuccess, Observed, Unbounded, gradient_masking_checks
from redoubt.evaluation.metrics import Rate, rate
from redoubt.evaluation.probes import dead_gradients
from redoubt.evaluation.results import Check, ThreatResult
from redoubt.evaluation.unbounded import unbounded

# Examples that the attack without a limit is run on.
EXAMPLES = 200
ALONE = ("noise", "fgsm", "pgd")
# Checked for any model, or meant of a guard.
ELSEWHERE = ("outputs are logits", "randomness is declared")


def masking_checks(
    judge: Judge, batch: Batch, norm: Norm, measuring: Measuring, certified: dict[float, Rate]
) -> list[Check]:
    """Every check that what was measured allows.

    Args:
        judge: whose gradients are checked.
        batch: the examples.
        norm: of the perturbations.
        measuring: done.
        certified: share proven, by eps.
    """
    cells = [cell for cell in measuring.cells.values() if all(name in cell.alone for name in ALONE)]
    if not cells or "square" not in measuring.cells[max(measuring.cells)].alone:
        return _too_little()
    budget = cells[-1]
    few = np.arange(min(EXAMPLES, len(batch)))
    try:
        free = unbounded(judge, batch.take(few), norm)
    except OracleError:
        return _too_little()
    observed = Observed(
        cells=[_as_threat(cell, norm, certified.get(cell.eps)) for cell in cells],
        budget=budget.eps,
        is_adversarial=_success(budget),
        unbounded=Unbounded(free.attacked, free.searched, free.tried, free.fixed),
        dead=dead_gradients(judge, batch, norm),
        repeats=True,
        logits=True,
        draws=0,
        guard_repeats=True,
    )
    return [check for check in gradient_masking_checks(observed) if check.name not in ELSEWHERE]


def _too_little() -> list[Check]:
    found = "too little was measured before the budget was spent: give more of it"
    return [Check(name="gradients are not masked", passed=False, found=found)]


def _success(cell: Cell) -> AttackSuccess:
    """Who fools what on all examples; for the white box, before the searches without gradients had their turn."""
    return AttackSuccess(
        noise=cell.alone["noise"],
        fgsm=cell.alone["fgsm"],
        pgd=cell.alone["pgd"],
        white_box=cell.by_gradients,
        square=cell.alone["square"],
        by_restarts=cell.worst.by_restarts,
    )


def _as_threat(cell: Cell, norm: Norm, certified: Rate | None) -> ThreatResult:
    return ThreatResult(
        norm=norm,
        eps=cell.eps,
        noise=rate(~cell.alone["noise"]),
        fgsm=rate(~cell.alone["fgsm"]),
        pgd=rate(~cell.alone["pgd"]),
        undefended=rate(~cell.worst.is_adversarial),
        broken=cell.worst.by_name,
        oblivious=None,
        adaptive=None,
        flagged_oblivious=None,
        flagged_adaptive=None,
        certified=certified,
    )

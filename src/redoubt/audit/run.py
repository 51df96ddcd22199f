"""One audit from beginning to end: look at the model, attack it, check the gradients, prove what can be proven."""

import contextlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from redoubt.attacks.core.base import check_inputs
from redoubt.attacks.core.criteria import Criterion, Tolerance, Untargeted
from redoubt.attacks.ensemble import searches
from redoubt.attacks.query import BudgetError
from redoubt.audit.budget import Budget, Clock
from redoubt.audit.frame import Frame
from redoubt.audit.guard import Columns, guarded_columns
from redoubt.audit.judge import Judge
from redoubt.audit.masking import masking_checks
from redoubt.audit.measure import Cell, Measuring
from redoubt.audit.plan import MANY, Scope, not_tried, plan, uncounted
from redoubt.audit.proxy import Proxy, proxy_of, transfer
from redoubt.audit.result import Audit, EpsRow
from redoubt.audit.suspicions import Clean, look, suspicions
from redoubt.certify.refute import check_not_refuted, ends, points
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Batch, Floats, Norm
from redoubt.data.shared.dataset import digest_arrays
from redoubt.evaluation.metrics import Rate, Score, column_score, rate
from redoubt.evaluation.redraws import Flags
from redoubt.evaluation.results import Check
from redoubt.perturbable import immovable
from redoubt.targets.contract import Target

# Parts of an eps at which the curve has a point, if no other was asked for.
BETWEEN = (0.25, 0.5)


class AuditError(RedoubtError):
    """What cannot be audited as it was asked; the message says why."""


@dataclass(frozen=True)
class Settings:
    """What an audit is asked to do.

    Attributes:
        norm: of the perturbations.
        eps: their sizes; none takes the frame's own.
        budget: what it may cost.
        repeats: of a random model; 1 for one that is not.
        seed: of everything.
        tolerance: largest error that counts as correct, of a number; None for classes.
    """

    norm: Norm = "linf"
    eps: tuple[float, ...] = ()
    budget: Budget = field(default_factory=Budget)
    repeats: int = 1
    seed: int = 0
    tolerance: float | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """An audit, and the adversarial examples at its largest eps.

    Attributes:
        audit: as data.
        x_adv: perturbed inputs; the input itself where nothing fooled the model.
        fooled: which are adversarial and were right before.
        scores: the model's on those, NaN where it was not asked.
    """

    audit: Audit
    x_adv: Floats
    fooled: Flags
    scores: Floats


@dataclass(frozen=True, eq=False)
class Looked:
    """The examples, what the model says of them, and where they are from."""

    batch: Batch
    clean: Clean
    source: str


def audit(target: Target, batch: Batch, frame: Frame, settings: Settings, source: str = "arrays") -> Outcome:
    """Audit a model.

    Args:
        target: opened.
        batch: examples with their true labels or values.
        frame: that holds them.
        settings: what is asked.
        source: of the examples, in words.

    Raises:
        AuditError: an eps that is none, or a budget that is spent before anything is known.
        FrameError: examples outside of their bounds.
        AttackError: inputs or outputs that cannot be attacked.
    """
    frame.check(batch.x)
    given = settings.eps or (frame.default_eps(settings.norm),)
    _check_eps(given, frame, batch, settings.norm)
    criterion: Criterion = Untargeted() if settings.tolerance is None else Tolerance(settings.tolerance)
    judge = Judge(target, frame, criterion, settings.seed, settings.repeats, settings.budget.queries)
    clock = Clock(settings.budget)
    try:
        check_inputs(judge.undefended[settings.norm], batch.x, batch.y, max(given))
        clean = look(judge, batch)
        checks = list(suspicions(judge, batch, clean))
    except BudgetError as error:
        raise AuditError(f"the budget is spent before anything is attacked: {error}") from None
    proxy = proxy_of(judge, batch, clean.scores, max(given))
    # What it says of inputs in other units is no answer to an attack.
    judge.said.clear()
    measuring = Measuring(judge, batch, settings.norm, _sizes(given), clean.wrong)
    steps = plan(_scope(judge, len(batch), settings, given, proxy))
    measuring.run([replace(each, member=each.member.within(judge.bounds)) for each in steps], clock)
    measuring.close()
    said = sorted(judge.said)
    certified = measuring.unless_interrupted(
        lambda: _certified(judge, batch, settings.norm, measuring), dict[float, Rate]()
    )
    if target.gradients is not None:
        checks += measuring.unless_interrupted(
            lambda: masking_checks(judge, batch, settings.norm, measuring, certified), list[Check]()
        )
    guarded = measuring.unless_interrupted(
        lambda: {
            eps: guarded_columns(judge, batch, settings.norm, measuring.cells[eps], clock) for eps in sorted(given)
        },
        dict[float, Columns](),
    )
    for columns in guarded.values():
        measuring.tried.extend(columns.tried)
        measuring.stopped = measuring.stopped or columns.stopped
    rows = [
        _row(judge, batch, (settings.norm, eps in given), cell, certified.get(eps), guarded.get(eps, Columns()))
        for eps, cell in measuring.cells.items()
    ]
    last = measuring.cells[max(given)].worst
    fooled = last.is_adversarial & ~clean.wrong
    told = _told(judge, last.kept, fooled, measuring)
    found = _audit(judge, Looked(batch, clean, source), settings, rows, checks, measuring)
    if proxy is not None and proxy.said is not None:
        said.append(proxy.said)
    found = found.model_copy(update={"notes": [*found.notes, *said]})
    return Outcome(found, last.kept, fooled, told)


def _check_eps(given: tuple[float, ...], frame: Frame, batch: Batch, norm: Norm) -> None:
    for eps in given:
        if not 0 < eps < float("inf"):
            raise AuditError(f"--eps is {eps:g}; it must be above 0 and finite")
    fixed = immovable(batch.x, frame.bounds, max(given), frame.schema)
    if fixed is not None and fixed.everything:
        raise AuditError(f"robust accuracy is undefined: {fixed.says(norm, max(given))}")


def _sizes(given: tuple[float, ...]) -> tuple[float, ...]:
    """Those that were asked for, and where it is one alone some below it for the curve."""
    between = tuple(float(f"{part * given[0]:.6g}") for part in BETWEEN) if len(set(given)) == 1 else ()
    return tuple(sorted({*given, *between}))


def _scope(judge: Judge, examples: int, settings: Settings, given: tuple[float, ...], proxy: Proxy | None) -> Scope:
    left = judge.left
    if left is not None and proxy is not None:
        left = max(0, left - (proxy.answers - examples))
    if left is not None and judge.target.gradients is not None:
        # The other half is for the checks of its gradients and its bounds; of what a guard has, for its columns too.
        left //= 2 if judge.target.guarded is None else 4
    return Scope(
        judge.target.access,
        tuple(sorted(set(given))),
        tuple(each for each in _sizes(given) if each not in given),
        judge.target.width,
        None if left is None else max(1, left // examples),
        settings.repeats,
        transfer(proxy),
        tuple(searches(judge.bounds, MANY)),
    )


def _certified(judge: Judge, batch: Batch, norm: Norm, measuring: Measuring) -> dict[float, Rate]:
    proven = {eps: _proven(judge, batch, norm, cell) for eps, cell in measuring.cells.items()}
    return {eps: rate(flags) for eps, flags in proven.items() if flags is not None}


def _proven(judge: Judge, batch: Batch, norm: Norm, cell: Cell) -> Flags | None:
    """What bounds prove, held against what was found and against points of each ball."""
    certifier = judge.target.certifier
    if certifier is None or norm != "linf" or judge.repeats > 1:
        return None
    certified = certifier(judge.bounds, judge.criterion)(batch, cell.eps)
    check_not_refuted("the model", certified, cell.worst.is_adversarial, f"what an attack found within {cell.eps:g}")
    for where, point in points(batch.x, *ends(batch.x, cell.eps, judge.bounds), judge.seed):
        check_not_refuted("the model", certified, judge.is_adversarial(point, batch.y), where)
    return certified


def _row(
    judge: Judge, batch: Batch, what: tuple[Norm, bool], cell: Cell, certified: Rate | None, guard: Columns
) -> EpsRow:
    norm, asked = what
    return EpsRow(
        eps=cell.eps,
        says=judge.frame.says(norm, cell.eps),
        asked=asked,
        robust=rate(~cell.worst.is_adversarial),
        score=_score(judge, ~cell.worst.is_adversarial, batch, per_class=asked),
        by_attack={name: rate(~flags) for name, flags in cell.alone.items()},
        broken=[(name, count) for name, count in cell.worst.by_name if count],
        certified=certified,
        oblivious=guard.oblivious,
        adaptive=guard.adaptive,
        certified_guarded=guard.certified,
        warning=judge.frame.warning(norm, cell.eps) if asked else None,
    )


def _score(judge: Judge, right: Flags, batch: Batch, *, per_class: bool = True) -> Score | None:
    if judge.target.is_classification:
        score = column_score(right, batch.y, judge.target.width, ~right)
        return score if score is None or per_class else score.model_copy(update={"per_class": ()})
    mean = np.full((len(batch), 1), float(batch.y.mean()))
    return column_score(right, batch.y, 1, judge.criterion.is_adversarial(mean, batch.y))


def _told(judge: Judge, x_adv: Floats, fooled: Flags, measuring: Measuring) -> Floats:
    """What the model says of the adversarial examples; of others, and where it answers no more, NaN."""
    told = np.full((len(x_adv), judge.target.width), np.nan, np.float32)
    if fooled.any() and not (measuring.stopped is not None and judge.target.kind == "http"):
        with contextlib.suppress(BudgetError):
            told[fooled] = judge.oracle(x_adv[fooled])
    return told


def _audit(
    judge: Judge, looked: Looked, settings: Settings, rows: list[EpsRow], checks: list[Check], measuring: Measuring
) -> Audit:
    target, batch, clean = judge.target, looked.batch, looked.clean
    tried: list[dict[str, Any]] = [
        {"eps": each.eps, "attack": each.attack, "examples": each.examples, "of": each.of, "first_to_fool": each.found}
        for each in measuring.tried
    ]
    return Audit(
        target={"name": target.said, "kind": target.kind, "digest": target.digest},
        access=target.access,
        notes=list(target.notes),
        data={"source": looked.source, "digest": digest_arrays({"x": batch.x, "y": batch.y}), "examples": len(batch)},
        bounds=judge.frame.said,
        norm=settings.norm,
        clean=clean.right,
        clean_score=_score(judge, ~clean.wrong, batch),
        constant=clean.constant,
        rows=rows,
        checks=checks,
        tried=tried,
        not_tried=not_tried(
            target.access,
            l2=settings.norm == "l2",
            transfer=any(each.attack.startswith("transfer") for each in measuring.tried),
        ),
        queries=judge.oracle.queries,
        uncounted=uncounted(target.access, target.kind),
        stopped=measuring.stopped,
        settings={
            "seed": settings.seed,
            "repeats": settings.repeats,
            "budget": settings.budget.said,
            "tolerance": settings.tolerance,
        },
    )

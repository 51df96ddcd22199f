"""Puts together what was measured on one model in one norm: clean figures, threats, parts of the guard, checks."""

import numpy as np

from redoubt.attacks.contract import Problem, of_network
from redoubt.attacks.criteria import Targeted
from redoubt.attacks.gradient import PGD
from redoubt.evaluation.evidence import check
from redoubt.evaluation.guard_parts import measure_parts
from redoubt.evaluation.metrics import Rate, rate
from redoubt.evaluation.robustness import Evaluation
from redoubt.evaluation.verdict import Check, Robustness
from redoubt.params import Norm
from redoubt.tasks import Batch, Floats


def conclude(evaluation: Evaluation, norm: Norm, foreign: list[Floats], *, judge_parts: bool) -> Robustness:
    """Everything that is reported of one model on some rows in one norm.

    Args:
        evaluation: done in that norm.
        norm: the norm.
        foreign: perturbations of the same rows, of the budget's size, that were made on other networks.
        judge_parts: attack each part of the guard by itself too.
    """
    subject, batch = evaluation.subject, evaluation.batch
    guarded = subject.guarded.answer(batch.x, np.random.default_rng(subject.setting.seed))
    eps, cells = subject.setting.eps.of(norm), [cell for cell in evaluation.cells if cell.norm == norm]
    fixed = next((cell.immovable for cell in cells if cell.eps == eps and not cell.measured), None)
    targeted = evaluation.thorough and subject.setting.criterion.classes and fixed is None
    judge_parts = judge_parts and fixed is None
    return Robustness(
        digest=subject.guarded.digest,
        clean=rate(~subject.lost(batch.x, batch.y)),
        clean_guarded=rate(~subject.lost_guarded(batch.x, batch.y)),
        false_positives=rate(guarded.flagged),
        cells=cells,
        targeted={norm: _targeted(evaluation, norm)} if targeted else {},
        parts=measure_parts(subject, batch, evaluation.examples[norm, eps], norm) if judge_parts else [],
        lint={norm: [_nothing(fixed.says(norm, eps))] if fixed else check(evaluation, norm, foreign)},
    )


def _nothing(says: str) -> Check:
    """Takes the place of all other checks, of which none has anything to look at."""
    return Check(name="something can be perturbed", passed=False, found=f"not measured: {says}")


def _targeted(evaluation: Evaluation, norm: Norm) -> Rate:
    """The share of rows that targeted PGD turns into the class after their own."""
    subject, batch, params = evaluation.subject, evaluation.batch, evaluation.params
    problem = Problem(of_network(subject.network), Targeted(), norm, subject.setting.bounds, "network")
    wanted = (batch.y + 1) % subject.guarded.schema.outputs
    attack = PGD(steps=params.steps, stop_when_won=True)
    moved = subject.attack(attack, problem, Batch(batch.x, wanted), subject.setting.eps.of(norm))
    return rate(Targeted().won(subject.guarded.network(moved), wanted))

"""Puts together what was measured on one model in one norm: clean figures, threats, parts of the guard, checks."""

from collections.abc import Mapping, Sequence

import numpy as np

from redoubt.attacks.contract import Problem, of_network
from redoubt.attacks.criteria import Targeted
from redoubt.attacks.gradient import PGD
from redoubt.evaluation.evidence import check
from redoubt.evaluation.guard_parts import measure_parts
from redoubt.evaluation.metrics import Rate, Score, balanced_accuracy, class_metrics, rate, skill
from redoubt.evaluation.redraws import Flags
from redoubt.evaluation.robustness import Evaluation
from redoubt.evaluation.subject import Subject
from redoubt.evaluation.verdict import Check, Robustness
from redoubt.types import Batch, Floats, Norm, Threat

# Of a number's size: what two calls of one network may differ by.
FLAT = 1e-6


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
    network, labels = subject.guarded.network(batch.x), subject.guarded.schema.labels
    lost, lost_guarded = subject.lost(batch.x, batch.y), subject.lost_guarded(batch.x, batch.y)
    eps, cells = subject.setting.eps.of(norm), [cell for cell in evaluation.cells if cell.norm == norm]
    fixed = next((cell.immovable for cell in cells if cell.eps == eps and not cell.measured), None)
    targeted = evaluation.thorough and subject.setting.criterion.classes and fixed is None
    judge_parts = judge_parts and fixed is None
    return Robustness(
        digest=subject.guarded.digest,
        clean=rate(~lost),
        clean_guarded=rate(~lost_guarded),
        false_positives=rate(guarded.flagged),
        cells=cells,
        targeted={norm: _targeted(evaluation, norm)} if targeted else {},
        parts=measure_parts(subject, batch, evaluation.examples[Threat(norm, eps)], norm) if judge_parts else [],
        lint={norm: [_nothing(fixed.says(norm, eps))] if fixed else check(evaluation, norm, foreign)},
        scores=_scores(subject, batch, {"clean": (network, lost), "clean_guarded": (guarded.vote, lost_guarded)}),
        mcc=class_metrics(guarded.vote.argmax(axis=1), batch.y, len(labels))["mcc"] if labels else None,
        degenerate=degenerate(network, labels) or degenerate(guarded.vote, labels),
    )


def _nothing(says: str) -> Check:
    """Takes the place of all other checks, of which none has anything to look at."""
    return Check(name="something can be perturbed", passed=False, found=f"not measured: {says}")


def degenerate(outputs: Floats, labels: Sequence[str]) -> str | None:
    """Why outputs are worth nothing, whatever their accuracy is; None if they are not.

    Args:
        outputs: logits, probabilities or values `(examples, outputs)`.
        labels: class names; empty for numbers.
    """
    count, broken = len(outputs), int((~np.isfinite(outputs)).any(axis=1).sum())
    if broken:
        return f"its output is not a finite number for {broken} of {count} examples"
    predicted = np.unique(outputs.argmax(axis=1))
    if labels and len(predicted) == 1:
        return f"it predicts one class only, '{labels[predicted[0]]}', for all {count} examples"
    if not labels and np.ptp(outputs) <= FLAT * np.abs(outputs).max():
        return f"it predicts one number only, {outputs.mean():.6g}, for all {count} examples"
    return None


def _scores(subject: Subject, batch: Batch, clean: Mapping[str, tuple[Floats, Flags]]) -> dict[str, Score]:
    """Balanced accuracy of classes; of numbers R2 against the mean of the training rows, where that is known."""
    if subject.setting.criterion.classes:
        return {name: balanced_accuracy(~lost, batch.y, outputs.shape[1]) for name, (outputs, lost) in clean.items()}
    if subject.setting.target_mean is None:
        return {}
    constant = np.square(batch.y.astype(float) - subject.setting.target_mean)
    return {
        name: skill(np.square(outputs[:, 0].astype(float) - batch.y), constant, "R2")
        for name, (outputs, _) in clean.items()
        if constant.any()
    }


def _targeted(evaluation: Evaluation, norm: Norm) -> Rate:
    """The share of rows that targeted PGD turns into the class after their own."""
    subject, batch, params = evaluation.subject, evaluation.batch, evaluation.params
    problem = Problem(of_network(subject.network), Targeted(), norm, subject.setting.bounds, "network")
    wanted = (batch.y + 1) % subject.guarded.schema.outputs
    attack = PGD(steps=params.steps, stop_when_won=True)
    moved = subject.attack(attack, problem, Batch(batch.x, wanted), subject.setting.eps.of(norm))
    return rate(Targeted().won(subject.guarded.network(moved), wanted))

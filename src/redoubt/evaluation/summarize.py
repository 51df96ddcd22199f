"""Puts together what was measured on one model in one norm: clean figures, threats, parts of the guard, checks."""

from collections.abc import Mapping, Sequence

import numpy as np

from redoubt.attacks.core.criteria import Targeted
from redoubt.attacks.core.gradient import PGD
from redoubt.core.types import Batch, Floats, Norm, Threat
from redoubt.data.shared.dataset import digest_arrays
from redoubt.evaluation.ablation import ablate_guard
from redoubt.evaluation.attack_columns import Evaluation
from redoubt.evaluation.evaluator import Evaluator
from redoubt.evaluation.metrics import Rate, Score, balanced_accuracy, class_metrics, rate, skill
from redoubt.evaluation.paired import packed
from redoubt.evaluation.probes import diagnose
from redoubt.evaluation.redraws import Flags
from redoubt.evaluation.results import Check, GuardedClean, Robustness

# Of a number's size: what two calls of one network may differ by.
FLAT = 1e-6


def summarize(evaluation: Evaluation, norm: Norm, foreign: list[Floats], *, judge_parts: bool) -> Robustness:
    """Everything that is reported of one model on some examples in one norm.

    Args:
        evaluation: done in that norm.
        norm: the norm.
        foreign: perturbations of the same examples, of the budget's size, that were made on other networks.
        judge_parts: attack each part of the guard by itself too.
    """
    evaluator, batch = evaluation.evaluator, evaluation.batch
    guarded = evaluator.guarded.predict(batch.x, np.random.default_rng(evaluator.config.seed))
    network, labels = evaluator.guarded.network(batch.x), evaluator.guarded.schema.labels
    is_adversarial, clean = evaluator.is_adversarial(batch.x, batch.y), _clean(evaluator, batch)
    eps, cells = evaluator.config.eps.of(norm), [cell for cell in evaluation.cells if cell.norm == norm]
    fixed = next((cell.immovable for cell in cells if cell.eps == eps and not cell.measured), None)
    targeted = evaluation.thorough and evaluator.config.criterion.is_classification and fixed is None
    judge_parts = judge_parts and fixed is None
    return Robustness(
        digest=evaluator.guarded.digest,
        clean=rate(~is_adversarial),
        clean_guarded=clean.clean_guarded,
        false_positives=rate(guarded.flagged),
        cells=cells,
        targeted={norm: _targeted(evaluation, norm)} if targeted else {},
        components=ablate_guard(evaluator, batch, evaluation.examples[Threat(norm, eps)], norm) if judge_parts else [],
        checks={norm: [_nothing(fixed.says(norm, eps))] if fixed else diagnose(evaluation, norm, foreign)},
        scores=_scores(evaluator, batch, {"clean": (network, is_adversarial)}) | clean.scores,
        mcc=clean.mcc,
        mcc_network=_mcc(network, batch, labels),
        degenerate=degenerate(network, labels) or clean.degenerate,
        examples=digest_arrays({"x": batch.x, "y": batch.y}),
        right={"clean": packed(~is_adversarial)} | clean.right,
        behind={vote: _clean(each, batch) for vote, each in evaluation.others.items()},
    )


def _clean(evaluator: Evaluator, batch: Batch) -> GuardedClean:
    """Unperturbed examples behind one guard."""
    said = evaluator.guarded.predict(batch.x, np.random.default_rng(evaluator.config.seed)).vote
    is_adversarial, labels = evaluator.is_adversarial_guarded(batch.x, batch.y), evaluator.guarded.schema.labels
    return GuardedClean(
        clean_guarded=rate(~is_adversarial),
        scores=_scores(evaluator, batch, {"clean_guarded": (said, is_adversarial)}),
        mcc=_mcc(said, batch, labels),
        degenerate=degenerate(said, labels),
        right={"clean_guarded": packed(~is_adversarial)},
    )


def _mcc(outputs: Floats, batch: Batch, labels: Sequence[str]) -> float | None:
    return class_metrics(outputs.argmax(axis=1), batch.y, len(labels))["mcc"] if labels else None


def _nothing(says: str) -> Check:
    """Takes the place of all other checks, of which none has anything to look at."""
    return Check(name="the threat can perturb something", passed=False, found=f"not measured: {says}")


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
        return f"it predicts a single class, '{labels[predicted[0]]}', for all {count} examples"
    if not labels and np.ptp(outputs) <= FLAT * np.abs(outputs).max():
        return f"it predicts a single value, {outputs.mean():.6g}, for all {count} examples"
    return None


def _scores(evaluator: Evaluator, batch: Batch, clean: Mapping[str, tuple[Floats, Flags]]) -> dict[str, Score]:
    """Balanced accuracy of classes; of numbers R2 against the mean of the training set, where that is known."""
    if evaluator.config.criterion.is_classification:
        return {
            name: balanced_accuracy(~is_adversarial, batch.y, outputs.shape[1])
            for name, (outputs, is_adversarial) in clean.items()
        }
    if evaluator.config.target_mean is None:
        return {}
    constant = np.square(batch.y.astype(float) - evaluator.config.target_mean)
    return {
        name: skill(np.square(outputs[:, 0].astype(float) - batch.y), constant, "R2")
        for name, (outputs, _) in clean.items()
        if constant.any()
    }


def _targeted(evaluation: Evaluation, norm: Norm) -> Rate:
    """The share of examples that targeted PGD turns into the class after their own."""
    evaluator, batch, params = evaluation.evaluator, evaluation.batch, evaluation.params
    problem = evaluator.undefended[norm].aimed(Targeted())
    wanted = (batch.y + 1) % evaluator.guarded.schema.outputs
    attack = PGD(steps=params.steps, early_stop=True)
    x_adv = evaluator.attack(attack, problem, Batch(batch.x, wanted), evaluator.config.eps.of(norm))
    return rate(Targeted().is_adversarial(evaluator.guarded.network(x_adv), wanted))

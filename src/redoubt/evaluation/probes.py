"""Gathers what the checks looks at: the figures of a norm at its budget, and a few probes of the model."""

from dataclasses import replace

import numpy as np
import tensorflow as tf

from redoubt.attacks.core.gradient import loss_gradient
from redoubt.core.types import Batch, Floats, Norm
from redoubt.evaluation.attack_columns import Evaluation
from redoubt.evaluation.diagnostics import Observed, Unbounded, gradient_masking_checks
from redoubt.evaluation.importance import share_of
from redoubt.evaluation.results import Check
from redoubt.evaluation.unbounded import Arena, unbounded

PROBED = 64


def diagnose(evaluation: Evaluation, norm: Norm, foreign: list[Floats]) -> list[Check]:
    """Run the checks over an evaluation.

    Args:
        evaluation: done in the norm.
        norm: whose budget is looked at.
        foreign: perturbations of the same examples, of the budget's size, that were made on other networks.
    """
    evaluator, batch = evaluation.evaluator, evaluation.batch
    budget = evaluator.config.eps.threat(norm)
    is_adversarial = evaluation.is_adversarial[budget]
    if foreign:
        is_adversarial = replace(
            is_adversarial, transfer=np.any([evaluator.is_adversarial(x_adv, batch.y) for x_adv in foreign], axis=0)
        )
    some = batch.x[:PROBED]
    outputs, again = (evaluator.network(some, training=False).numpy() for _ in range(2))
    one, other = (evaluator.guarded.predict(some, np.random.default_rng(i)).vote for i in range(2))
    probabilities = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-4)
    return gradient_masking_checks(
        Observed(
            cells=[cell for cell in evaluation.cells if cell.norm == norm and cell.measured],
            budget=budget.eps,
            is_adversarial=is_adversarial,
            unbounded=_with_importance(unbounded(evaluator, batch, norm), evaluation),
            dead=dead_gradients(evaluator, batch, norm),
            repeats=bool(np.array_equal(outputs, again)),
            logits=not (evaluator.config.criterion.is_classification and probabilities),
            draws=len(evaluator.guarded.guard.random_variants),
            guard_repeats=bool(np.array_equal(one, other)),
        )
    )


def _with_importance(found: Unbounded, evaluation: Evaluation) -> Unbounded:
    """How much the features matter that cannot change, where there are any."""
    if not found.fixed:
        return found
    return replace(found, importance=share_of(found.fixed, evaluation.importance))


def dead_gradients(evaluator: Arena, batch: Batch, norm: Norm) -> float:
    """The share of examples classified correctly whose gradient leads nowhere."""
    right = ~evaluator.is_adversarial(batch.x, batch.y)
    if not right.any():
        return 0.0
    some = batch.take(np.flatnonzero(right)[:1000])
    gradient = loss_gradient(
        evaluator.undefended[norm], tf.constant(some.x), tf.constant(some.y), tf.zeros(2, tf.int32)
    )
    size = np.abs(gradient.numpy() * evaluator.bounds.scale).reshape(len(some), -1).max(axis=1)
    return float((~(np.isfinite(size) & (size > 0))).mean())

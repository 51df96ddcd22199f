"""Gathers what the lint looks at: the figures of a norm at its budget, and a few probes of the model."""

from dataclasses import replace

import numpy as np
import tensorflow as tf

from redoubt.attacks.gradient import loss_gradient
from redoubt.evaluation.lint import Evidence, lint
from redoubt.evaluation.robustness import Evaluation
from redoubt.evaluation.subject import Subject
from redoubt.evaluation.unlimited import unlimited
from redoubt.evaluation.verdict import Check
from redoubt.types import Batch, Floats, Norm

PROBED = 64


def check(evaluation: Evaluation, norm: Norm, foreign: list[Floats]) -> list[Check]:
    """Run the lint over an evaluation.

    Args:
        evaluation: done in the norm.
        norm: whose budget is looked at.
        foreign: perturbations of the same rows, of the budget's size, that were made on other networks.
    """
    subject, batch = evaluation.subject, evaluation.batch
    budget = subject.setting.eps.threat(norm)
    lost = evaluation.lost[budget]
    if foreign:
        lost = replace(lost, transfer=np.any([subject.lost(moved, batch.y) for moved in foreign], axis=0))
    some = batch.x[:PROBED]
    outputs, again = (subject.network(some, training=False).numpy() for _ in range(2))
    one, other = (subject.guarded.answer(some, np.random.default_rng(i)).vote for i in range(2))
    probabilities = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-4)
    return lint(
        Evidence(
            cells=[cell for cell in evaluation.cells if cell.norm == norm and cell.measured],
            budget=budget.eps,
            lost=lost,
            unlimited=unlimited(evaluation, norm),
            dead=_dead(subject, batch, norm),
            repeats=bool(np.array_equal(outputs, again)),
            logits=not (subject.setting.criterion.classes and probabilities),
            draws=subject.guarded.guard.draws,
            guard_repeats=bool(np.array_equal(one, other)),
        )
    )


def _dead(subject: Subject, batch: Batch, norm: Norm) -> float:
    """The share of rows answered right whose gradient leads nowhere."""
    right = ~subject.lost(batch.x, batch.y)
    if not right.any():
        return 0.0
    some = batch.take(np.flatnonzero(right)[:1000])
    gradient = loss_gradient(subject.plain[norm], tf.constant(some.x), tf.constant(some.y), tf.zeros(2, tf.int32))
    size = np.abs(gradient.numpy() * subject.setting.bounds.scale).reshape(len(some), -1).max(axis=1)
    return float((~(np.isfinite(size) & (size > 0))).mean())

"""Evaluations of the tiny guarded tasks; what is compiled for a task is shared by all tests of a process."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redoubt.bundle.base.types import Vote
from redoubt.core.types import Norm, Threat
from redoubt.evaluation.attack_columns import Evaluation
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator
from redoubt.evaluation.results import NORMS, Robustness, join
from redoubt.evaluation.shared_network import SharedNetwork
from redoubt.evaluation.summarize import summarize
from redoubt.params.settings.sections import AttackParams, Eps
from tests.support.tiny import TABLE, Guarded

PARAMS = AttackParams(linf=(0.000001, 0.1, 0.3), l2=(0.3, 0.8), points=60, steps=6, restarts=2, eot=2, queries=30)
EPS = Eps(linf=0.1, l2=0.8)


def norms(guarded: Guarded) -> tuple[Norm, ...]:
    """In which a task is evaluated: one task in both, since each attack's graph takes a second to build per norm."""
    return NORMS if guarded.case.name == TABLE else ("linf",)


def threats(guarded: Guarded) -> list[Threat]:
    """Every eps of every such norm."""
    return [Threat(norm, eps) for norm in norms(guarded) for eps in PARAMS.grid(norm, EPS)]


def evaluator_of(guarded: Guarded, cache: EvaluationCache | None = None, **change: Any) -> Evaluator:
    """The network and its guard under the terms above, or with some parameters changed."""
    case = guarded.case
    params, kept = PARAMS.model_copy(update=change), cache or EvaluationCache(None)
    config = EvaluationConfig(params, EPS, case.criterion, case.bounds, 1, kept, case.scaler.target_mean)
    return Evaluator(case.network, guarded.model, config, shared_network(guarded))


@functools.cache
def shared_network(guarded: Guarded) -> SharedNetwork:
    """What is compiled, the same for every configuration, and most of an evaluation's time."""
    return SharedNetwork(guarded.case.network)


def evaluation(
    guarded: Guarded, cache: Path | None = None, thorough: bool = True, others: Sequence[Vote] = (), **change: Any
) -> Evaluation:
    """An evaluation about to begin."""
    evaluator = evaluator_of(guarded, EvaluationCache(cache), **change)
    return Evaluation(evaluator, guarded.case.test, thorough=thorough, others=others)


@functools.cache
def measured(guarded: Guarded) -> tuple[Robustness, Evaluation]:
    """A whole evaluation, done when first asked for."""
    work = evaluation(guarded)
    for threat in threats(guarded):
        work.run(threat)
    shares = [summarize(work, norm, [], judge_parts=norm == "linf") for norm in norms(guarded)]
    return join(shares), work

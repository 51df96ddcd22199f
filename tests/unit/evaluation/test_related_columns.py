"""A table with relations between columns: what its evaluation tries, calls what it tried, and keeps."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from redoubt.attacks.core.base import AttackError
from redoubt.attacks.core.gradient import fgsm
from redoubt.bundle.relations.table import Relations
from redoubt.core.types import Batch, Threat
from redoubt.evaluation.attack_columns import Evaluation
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator
from redoubt.evaluation.metrics import class_metrics
from redoubt.evaluation.paired import unpacked
from redoubt.evaluation.results import ThreatResult
from tests.support.evaluations import EPS, PARAMS, evaluation
from tests.support.tiny import TABLE, Guarded

LINES = ("weight == 4000 * age", "age <= 1")
THREAT = Threat("linf", 0.1)


def of_related(guarded: Guarded, cache: EvaluationCache) -> Evaluation:
    """The same examples, but of one weight per age."""
    case = guarded.case
    relations = Relations.of(LINES, {"weight": 0, "age": 1})
    x = case.test.x.copy()
    x[:, 1] = x[:, 0] / np.float32(4000)
    bounds = replace(case.bounds, relations=relations).covering(x)
    config = EvaluationConfig(PARAMS, EPS, case.criterion, bounds, 1, cache)
    return Evaluation(Evaluator(case.network, guarded.model, config), Batch(x, case.test.y), thorough=True)


@pytest.fixture(scope="module")
def found(bundles: Callable[[str], Guarded]) -> tuple[Evaluation, ThreatResult]:
    work = of_related(bundles(TABLE), EvaluationCache(None))
    return work, work.run(THREAT)


def test_attacks_that_repair_are_called_so_and_a_search_is_tried(found: tuple[Evaluation, ThreatResult]) -> None:
    names = [name for name, _ in found[1].broken]
    assert {"capgd-ce", "capgd-t", "genetic search"} <= set(names)
    assert not any(name.startswith("apgd") for name in names)


def test_nothing_that_counts_breaks_a_relation(found: tuple[Evaluation, ThreatResult]) -> None:
    work, result = found
    relations = work.evaluator.bounds.relations
    assert relations is not None
    assert relations.holds(work.batch.x).all()
    assert relations.holds(work.examples[THREAT]).all()
    assert (work.examples[THREAT] != work.batch.x).any()
    assert result.undefended is not None
    assert 0 < result.undefended.share < 1


def test_matthews_correlation_stands_beside_robust_accuracy(found: tuple[Evaluation, ThreatResult]) -> None:
    y, result = found[0].batch.y, found[1]
    assert set(result.mcc) == {"undefended", "adaptive"}
    for column, mcc in result.mcc.items():
        robust = unpacked(result.robust[column], len(y))
        assert mcc == class_metrics(np.where(robust, y, 1 - y), y, 2)["mcc"]


def test_an_examiner_that_ignores_them_is_stopped(found: tuple[Evaluation, ThreatResult]) -> None:
    evaluator = found[0].evaluator
    free = replace(evaluator.undefended["linf"], bounds=replace(evaluator.bounds, relations=None), compiled={})
    x_adv = fgsm()(free, found[0].batch.x, found[0].batch.y, eps=0.1, seed=0)
    given = EvaluationCache(None)
    given.remember = lambda *_: {"x_adv": x_adv}  # type: ignore[method-assign]
    stale = replace(evaluator, config=replace(evaluator.config, cache=given))
    with pytest.raises(AttackError, match="the attack broke the relation 'weight == 4000 \\* age' in"):
        stale.attack(fgsm(), stale.undefended["linf"], found[0].batch, 0.1)


def test_without_relations_names_and_attacks_are_as_ever(bundles: Callable[[str], Guarded]) -> None:
    found = evaluation(bundles(TABLE), thorough=False).run(THREAT)
    assert "mcc" not in found.model_dump()
    names = [name for name, _ in found.broken]
    assert names[:4] == ["fgsm", "pgd", "apgd-ce", "pgd-margin"]
    assert "genetic search" not in names

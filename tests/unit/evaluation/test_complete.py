"""The complete verifier beside interval bounds and attacks, on the same examples, as the certify stage reports it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redoubt.attacks import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.own_model import of_network
from redoubt.certify.refute import RefutedError
from redoubt.evaluation import complete
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.certification import certified_network
from redoubt.evaluation.certified_shares import CertifiedShares
from redoubt.evaluation.complete import Terms, verdicts
from redoubt.params.settings.sections import CertifyParams, Eps
from redoubt.params.settings.stages import CertifySettings
from tests.support.tiny import NUMBER, TABLE, TOLERANCE, Guarded

EPS = 0.4
TASKS = pytest.mark.parametrize("name", [TABLE, NUMBER])


def terms_of(guarded: Guarded) -> Terms:
    return Terms(EPS, None if guarded.case.schema.labels else TOLERANCE, 50, 1)


def intervals_of(guarded: Guarded) -> Any:
    return certified_network(guarded.model, guarded.case.test, EPS, terms_of(guarded).tolerance)


@TASKS
def test_it_only_adds_proofs_and_proves_nothing_that_an_attack_breaks(
    name: str, bundles: Callable[[str], Guarded]
) -> None:
    guarded = bundles(name)
    case, intervals = guarded.case, intervals_of(guarded)
    found = verdicts(case.network, case.test, intervals, case.bounds, terms_of(guarded))
    problem = AttackProblem(of_network(case.network), case.criterion, "linf", case.bounds)
    x_adv = PGD(steps=10)(problem, case.test.x, case.test.y, eps=EPS, seed=1)
    broken = case.criterion.is_adversarial(problem.predict(x_adv), case.test.y)
    assert np.all(found[intervals] == "proven")
    assert not np.any(broken & (found == "proven"))
    assert broken.any()
    assert np.sum(found == "proven") > intervals.sum(), "or this shows nothing"


def test_a_proof_that_the_network_refutes_ends_the_run(
    bundles: Callable[[str], Guarded], monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = bundles(TABLE)
    case = guarded.case
    right = complete.verify_batch

    def lying(*given: Any) -> Any:
        return [replace(each, verdict="proven") for each in right(*given)]

    monkeypatch.setattr(complete, "verify_batch", lying)
    with pytest.raises(RefutedError, match=r"L-inf 0\.4, complete: example \d+ is certified"):
        verdicts(case.network, case.test, intervals_of(guarded), case.bounds, terms_of(guarded))


@TASKS
def test_the_stage_counts_every_example_once_and_remembers(
    name: str, bundles: Callable[[str], Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = bundles(name)
    case = guarded.case
    params = CertifyParams(sigma=0.2, radii=(0.1,), selection_draws=10, draws=50, alpha=0.01, points=10)
    tolerance, eps = terms_of(guarded).tolerance, Eps(linf=EPS, l2=0.3)
    settings = CertifySettings(name="t", tolerance=tolerance, eps=eps, linf=(), certify=params, seed=1)
    few, mean = case.test.take(np.arange(10)), case.scaler.target_mean
    box, cache = case.scaler.bounds(case.schema), EvaluationCache(tmp_path)
    shares = CertifiedShares(settings, case.schema, case.test, few, box, mean, cache)
    measured = shares.measure(guarded.model, "certify", case.network)
    found, interval = measured["complete"], measured["interval"][-1]["certified"]
    assert found["eps"] == EPS
    assert round(found["certified"]["share"] * len(case.test)) + found["adversarial"] + found["undecided"] == len(
        case.test
    )
    assert found["certified"]["share"] >= interval["share"]
    monkeypatch.setattr(complete, "verify_batch", lambda *_: pytest.fail("it was verified again"))
    assert shares.measure(guarded.model, "certify", case.network) == measured
    assert shares.measure(guarded.model, "certify")["complete"] is None

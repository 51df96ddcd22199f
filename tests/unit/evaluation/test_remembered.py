"""What was measured of a model that has not changed is not measured again, and makes the same bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redoubt.attacks.core.base import Attack
from redoubt.core.store import dumps
from redoubt.core.types import Threat
from redoubt.evaluation import certified_shares
from redoubt.evaluation.attack_columns import Evaluation
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.certified_shares import CertifiedShares
from redoubt.evaluation.summarize import summarize
from redoubt.params.settings.sections import CertifyParams
from redoubt.params.settings.stages import CertifySettings
from tests.support.evaluations import EPS, evaluator_of
from tests.support.tiny import NUMBER, TABLE, TOLERANCE, Guarded

SMOOTHING = CertifyParams(sigma=0.2, radii=(0.1,), selection_draws=10, draws=50, alpha=0.01, points=10)


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("it was measured again")


def attacked(guarded: Guarded, cache: EvaluationCache) -> str:
    work = Evaluation(evaluator_of(guarded, cache), guarded.case.test, thorough=True)
    work.run(Threat("linf", EPS.linf))
    return dumps(summarize(work, "linf", [], judge_parts=True).model_dump(mode="json"))


def certified(guarded: Guarded, cache: EvaluationCache) -> str:
    case = guarded.case
    tolerance = None if case.schema.labels else TOLERANCE
    settings = CertifySettings(name="t", tolerance=tolerance, eps=EPS, linf=(0.05,), certify=SMOOTHING, seed=1)
    few = case.test.take(slice(10))  # type: ignore[arg-type]
    box, mean = case.scaler.bounds(case.schema), case.scaler.target_mean
    shares = CertifiedShares(settings, case.schema, case.test, few, box, mean, cache)
    return dumps(shares.measure(guarded.model, "certify"))


def test_attacks_on_a_model_that_has_not_changed_are_remembered(
    bundles: Callable[[str], Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = bundles(TABLE)
    plain = attacked(guarded, EvaluationCache(None))
    assert attacked(guarded, EvaluationCache(tmp_path)) == plain
    damaged = sorted(tmp_path.iterdir())[0]
    damaged.write_bytes(b"damaged")
    assert attacked(guarded, EvaluationCache(tmp_path)) == plain
    monkeypatch.setattr(Attack, "__call__", refuse)
    assert attacked(guarded, EvaluationCache(tmp_path)) == plain
    other = EvaluationCache(tmp_path, "other code")
    with pytest.raises(AssertionError, match="measured again"):
        attacked(guarded, other)


@pytest.mark.parametrize("name", [TABLE, NUMBER])
def test_certificates_of_a_model_that_has_not_changed_are_remembered(
    name: str, bundles: Callable[[str], Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = bundles(name)
    plain = certified(guarded, EvaluationCache(None))
    cache = EvaluationCache(tmp_path)
    assert certified(guarded, cache) == plain
    cache.keep_used()
    for work in ("certify_classes", "certify_numbers", "checked_network"):
        monkeypatch.setattr(certified_shares, work, refuse)
    assert certified(guarded, EvaluationCache(tmp_path)) == plain
    other = next(each for each in (TABLE, NUMBER) if each != name)
    with pytest.raises(AssertionError, match="measured again"):
        certified(bundles(other), EvaluationCache(tmp_path))

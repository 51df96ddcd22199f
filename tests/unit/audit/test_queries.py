"""Every query to a model counts, whoever asks, and none is asked beyond a budget of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from redoubt.audit.budget import Budget
from redoubt.audit.frame import Frame, frame_of
from redoubt.audit.run import AuditError, Settings, audit
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.core.types import PIXELS
from redoubt.targets.bundle_folder import open_bundle
from redoubt.targets.contract import Opening, Target
from tests.support.brightness import examples, model
from tests.support.planted import opened
from tests.support.tiny import IMAGE, Guarded

BUDGETS = [40, 150, 400, 1000, 2500, 6000, None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MANY", "FEW"):
        monkeypatch.setattr(f"redoubt.audit.plan.{name}", 40)
    for name in ("plan", "guard"):
        monkeypatch.setattr(f"redoubt.audit.{name}.STEPS", 4)


def counting(target: Target, asked: list[int]) -> Target:
    def predict(x: Any) -> Any:
        asked.append(len(x))
        return target.predict(x)

    return replace(target, predict=predict)


@pytest.mark.parametrize("queries", BUDGETS)
@pytest.mark.parametrize("gradients", [True, False])
def test_a_budget_holds_for_every_query(gradients: bool, queries: int | None) -> None:
    batch, asked = examples(24), list[int]()
    target = counting(opened(model(), batch), asked)
    target = target if gradients else replace(target, gradients=None, network=None, certifier=None, access="scores")
    settings = Settings(eps=(0.1,), budget=Budget(None, queries))
    if queries == 40:
        with pytest.raises(AuditError, match="the budget is spent before anything is attacked"):
            audit(target, batch, frame_of(batch.x, None), settings)
        assert sum(asked) <= 40
        return
    found = audit(target, batch, frame_of(batch.x, None), settings).audit
    assert found.queries == sum(asked) <= (queries or 10**9)
    assert found.headline.certified is None or found.headline.certified.share <= found.headline.robust.share
    if queries is None:
        assert found.stopped is None
        assert found.verdict.startswith("clean")
    if found.stopped is not None and gradients:
        assert found.verdict.startswith("NOT TRUSTED"), "gradients were not checked"


@pytest.mark.parametrize("queries", [200, 500, 1500, 4000, 12000, None])
def test_those_through_a_guard_too(
    queries: int | None, bundles: Callable[[str], Guarded], monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded, asked = bundles(IMAGE), list[int]()
    batch, through = guarded.case.test.take(np.arange(24)), GuardedModel.predict

    def predict(self: GuardedModel, x: Any, *args: Any, **more: Any) -> Any:
        asked.append(len(x))
        return through(self, x, *args, **more)

    monkeypatch.setattr(GuardedModel, "predict", predict)
    target = counting(open_bundle(str(guarded.folder), Opening(batch)), asked)
    asked.clear()
    frame = Frame(PIXELS, guarded.case.schema, "0 to 1, the bundle's", 1.0)
    found = audit(target, batch, frame, Settings(eps=(0.3,), budget=Budget(None, queries))).audit
    assert found.queries == sum(asked) <= (queries or 10**9)
    row = found.headline
    if queries is None:
        assert found.stopped is None
        assert row.adaptive is not None
        tried = [each["attack"] for each in found.tried]
        assert [name for name in tried if name == "square through the guard"]
    elif found.stopped is not None:
        assert "exceed the budget" in found.stopped
    if row.adaptive is not None:
        assert row.oblivious is not None
        assert row.adaptive.share <= row.oblivious.share


def test_what_does_not_count_is_said() -> None:
    batch = examples(24)
    target = opened(model(), batch)
    found = audit(target, batch, frame_of(batch.x, None), Settings(eps=(0.1,), budget=Budget(None, 4000))).audit
    assert "passes through a copy of the model, of attacks that follow its gradients" in found.uncounted
    blind = replace(target, gradients=None, network=None, certifier=None, access="scores", kind="callable")
    found = audit(blind, batch, frame_of(batch.x, None), Settings(eps=(0.1,), budget=Budget(None, 2000))).audit
    (said,) = found.uncounted
    assert "by which its answers were read" in said

"""The adaptive column of a guarded model: by gradients through the guard, and by queries to the model as served."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redoubt.audit.budget import Budget, Clock
from redoubt.audit.frame import Frame
from redoubt.audit.plan import plan
from redoubt.audit.run import Outcome, Settings, audit
from redoubt.core.types import PIXELS
from redoubt.targets.bundle_folder import open_bundle
from redoubt.targets.contract import Opening
from tests.support.tiny import IMAGE, Guarded

EPS = 0.3
THROUGH = "square through the guard"


@pytest.fixture
def outcome(bundles: Callable[[str], Guarded], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    for name in ("MANY", "FEW"):
        monkeypatch.setattr(f"redoubt.audit.plan.{name}", 60)
    for name in ("plan", "guard"):
        monkeypatch.setattr(f"redoubt.audit.{name}.STEPS", 4)
    guarded = bundles(IMAGE)
    batch = guarded.case.test.take(np.arange(24))

    def run(seconds: float | None = None) -> Outcome:
        target = open_bundle(str(guarded.folder), Opening(batch))
        frame = Frame(PIXELS, guarded.case.schema, "0 to 1, the bundle's", 1.0)
        return audit(target, batch, frame, Settings(eps=(EPS,), budget=Budget(seconds)))

    return run


def test_queries_find_what_a_guard_hides_from_gradients(
    outcome: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gradient is masked here on purpose; the network alone is not asked, so that the guard has much to lose."""

    def masked(network: Any, guard: Any) -> Any:
        return lambda x, seed: tf.stop_gradient(network(x)) + 0.0 * tf.reduce_sum(x)

    monkeypatch.setattr("redoubt.evaluation.evaluator.adaptive_outputs", masked)
    monkeypatch.setattr("redoubt.audit.run.plan", lambda scope: [])
    found = outcome().audit
    tried = {each["attack"]: each["first_to_fool"] for each in found.tried}
    assert set(tried) == {"apgd through the guard", "pgd through the guard", THROUGH}
    assert tried[THROUGH] > 0
    row = found.headline
    assert row.oblivious is not None
    assert row.adaptive is not None
    assert row.adaptive.share < row.oblivious.share


@pytest.mark.parametrize("during", ["_certified", "masking_checks", "guarded_columns"])
def test_ctrl_c_after_the_attacks_leaves_what_they_found(
    during: str, outcome: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("redoubt.audit.run.plan", lambda scope: [step for step in plan(scope) if step.alone])
    monkeypatch.setattr(f"redoubt.audit.run.{during}", interrupt)
    found = outcome().audit
    assert found.stopped == "interrupted"
    assert found.tried
    assert found.headline.asked
    assert found.headline.robust.share < found.clean.share
    assert found.headline.adaptive is None
    assert (found.headline.certified is None) == (during == "_certified")


def test_the_clock_and_ctrl_c_leave_what_is_known(
    outcome: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from redoubt.attacks.square import Square

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("redoubt.audit.run.plan", lambda scope: [])
    with monkeypatch.context() as patch:
        patch.setattr(Square, "query", interrupt)
        found = outcome().audit
    assert found.stopped == "interrupted"
    assert [each["examples"] > 0 for each in found.tried] == [True, True, False]
    assert found.headline.adaptive is not None

    asked: list[bool] = []

    def over(self: Clock) -> bool:
        asked.append(True)
        return len(asked) > 2

    monkeypatch.setattr(Clock, "is_over", property(over))
    found = outcome().audit
    assert found.stopped == "the time of the budget is spent"
    assert [each["attack"] for each in found.tried] == ["apgd through the guard", "pgd through the guard"]

"""An audit of a model whose inputs are related: what is tried keeps the relations, and says so by its name."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from redoubt.attacks.ensemble import searches
from redoubt.audit.budget import Budget
from redoubt.audit.frame import FrameError, frame_of, related
from redoubt.audit.plan import Scope, plan
from redoubt.audit.run import Settings, audit
from redoubt.bundle.relations.table import Relations
from redoubt.core.types import Batch
from redoubt.targets.contract import Opening
from redoubt.targets.keras_file import of_model
from tests.support.tiny import TABLE, Guarded

RELATIONS = Relations.of(("weight == 4000 * age",), {"weight": 0, "age": 1})


def test_a_model_of_related_inputs(bundles: Callable[[str], Guarded]) -> None:
    case = bundles(TABLE).case
    x = case.test.x.copy()
    x[:, 1] = x[:, 0] / np.float32(4000)
    batch = Batch(x, case.test.y)
    frame = frame_of(x, None)
    frame = replace(frame, bounds=replace(frame.bounds, relations=RELATIONS))
    target = of_model(case.network, "the model", Opening(batch.take(np.arange(8)), case.schema.labels))
    outcome = audit(target, batch, frame, Settings(eps=(0.3,), budget=Budget(60.0)))
    names = {each["attack"] for each in outcome.audit.tried}
    assert {"capgd-ce", "capgd-t", "genetic search"} <= names
    assert "apgd-ce" not in names
    assert RELATIONS.holds(outcome.x_adv).all()
    assert (outcome.x_adv != x).any()


def test_the_search_comes_before_what_it_is_compared_with(bundles: Callable[[str], Guarded]) -> None:
    bounds = replace(bundles(TABLE).case.bounds, relations=RELATIONS)
    scope = Scope("gradients", (0.1,), (), 2, None, 1, None, tuple(searches(bounds, 100)))
    names = [step.member.name for step in plan(scope)]
    assert names.index("genetic search") < names.index("square")
    assert "genetic search" not in [step.member.name for step in plan(replace(scope, searches=()))]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("weight <= ages", "--relation 'weight <= ages': unknown column 'ages'; did you mean 'age'"),
        ("weight < age", "--relation: relation 'weight < age' is strict, and 'weight' is not of whole numbers"),
        ("weight <= 1000", r"--relation 'weight <= 1000': \d+ of 64 examples break it, the first is example \d+"),
    ],
)
def test_a_line_that_does_not_fit_the_examples_is_refused(
    bundles: Callable[[str], Guarded], line: str, said: str
) -> None:
    x = bundles(TABLE).case.test.x
    frame = frame_of(x, None, ("weight", "age", "red", "green"))
    assert related(frame, [], x) is frame
    with pytest.raises(FrameError, match=said):
        related(frame, [line], x)


def test_a_frame_says_its_relations_and_holds_them(bundles: Callable[[str], Guarded]) -> None:
    x = bundles(TABLE).case.test.x
    frame = related(frame_of(x, None, ("weight", "age", "red", "green")), ["age <= weight", "red + green == 1"], x)
    assert frame.says("linf", 0.3).endswith("; every x_adv keeps `age <= weight`, `red + green == 1`")
    assert frame.bounds.relations is not None
    pictures = np.zeros((3, 4, 4, 1), np.float32)
    with pytest.raises(FrameError, match="these examples have no columns"):
        related(frame_of(pictures, (0, 1)), ["a <= b"], pictures)

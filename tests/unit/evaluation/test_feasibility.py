"""Gates that nobody could clear are said before anything is trained."""

from typing import Any

import numpy as np
import pytest

from redoubt.evaluation.feasibility import FeasibilityError, best, check
from redoubt.params.load import Params, load
from redoubt.params.settings.sections import GatesParams
from redoubt.params.task import Task

LABELS = ("p", "q")


@pytest.fixture(scope="module")
def params(project: Any) -> Params:
    return load(project / "params.yaml")


def task(params: Params, name: str = "diagnosis", **gates: float) -> Task:
    known = params.tasks[name]
    return known.model_copy(update={"gates": GatesParams(**gates)})


def test_120_examples_cannot_clear_85_percent_and_are_told_what_can(params: Params) -> None:
    y = np.arange(19) % 2
    with pytest.raises(FeasibilityError) as told:
        check(task(params, clean=0.85), y, LABELS, 0.0)
    assert str(told.value) == (
        "gates.clean needs a lower end of at least 0.85, and the 19 validation examples (9 of 'q', 10 of 'p') cannot "
        "show more than 0.831 even for a model that predicts all of them correctly: lower it to 0.83 or less, raise "
        "split.validation (now 0.16), or add examples (2 times as many would do)"
    )
    assert check(task(params, clean=0.83), y, LABELS, 0.0) == []
    assert check(task(params, clean=0.85), np.repeat(y, 2), LABELS, 0.0) == []


def test_the_setting_that_keeps_them_few_is_the_one_that_is_named(params: Params) -> None:
    few = task(params, clean=0.85)
    few = few.model_copy(update={"attack": few.attack.model_copy(update={"points": 19})})
    with pytest.raises(FeasibilityError, match=r"raise attack.points \(now 19\), or add examples"):
        check(few, np.arange(19) % 2, LABELS, 0.0)


@pytest.mark.parametrize(
    ("gates", "y", "says"),
    [
        ({}, [0, 1], "gates.margin needs a lower end of at least 0.5, and the 2 validation examples"),
        ({"margin": 0.4}, [0, 1] * 8, "gates.margin .* lower it to 0.3 or less"),
        ({"robust": 0.95}, [0, 1] * 8, "gates.robust needs a lower end of at least 0.95"),
        ({"clean": 1.0}, [0, 1] * 50, "or add examples$"),
    ],
    ids=["two-examples", "margin", "robust", "certainty"],
)
def test_gates_beyond_reach(params: Params, gates: dict[str, float], y: list[int], says: str) -> None:
    with pytest.raises(FeasibilityError, match=says):
        check(task(params, **gates), np.array(y), LABELS, 0.0)


def test_rare_classes_are_said(params: Params) -> None:
    y = np.repeat([0, 1], [297, 3])
    assert check(task(params), y, LABELS, 0.0) == [
        "class 'q' has 3 of the 300 examples that models are judged by: even with all correct, its accuracy is "
        "only known to be above 44%; raise attack.points or split.validation, or add examples"
    ]
    (note,) = check(task(params), y, ("p", "q", "r"), 0.0)[:1]
    assert note == "class 'r' has no example among the 300 that models are judged by: nothing is known of it"


def test_a_tolerance_that_a_constant_never_leaves_is_refused(params: Params) -> None:
    y = np.linspace(-30, 30, 61)
    with pytest.raises(
        FeasibilityError, match="tolerance is 40, and the mean of the training set, 0, is within it on all 61"
    ):
        check(task(params, "evolution"), y, (), 0.0)
    (note,) = check(task(params, "evolution"), 1.5 * y, (), 0.0)
    assert note.startswith("the mean of the training set alone is within the tolerance of 40 on 87% of the")
    assert check(task(params, "evolution", robust=0.3), 10 * y, (), 0.0) == []


def test_more_examples_reach_further() -> None:
    lows = [best(np.arange(20) % 2, 2, times).low for times in (1, 2, 4)]
    assert lows == sorted(lows)
    assert best(np.arange(20) % 2, 2).value == 1

"""Words of a section that are made of settings and figures."""

import numpy as np

from pipelines.headline import _other_guards
from pipelines.section import _clean, _cost_said, _gates
from redoubt.bundle.schema import Schema
from redoubt.evaluation.metrics import rate
from redoubt.evaluation.results import CostResult
from redoubt.params.settings.sections import CANDIDATES


def test_gates_are_said_in_words_and_those_that_are_off_are_not() -> None:
    floors = {"margin": 0.0, "worse_than_linear": 0.1, "robust": 0.4, "clean": None, "vote": "auto"}
    assert _gates(floors) == [
        "clean above a constant predictor by more than 0 %",
        "robust (adaptive) at least 40 %",
        "clean no further below a linear model than 10 %",
    ]


def test_shares_are_told_in_percent_and_other_figures_as_numbers() -> None:
    found = {"accuracy": 0.98611, "balanced_accuracy": 0.986, "mcc": 0.98461}
    models = {name: {"clean": {"undefended": found, "guarded": found}} for name in CANDIDATES}
    beside = {
        "constant": {
            "about": "the majority class",
            "validation": found,
            "test": {**found, "accuracy": 0.1, "score": {}},
        }
    }
    schema = Schema(task="bars", kind="image", target="digit", labels=("zero", "one"), shape=(6, 6, 1))
    told = _clean({"models": models}, beside, schema)
    assert told["metrics"] == ["accuracy", "balanced accuracy", "MCC"]
    assert told["rows"][0] == ["natural, undefended", "98.6 %", "98.6 %", "0.9846"]
    assert told["rows"][-1][:2] == ["the majority class", "10.0 %"]


def test_the_note_on_the_guard_says_what_each_other_one_would_have_cost() -> None:
    def score(vote: str, *values: float) -> dict[str, object]:
        keys = ("clean", "robust", "certified")
        return {
            "name": "certified",
            "vote": vote,
            **{key: {"value": value} for key, value in zip(keys, values, strict=True)},
        }

    promotion = {
        "champion": "certified",
        "vote": "plain",
        "candidates": [score("all", 0.9, 0.85, 0.0), score("squeezed", 0.9, 0.8, 0.7), score("plain", 0.9, 0.8, 0.75)],
    }
    assert list(_other_guards(promotion)) == [
        "the guard only detects; if its variants voted: clean 0.0, adaptive +5.0, certified \N{MINUS SIGN}75.0 points, "
        "on validation examples",
        "the guard only detects; if it squeezed: clean 0.0, adaptive 0.0, certified \N{MINUS SIGN}5.0 points, "
        "on validation examples",
    ]
    assert not list(_other_guards({**promotion, "candidates": promotion["candidates"][2:]}))
    assert not list(_other_guards({**promotion, "champion": None}))


def test_a_budget_is_said_of_each_model_that_was_measured_under_it() -> None:
    flags = np.arange(10) < 6
    cost = CostResult(budget=100.0, prices={"spend": 0.1, "plan": 20.0}, undefended=rate(flags), adaptive=rate(~flags))
    models = {
        name: {"test": {"cost": cost.model_dump(mode="json")} if name == "natural" else {}} for name in CANDIDATES
    }
    assert _cost_said({"models": models}) == [
        "natural: an attacker who may spend 100 on an example (a unit or a switch costs: spend 0.1, plan 20) leaves a"
        " robust accuracy of 60.0 % (31 to 83) undefended, 40.0 % (17 to 69) guarded and adaptive"
    ]
    assert _cost_said({"models": {name: {"test": {}} for name in CANDIDATES}}) == []

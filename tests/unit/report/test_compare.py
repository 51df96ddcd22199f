import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.core.store import write_json
from redoubt.evaluation import metrics
from redoubt.evaluation.paired import correlation, packed, unpacked
from redoubt.report import compare
from redoubt.report.compare import Side, difference
from redoubt.report.sides import SideError, pairs, run_id, sides_of
from tests.support.report import measured


def rate(count: int, n: int) -> dict[str, Any]:
    return metrics.rate(np.arange(n) < count).model_dump()


def test_the_interval_is_newcombes() -> None:
    # Newcombe 1998, table II, example (a): 56/70 and 48/80, method 10.
    found = difference(rate(48, 80), rate(56, 70))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_an_interval_holds_the_difference_and_turns_with_it(m: int, n: int, data: st.DataObject) -> None:
    a, b = rate(data.draw(st.integers(0, m)), m), rate(data.draw(st.integers(0, n)), n)
    found, low, high = difference(a, b)
    assert -1 - 1e-9 <= low <= found <= high <= 1 + 1e-9
    assert difference(b, a) == pytest.approx((-found, -high, -low))


@pytest.mark.parametrize(("common", "n"), [(0.0, 80), (0.9, 80), (0.9, 300)])
def test_a_paired_interval_covers_the_difference_as_often_as_it_says(common: float, n: int) -> None:
    """Two models that share most of what they find hard; on other examples the interval would be twice as wide."""
    rng, held, widths = np.random.default_rng(1), [], []
    for _ in range(1500):
        alike = rng.random(n) < common
        hard = rng.random((2, n))
        a, b = (np.where(alike, hard[0], each) > least for each, least in ((hard[0], 0.3), (hard[1], 0.2)))
        found, low, high = difference(*(metrics.rate(each).model_dump() for each in (a, b)), phi=correlation(a, b))
        assert low <= found <= high
        held.append(low <= 0.1 <= high)
        widths.append(high - low)
    assert 0.93 <= np.mean(held) <= 0.985
    if common:
        assert np.mean(widths) < 0.65 * np.mean(
            [high - low for _, low, high in [difference(rate(7 * n // 10, n), rate(8 * n // 10, n))]]
        )


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_a_bit_per_example_comes_back(flags: list[bool]) -> None:
    kept = np.array(flags)
    assert unpacked(packed(kept), len(kept)).tolist() == flags


def test_what_both_kept_of_the_same_examples_is_paired() -> None:
    kept = np.arange(20) < 10
    cell = {"norm": "linf", "eps": 0.1, "adaptive": rate(10, 20), "robust": {"adaptive": packed(kept)}}
    numbers = {"clean": rate(10, 20), "cells": [cell], "right": {"clean": packed(kept)}, "examples": "x"}
    one = Side("a", "bars", "natural", {}, numbers)
    for examples, paired in (("x", True), ("y", False)):
        for row in compare.rows(one, Side("b", "bars", "natural", {}, numbers | {"examples": examples})):
            assert row.paired == paired
            assert (row.high - row.low < 0.2) == paired, "two that keep the same examples differ in nothing"


def side(name: str = "a", **settings: Any) -> Side:
    return Side(name, "bars", "natural", settings, measured())


def test_a_model_differs_from_itself_in_nothing() -> None:
    assert not any(row.differs for row in compare.rows(side(), side()))
    assert compare.settings_that_differ(side(eps=1), side(eps=1)) == []


def test_what_only_one_has_is_said() -> None:
    less = measured()
    less["cells"] = less["cells"][1:]
    other = Side("b", "bars", "natural", {"eps": 2}, less)
    assert compare.settings_that_differ(side(eps=1, steps=3), other) == [("eps", 1, 2), ("steps", 3, None)]
    assert compare.notes(side(), other) == ["only a was measured at L-inf 0.05"]
    assert {row.threat for row in compare.rows(side(), other)} == {"", "L-inf 0.1", "L2 0.25", "L2 0.5"}


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ({"dataset": "x"}, {"dataset": "y"}, "the dataset differs: the figures are of different examples"),
        ({"digest": "x"}, {"digest": "x"}, "both are the same model, by its digest"),
    ],
)
def test_what_must_be_known_is_said(a: dict[str, Any], b: dict[str, Any], says: str) -> None:
    assert compare.notes(side(**a), side(**b)) == [says]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The results of two tasks, the champion of one of them being `certified`."""
    models = {name: {"test": measured() | {"digest": name}} for name in ("natural", "certified")}
    for task in ("bars", "dots"):
        write_json(tmp_path / "reports" / task / "robustness.json", {"task": task, "norm": "linf", "models": models})
    write_json(tmp_path / "reports/bars/promotion.json", {"champion": "certified"})
    write_json(
        tmp_path / "reports/bars/records/certified.json",
        {"run": "certified", "params": {"training": "ibp"}, "tags": {"dataset": "d"}},
    )
    return tmp_path


def test_a_project_is_its_tasks_each_by_its_champion(project: Path) -> None:
    found = sides_of(str(project))
    assert [(each.task, each.model) for each in found] == [("bars", "certified"), ("dots", "natural")]
    assert found[0].settings == {
        "digest": "certified",
        "model": "certified",
        "vote": "all",
        "training": "ibp",
        "dataset": "d",
    }
    assert sides_of(str(project / "reports")) == [
        Side(
            each.name.replace(str(project), str(project / "reports")),
            each.task,
            each.model,
            each.settings,
            each.numbers,
        )
        for each in found
    ]


@pytest.mark.parametrize("place", ["reports/bars", "reports/bars/robustness.json"])
@pytest.mark.parametrize(("model", "expected"), [("", "certified"), (":natural", "natural")])
def test_a_task_is_one_model(project: Path, place: str, model: str, expected: str) -> None:
    (found,) = sides_of(f"{project / place}{model}")
    assert found.model == expected


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("nowhere", "there is no such file or folder"),
        ("reports/bars:other", "there is no model 'other'; expected one of certified, natural"),
        ("reports/bars/records", "it holds neither robustness.json nor card.json"),
    ],
)
def test_what_is_not_there_is_said(project: Path, place: str, says: str) -> None:
    with pytest.raises(SideError, match=says):
        sides_of(str(project / place))


def test_tasks_are_paired_by_name() -> None:
    one, two = Side("a", "bars", "m", {}, {}), Side("b", "dots", "m", {}, {})
    assert pairs([one], [two]) == [(one, two)]
    assert pairs([one, two], [two, Side("c", "x", "m", {}, {})]) == [(two, two)]
    with pytest.raises(SideError, match="no task in common: bars, dots; and x"):
        pairs([one, two], [Side("c", "x", "m", {}, {})])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0" * 32, "0" * 32),
        ("runs:/" + "a" * 32, "a" * 32),
        ("http://localhost:5000/#/experiments/1/runs/" + "b" * 32 + "/model-metrics", "b" * 32),
        ("models/digits", None),
        ("http://localhost:3000/predict", None),
    ],
)
def test_a_run_is_told_from_a_place(text: str, expected: str | None) -> None:
    assert run_id(text) == expected


def test_data_can_be_written_as_json() -> None:
    found = json.loads(json.dumps(compare.as_data(side(eps=1), side("b", eps=2))))
    assert found["settings"] == [{"name": "eps", "a": 1, "b": 2}]
    assert {row["what"] for row in found["rows"]} >= {"clean, network", "adaptive", "certified (network)"}

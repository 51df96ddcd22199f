import json
import math
import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.report import section_charts
from redoubt.report.chart import HEIGHT, WIDTH, Chart, Series, draw, group, ticks

ODD = "<b>50 % & more</b></script>"
FINITE = st.floats(-1e9, 1e9, allow_nan=False)


def numbers(page: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(re.findall(r"<script[^>]*>(.*?)</script>", page)[0])
    return found


def picture(page: str) -> ET.Element:
    return ET.fromstring(re.findall(r"<svg.*?</svg>", page)[-1])


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=20), st.booleans(), st.booleans())
def test_whatever_is_drawn_lies_in_the_picture(points: list[tuple[float, float]], cloud: bool, log: bool) -> None:
    x, y = zip(*sorted(points), strict=True)
    drawn = picture(draw(Chart("a", [Series("b", x, y, 0)], "x", "y", cloud=cloud, log=log)))
    for path in drawn.iter("path"):
        for across, up in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.attrib["d"]):
            assert -0.1 <= float(across) <= WIDTH + 0.1
            assert -0.1 <= float(up) <= HEIGHT + 0.1


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_within_the_ends(low: float, length: float) -> None:
    found = ticks(low, low + length)
    assert 1 <= len(found) <= 8
    assert all(low - 1e-6 * length <= value <= low + length * (1 + 1e-6) for value in found)


def test_words_are_escaped_and_numbers_are_kept() -> None:
    chart = Chart(
        ODD, [Series(ODD, [0.0, 0.1], [0.5, math.nan], 0, low=[0.4, 0.2], high=[0.6, 0.8])], ODD, "y", share=True
    )
    page = group("robust", [chart], ODD)
    assert "<b>" not in page
    assert page.count("</script>") == 1
    (series,) = numbers(page)["series"]  # type: ignore[misc]
    assert series == {"name": ODD, "look": 0, "x": [0.0, 0.1], "y": [0.5, None], "low": [0.4, 0.2], "high": [0.6, 0.8]}


def test_a_legend_names_each_series_of_its_charts_once() -> None:
    charts = [Chart(title, [Series(name, [0, 1], [0, 1], 0) for name in "ab"], "x", "y") for title in ("one", "two")]
    page = group("two", charts, "both")
    assert page.count("<button") == 2
    assert page.count('class="chart"') == 2
    assert "<button" not in group("one", [Chart("one", [Series("a", [0], [1], 0)], "x", "y")], "one line")


def rate(share: float) -> dict[str, float]:
    return {"share": share, "low": share / 2, "high": (1 + share) / 2, "n": 8}


MEASURED = {
    "clean": rate(0.9),
    "clean_guarded": rate(0.8),
    "cells": [
        {
            "norm": norm,
            "eps": eps,
            **{name: rate(0.5 - eps) for name in ("noise", "undefended", "oblivious", "adaptive")},
            "certified": rate(0.1) if norm == "linf" else None,
            "certified_guarded": rate(0.05) if norm == "linf" else None,
        }
        for norm in ("linf", "l2")
        for eps in (0.1, 0.2)
    ],
}


@pytest.mark.parametrize(("norm", "lines"), [("linf", 6), ("l2", 4)])
def test_an_eps_curve_begins_at_clean_accuracy(norm: str, lines: int) -> None:
    chart = section_charts.eps_chart("natural", MEASURED, norm, 0.1)  # type: ignore[arg-type]
    found = {each.name: each for each in chart.series}
    assert len(found) == lines
    assert (found["undefended"].y[0], found["adaptive"].y[0]) == (0.9, 0.8)
    assert list(found["adaptive"].x) == [0.0, 0.1, 0.2]
    if norm == "linf":
        assert list(found["certified (network)"].x) == [0.0, 0.1, 0.2]
        assert list(found["certified (defended)"].x) == [0.1, 0.2]


def test_the_curves_of_a_guard_that_only_detects_are_drawn_once() -> None:
    cells = [{**cell, "certified_guarded": cell["certified"]} for cell in MEASURED["cells"]]  # type: ignore[attr-defined]
    plain = {**MEASURED, "clean_guarded": MEASURED["clean"], "cells": cells}
    chart = section_charts.eps_chart("natural", plain, "linf", 0.1)
    assert [each.name for each in chart.series] == ["random noise", "adaptive", "certified (defended)"]


def test_one_chart_per_model_and_norm() -> None:
    page = section_charts.eps_curves("bars", {"natural": MEASURED, "certified": MEASURED}, {"linf": 0.1, "l2": 0.2})
    assert re.findall(r'class="title"[^>]*>([^<]+)', page) == [
        "natural, L-inf",
        "certified, L-inf",
        "natural, L2",
        "certified, L2",
    ]


def test_the_sweep_is_sorted_and_what_diverged_is_last() -> None:
    rows = [("a", 32, 0.1, fold, loss) for fold, loss in enumerate((3.0, math.inf))]
    rows += [("b", 32, 0.1, fold, loss) for fold, loss in enumerate((1.0, 2.0))]
    table = pd.DataFrame(rows, columns=["model", "batch_size", "learning_rate", "fold", "val_loss"])
    found = section_charts.sweep(table)
    assert [row["model"] for row in found] == ["b", "a"]
    assert found[0]["folds"] == [0.0, 50.0]
    assert found[1]["folds"] == [100.0]


def test_trials_that_were_stopped_stand_below_all_others() -> None:
    rows = [(0, "a", 32, 0.1, fold, loss) for fold, loss in enumerate((3.0, 4.0))]
    rows += [(1, "a", 32, 0.1, 0, 1.0), (2, "b", 32, 0.1, 0, 2.0), (2, "b", 32, 0.1, 1, 2.0)]
    table = pd.DataFrame(rows, columns=["trial", "model", "batch_size", "learning_rate", "fold", "val_loss"])
    found = section_charts.sweep(table)
    assert [(row["model"], row["mean"], row["stopped"]) for row in found] == [
        ("b", 2, None),
        ("a", 3.5, None),
        ("a", 1, 1),
    ]


def test_learning_curves_of_numbers_show_the_error() -> None:
    columns = {"loss": [2, 1], "mae": [2, 1], "val_loss": [3, 1], "val_mae": [3, 1]}
    loss, error = section_charts.learning_curves("price", {"natural": pd.DataFrame({"epoch": [1, 2], **columns})})
    assert numbers(loss)["log"] is True
    assert numbers(error)["y"] == "mean absolute error"


def test_an_ablation_has_a_dot_for_every_part_beside_the_network_without_a_guard() -> None:
    parts = [
        {
            "component": name,
            "clean": rate(0.8),
            "oblivious": rate(0.5),
            "adaptive": None if name == "all" else rate(0.4),
        }
        for name in ("median", "all")
    ]
    page = section_charts.ablation("bars", {"natural": {**MEASURED, "components": parts}}, {"norm": "linf", "eps": 0.1})
    found = numbers(page)
    assert found["names"] == ["no guard", "median", "all"]
    series = {each["name"]: each for each in found["series"]}  # type: ignore[attr-defined]
    assert series["clean"]["y"] == [0.9, 0.8, 0.8]
    assert series["oblivious"]["y"] == [0.4, 0.5, 0.5]
    assert (series["adaptive"]["x"], series["adaptive"]["y"]) == ([0, 1], [0.4, 0.4])
    drawn = picture(page)
    assert [each.text for each in drawn.iter("text") if "rotate(-20)" in each.get("transform", "")] == found["names"]
    assert len([each for each in drawn.iter("path") if each.get("class") == "dots"]) == 8


def test_names_along_an_axis_are_escaped_and_their_dots_stand_apart() -> None:
    chart = Chart(
        "a", [Series(each, [0, 1], [0.5, 0.5], 0) for each in ("b", "c")], "", "y", share=True, names=[ODD, "d"]
    )
    page = draw(chart)
    assert "<b>" not in page
    dots = [each.attrib["d"] for each in picture(page).iter("path") if each.get("class") == "dots"]
    assert len(set(dots)) == 4

"""What the data docs show of raw data."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.data.docs_figures import PER_CLASS, SIDE, broken, figures
from redoubt.data.shared.dataset import Raw

COLUMNS = (Column(name="age", kind="number"), Column(name="city", kind="category", categories=("Bonn", "<Ulm>")))


def table(age: list[float], target: str = "grade") -> Raw:
    rows = len(age)
    frame = pd.DataFrame(
        {"age": age, "city": ["Bonn", "Bonn", "<Ulm>"] * (rows // 3), "grade": ["a", "b", "b"] * (rows // 3)}
    )
    schema = Schema(task="own", kind="classification", target=target, columns=COLUMNS, shape=(3,), labels=("a", "b"))
    return Raw(schema, "own.csv", "own.csv", table=frame)


def bars(page: str, name: str) -> list[int]:
    """The counts of a column's histogram, as its bars tell them."""
    figure = re.search(f"<figure><figcaption>{name}.*?</figure>", page, re.DOTALL)
    assert figure is not None
    return [int(each.replace(",", "")) for each in re.findall(r"<title>[^<]*: ([\d,]+)</title>", figure[0])]


def test_every_class_and_every_value_is_counted() -> None:
    page = figures(table([0.5, 1.5, 1.5, 2.5, 2.5, 2.5]))
    assert page.count("<b>4 <small>66.7 %</small></b>") == 2, "class b and Bonn"
    assert page.count("<b>2 <small>33.3 %</small></b>") == 2
    assert "&lt;Ulm&gt;" in page
    assert "<Ulm>" not in page
    assert bars(page, "age") == [1, 2, 3]


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        (np.linspace(0, 1, 600).tolist(), 600),
        (np.exp(np.random.default_rng(1).normal(size=600)).tolist(), 600),
        ([*range(0, 41), 7], 42),
        ([1.0, 1.0 + 1e-15, 3.0], 3),
        ([0.0, 5e-324, 1.0], 3),
        ([3.0, 3.0, 3.0], 3),
        ([np.nan, np.inf, 2.0], 1),
    ],
)
def test_a_histogram_holds_each_finite_value_once(values: list[float], counted: int) -> None:
    page = figures(table(values))
    assert sum(bars(page, "age")) == counted
    assert (", 2 empty" in page) == (counted == 1)


@pytest.mark.parametrize(
    ("values", "told"), [([np.nan] * 3, "no number"), ([-1.7e308, 1.7e308, 0.0], "too far apart to be drawn")]
)
def test_what_cannot_be_drawn_is_said(values: list[float], told: str) -> None:
    assert f"<p>{told}</p>" in figures(table(values))


def test_images_show_the_first_of_each_class() -> None:
    x = np.random.default_rng(1).integers(0, 17, (40, 8, 8, 1)).astype(np.uint8)
    y = np.arange(40) % 2
    schema = Schema(task="own", kind="image", target="digit", shape=(8, 8, 1), labels=("zero", "one"))
    page = figures(Raw(schema, "own.npz", "own.npz", x=x, y=y, levels=16))
    shown = re.findall(r'title="row (\d+)" src="data:image/png;base64,([^"]*)"', page)
    assert [int(row) for row, _ in shown] == [*range(0, 2 * PER_CLASS, 2), *range(1, 2 * PER_CLASS, 2)]
    for row, encoded in shown:
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert np.array_equal(np.asarray(image), np.rint(255 * (x[int(row), ..., 0] / 16)))
    assert sum(bars(page, "the first 40 images")) == x.size


def test_a_large_image_is_thinned_out() -> None:
    schema = Schema(task="own", kind="image", target="digit", shape=(300, 200, 3), labels=("zero",))
    x = np.zeros((2, 300, 200, 3), np.uint8)
    page = figures(Raw(schema, "own.npz", "own.npz", x=x, y=np.zeros(2, int), levels=255))
    with Image.open(io.BytesIO(base64.b64decode(re.findall(r"base64,([^\"]*)", page)[0]))) as image:
        assert max(image.size) <= SIDE


def test_a_broken_rule_is_shown_with_its_rows_and_what_to_do() -> None:
    rule = {"rule": "range", "column": "age", "expected": "0 to 9", "observed": "2 of 9 rows otherwise", "fix": "mend"}
    rows = [{"row": 3, "value": "<b>"}, {"row": 5, "value": None}]
    report = {"rows": 9, "rules": [{**rule, "passed": False, "rows": rows}, {**rule, "passed": True, "rows": []}]}
    said = broken(report)
    assert "1 of 2 rules are broken on 9 rows" in said
    assert "<td>3</td><td>&lt;b&gt;</td>" in said
    assert "<td>5</td><td>empty</td>" in said
    assert "To fix: mend." in said
    assert broken({**report, "rules": report["rules"][1:]}) == '<p class="good">All 1 rules hold on 9 rows.</p>'

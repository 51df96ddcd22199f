from typing import Any

import pytest
import yaml

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.report.model_card import card_html, model_card
from tests.support.report import measured

CLASSES = Schema(task="bars", kind="image", target="digit", labels=("a", "b"), shape=(6, 6, 1))
NUMBER = Schema(
    task="homes", kind="regression", target="price", shape=(1,), columns=(Column(name="area", kind="number"),)
)
ERRORS = {"mae": 14.6, "r2": 0.98, "rmse": 43.4}


def card(schema: Schema, **more: Any) -> dict[str, Any]:
    numbers = measured()
    numbers["checks"]["linf"] = [{"name": "<b>gradients</b>", "found": "some are zero", "passed": False}]
    return {
        "task": schema.task,
        "model": "certified",
        "digest": "0" * 64,
        "eps": 0.1,
        "threat": {"says": "L-inf 0.1"},
        "numbers": numbers,
        "clean": {"guarded": ERRORS},
        **more,
    }


def header(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_classes_are_told_in_accuracy() -> None:
    found = header(model_card("bars-certified", card(CLASSES), CLASSES))
    assert found["metrics"] == ["accuracy"]
    assert {each["type"] for each in found["model-index"][0]["results"][0]["metrics"]} == {"accuracy"}


@pytest.mark.parametrize(("more", "within"), [({"tolerance": 40.0}, "within 40"), ({}, "within the tolerance")])
def test_a_number_has_no_accuracy(more: dict[str, Any], within: str) -> None:
    text = model_card("homes-certified", card(NUMBER, **more), NUMBER)
    assert "accuracy |" not in text
    assert f"| clean, {within} | 96.0 % |" in text
    assert "mean absolute error 14.6, root mean squared error 43.4, R2 0.98" in text
    found = header(text)
    assert found["metrics"] == ["mae", "r2", "rmse"]
    metrics = {each["name"]: each["value"] for each in found["model-index"][0]["results"][0]["metrics"]}
    assert metrics["clean mae"] == 14.6
    assert metrics[f"robust, {within}, L-inf 0.1"] == 0.8


def test_a_champions_data_is_known_by_its_digest() -> None:
    text = model_card("bars-certified", card(CLASSES, comparable={"dataset": "abc"}), CLASSES)
    assert "content SHA-256 `abc`" in text


def test_a_page_shows_the_text_alone_and_no_html_of_a_strangers() -> None:
    page = card_html(model_card("bars-certified", card(CLASSES), CLASSES))
    assert "license: mit" not in page
    assert "<h4>bars-certified</h4>" in page
    assert "<td>clean accuracy</td>" in page
    assert "&lt;b&gt;gradients&lt;/b&gt;" in page

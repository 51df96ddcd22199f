"""What every champion is compared with."""

import numpy as np
import pytest

from redoubt.core.types import Batch
from redoubt.data.prepare.scaling import fit
from redoubt.evaluation import baselines
from redoubt.evaluation.metrics import MetricError
from tests.support.tiny import IMAGE, NAMES, NUMBER, SCHEMAS, TABLE, TOLERANCE, rows


@pytest.mark.parametrize("name", NAMES)
def test_a_linear_model_learns_what_is_there_and_a_constant_does_not(name: str) -> None:
    train, parts, schema = rows(name, 256), {"test": rows(name, 200, seed=1)}, SCHEMAS[name]
    mean = float(train.y.mean())
    constant = baselines.constant(train, schema, parts)
    linear = baselines.linear(train, schema, fit(train, schema), parts, "none", 1)
    scores = [
        baselines.clean_score(each.predictions["test"], parts["test"], schema, mean) for each in (constant, linear)
    ]
    assert scores[0].value == pytest.approx(scores[0].constant, abs=1e-6)
    assert scores[0].gained == 0
    assert scores[1].value > 0.85
    assert "256 of 256 training examples" in linear.about
    again = baselines.linear(train, schema, fit(train, schema), parts, "none", 1)
    assert np.array_equal(again.predictions["test"], linear.predictions["test"])


@pytest.mark.parametrize("name", [TABLE, NUMBER])
def test_trees_learn_a_table_that_is_no_line(name: str) -> None:
    train, schema = rows(name, 400), SCHEMAS[name]
    scaler = fit(train, schema)
    bent = scaler.std[0] * np.where((train.x[:, 0] > scaler.mean[0]) ^ (train.x[:, 1] > scaler.mean[1]), 1, -1)
    y = (bent > 0).astype(np.int64) if name == TABLE else bent.astype(np.float32)
    batch = Batch(train.x, y)
    found = baselines.compared(batch, schema, scaler, {"test": batch}, "none", 1, TOLERANCE)
    assert list(found) == ["constant", "linear", "trees"]
    scores = {name: each["test"]["score"]["value"] for name, each in found.items()}
    assert scores["trees"] > 0.9 > scores["linear"] + 0.2
    assert found == baselines.compared(batch, schema, scaler, {"test": batch}, "none", 1, TOLERANCE)


def test_images_are_not_a_matter_of_trees() -> None:
    batch = rows(IMAGE, 60)
    found = baselines.compared(batch, SCHEMAS[IMAGE], fit(batch, SCHEMAS[IMAGE]), {"test": batch}, "none", 1, None)
    assert list(found) == ["constant", "linear"]


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (0.975, "does as well as the best baseline"),
        (0.95, "by no more than chance may explain"),
        (0.9, "loses to a baseline"),
    ],
)
def test_who_loses_to_a_baseline_chosen_on_validation_is_told(own: float, says: str) -> None:
    figures = {"constant": (0.5, 0.5), "linear": (0.9, 0.99), "trees": (0.95, 0.98)}
    beside = {
        name: {
            "about": f"{name} on 9 of 9",
            "validation": {"balanced_accuracy": validation},
            "test": {"balanced_accuracy": test, "score": {"low": test - 0.05, "high": 1.0, "n": 9}},
        }
        for name, (validation, test) in figures.items()
    }
    said = baselines.judgment({"balanced_accuracy": own}, beside, SCHEMAS[TABLE])
    assert says in said
    assert "against 0.980, trees on 9 of 9" in said


def test_figures_are_named_by_the_kind_of_task() -> None:
    for name, metrics in ((IMAGE, {"accuracy", "balanced_accuracy", "mcc"}), (NUMBER, {"mae", "rmse", "r2"})):
        batch = rows(name, 50)
        found = baselines.clean_metrics(np.full(50, batch.y[0]), batch, SCHEMAS[name], TOLERANCE)
        assert set(found) - {"within_tolerance"} == metrics


def test_a_rare_class_weighs_in_the_linear_model_too() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 20 == 0).astype(np.int64)
    x = rng.normal(size=(600, 4)).astype(np.float32)
    x[:, 0] += 1.5 * y
    train, schema = Batch(x, y), SCHEMAS[TABLE]
    found = [
        baselines.linear(train, schema, fit(train, schema), {"all": train}, each, 1) for each in ("none", "weights")
    ]
    recalls = [(each.predictions["all"][y == 1] == 1).mean() for each in found]
    assert recalls[0] < 0.3
    assert recalls[1] > 0.6


def test_no_more_rows_than_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "ROWS", 100)
    train = rows(TABLE, 256)
    made = baselines.linear(train, SCHEMAS[TABLE], fit(train, SCHEMAS[TABLE]), {"all": train}, "none", 1)
    assert made.about == "logistic regression on 100 of 256 training examples"
    assert (made.predictions["all"] == train.y).mean() > 0.9


def test_targets_that_are_all_the_mean_have_no_score() -> None:
    batch = Batch(np.zeros((3, 4), np.float32), np.full(3, 2.0, np.float32))
    with pytest.raises(MetricError, match="R2 needs an example on which the constant is wrong"):
        baselines.clean_score(np.zeros(3), batch, SCHEMAS[NUMBER], 2.0)

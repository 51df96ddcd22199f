"""What MLflow says in words of runs, experiments and models, and the view that a link opens."""

import json
from pathlib import Path
from typing import Any

import pytest

from redoubt.core.store import write_json
from redoubt.runs import RunRecord
from redoubt.tracking.hashes import hashes_of, joined, key_of
from redoubt.tracking.notes import OURS, experiment_note, run_note
from redoubt.tracking.pictures import eps_curves
from redoubt.tracking.registry import HEADER
from redoubt.tracking.views import TAG, views

KEY = "e2" * 32


def record(run: str = "natural", stage: str = "attack, certify, train", **fields: object) -> RunRecord:
    return RunRecord.model_validate({"run": run, "stage": stage, "task": "digits", **fields})


def attacked(run: str, adaptive: float, **metrics: float) -> RunRecord:
    robust = {f"robust/linf/{name}": adaptive + more for name, more in (("undefended", 0.1), ("oblivious", 0.05))}
    return record(
        run,
        params={"eps/linf": 0.08, "eps/l2": 0.5},
        metrics={"test/accuracy": 0.963, **robust, "robust/linf/adaptive": adaptive, **metrics},
        curves={"eps_linf/adaptive": [(0, 0.963), (80, adaptive)]},
    )


def state(*records: RunRecord) -> dict[str, Any]:
    tags = views(records, 5)
    view = json.loads(tags[f"{TAG}redoubt"])
    assert (list(tags), view["createdAt"]) == ([f"{TAG}redoubt"], 5)
    return {"name": view["name"], **json.loads(view["state"])}


def test_hashes_are_in_one_tag_and_read_back() -> None:
    tags = {"redoubt.key": joined(KEY, {"digest": "aa", "dataset": "dd", "seed": "20"})}
    assert key_of(tags) == KEY
    assert hashes_of(tags) == {"dataset": "dd", "digest": "aa"}


def test_hashes_of_a_run_of_before_are_read_too() -> None:
    tags = {"redoubt.key": KEY, "dataset": "dd", "digest": "aa", "redoubt.stage": "train"}
    assert (key_of(tags), hashes_of(tags)) == (KEY, {"dataset": "dd", "digest": "aa"})
    assert (key_of({}), hashes_of({})) == ("", {})


def test_a_model_says_what_was_found_of_it(tmp_path: Path) -> None:
    found = attacked("natural", 0.05, **{"test/guarded_accuracy": 0.933, "certified/linf/interval": 0.125})
    assert run_note(tmp_path, found) == (
        "Clean: 96.3 %; behind its guard 93.3 %. Within L-inf 0.08, robust accuracy is 5.0 % against attackers who "
        "know the guard, 10.0 % against those who do not, and 15.0 % without it. Certified accuracy of the network: "
        "12.5 %."
    )
    doubtful = attacked("natural", 0.05, **{"robust/linf/failed_checks": 2.0})
    assert "**2 of the checks for gradient masking failed**" in run_note(tmp_path, doubtful)


def test_a_regression_is_told_in_errors(tmp_path: Path) -> None:
    metrics = {"test/mae": 14.59, "test/r2": 0.98329, "test/guarded_mae": 14.6, "test/guarded_r2": 0.98}
    assert run_note(tmp_path, record(metrics=metrics)) == (
        "Clean: MAE 14.59, R² 0.983; behind its guard MAE 14.6, R² 0.980."
    )


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param(
            record("validate", "validate", metrics={"rows": 1797, "rules_failed": 1}),
            "1,797 rows; 1 rule is broken.",
            id="validate",
        ),
        pytest.param(
            record(
                "promotion",
                "promote",
                params={"champion": "certified", "guard": "guard only detects", "gate/clean": 0.9},
            ),
            "The certified model is promoted (guard only detects). The gates: clean 0.9.",
            id="promote",
        ),
        pytest.param(
            record("promotion", "promote", params={"champion": "None"}), "No model is promoted", id="no champion"
        ),
        pytest.param(
            record(
                "sweep",
                "sweep",
                params={"points": 6, "folds": 5, "model": "cnn", "batch_size": 32, "learning_rate": 0.003},
                metrics={"val_loss": 0.1089},
                children=[record("cnn, fold 0", "sweep")],
            ),
            "6 settings, each on 5 folds. The least validation loss, 0.1089: cnn, batch 32, learning rate 0.003.",
            id="sweep",
        ),
    ],
)
def test_a_stage_says_what_it_found(made: RunRecord, said: str, tmp_path: Path) -> None:
    assert run_note(tmp_path, made).startswith(said)


def test_a_study_says_its_question_and_its_takeaway(tmp_path: Path) -> None:
    words = {"question": {"en": "Does it?", "zh": "?"}, "takeaway": {"en": "It does.", "zh": "!"}}
    write_json(tmp_path / "reports/studies/taylor/result.json", words)
    assert run_note(tmp_path, record("taylor", "study")) == "It does.\n\nDoes it?"


def test_a_fold_has_nothing_to_say(tmp_path: Path) -> None:
    assert run_note(tmp_path, record("cnn, fold 0", "sweep", metrics={"val_loss": 0.1})) == ""


def test_an_experiment_begins_with_the_verdict_and_lists_its_models(tmp_path: Path) -> None:
    models = [attacked("natural", 0.05), attacked("certified", 0.757, **{"certified/linf/complete": 0.75})]
    note = experiment_note(tmp_path, "digits", models)
    assert note.startswith(
        "The certified model is the most robust within L-inf 0.08: 75.7 % against adaptive attackers."
    )
    write_json(tmp_path / "reports/sections/digits.json", {"verdict": "The certified model is correct."})
    told = experiment_note(tmp_path, "digits", models)
    assert told.startswith("The certified model is correct.\n\nRobust accuracy within L-inf 0.08:")
    assert [line for line in told.splitlines() if line.startswith(("| nat", "| cert"))] == [
        "| certified | 96.3 % | 85.7 % | 80.7 % | 75.7 % | 75.0 % |",
        "| natural | 96.3 % | 15.0 % | 10.0 % | 5.0 % | - |",
    ]
    assert told.endswith(OURS)


def test_the_table_shows_models_alone_the_most_robust_first() -> None:
    found = state(attacked("natural", 0.05, **{"certified/linf/interval": 0.0}), record("sweep", "sweep"))
    robust = "metrics.`robust/linf/adaptive`"
    assert found["name"] == "Models, the most robust first"
    assert (found["orderByKey"], found["orderByAsc"]) == (robust, False)
    assert found["searchFilter"] == f"{robust} >= 0 AND tags.`redoubt.superseded` IS NULL"
    columns = ["metrics.`test/accuracy`", robust, "metrics.`certified/linf/interval`", "params.`eps/linf`"]
    assert found["selectedColumns"] == found["columnOrder"] == columns
    assert found["compareRunSections"][0]["name"] == "eps_linf", "the curves first"
    assert found["compareRunCharts"][0]["metricKey"] == "eps_linf/adaptive"


def test_the_table_shows_models_behind_the_guard_that_was_chosen() -> None:
    served = {"served/accuracy": 0.967, "served/linf/adaptive": 0.77, "served/linf/certified": 0.75}
    one = attacked("certified", 0.743, **{"certified/linf/interval": 0.75}, **served)
    one = one.model_copy(update={"params": {**one.params, "guard": "only detects"}})
    found = state(attacked("natural", 0.76), one)
    columns = [f"metrics.`{name}`" for name in served]
    assert found["selectedColumns"] == [*columns, "params.`eps/linf`"]
    assert found["orderByKey"] == columns[1]
    assert "Behind the guard it would be served with, which only detects, it is 77.0 %." in run_note(Path(), one)
    note = experiment_note(Path("nowhere"), "digits", [attacked("natural", 0.76), one])
    assert note.startswith("The certified model is the most robust within L-inf 0.08: 77.0 %")
    assert "| certified | 96.3 % | 84.3 % | 79.3 % | 74.3 % | 77.0 % | 75.0 % |" in note
    assert "| natural | 96.3 % | 86.0 % | 81.0 % | 76.0 % | - | - |" in note


def test_a_view_of_all_curves_is_kept_by_servers_of_before() -> None:
    columns = ("undefended", "oblivious", "adaptive")
    names = [f"eps_{norm}/{column}" for norm in ("linf", "l2") for column in columns]
    names += ["eps_linf/certified", "radius_l2/certified"]
    metrics = {f"robust/{norm}/{column}": 0.5 for norm in ("linf", "l2") for column in columns}
    certified = {f"certified/linf/{method}": 0.5 for method in ("interval", "complete")}
    whole = record(
        metrics={"test/accuracy": 0.9, "certified/l2/smoothed_clean": 0.5, **metrics, **certified},
        curves={name: [(0, 0.9), (80, 0.5)] for name in names},
    )
    (view,) = views([whole], 1764500000000).values()
    assert len(view) < 5000


def test_where_nothing_was_attacked_the_table_shows_descriptions() -> None:
    found = state(record("taylor", "study"))
    assert (found["name"], found["selectedColumns"]) == ("Runs", ["attributes.`Description`"])


def test_the_eps_curves_are_a_picture() -> None:
    picture = eps_curves(attacked("natural", 0.05))
    assert picture is not None
    assert min(picture.size) > 200
    assert len(picture.convert("RGB").getcolors(maxcolors=2**24) or []) > 50, "an empty picture"
    assert eps_curves(record("sweep", "sweep")) is None


def test_the_header_of_a_model_card_is_for_machines() -> None:
    assert HEADER.sub("", "---\nlicense: mit\n---\n\n# name\n\n---\nmore") == "# name\n\n---\nmore"
    assert HEADER.sub("", "# name") == "# name"

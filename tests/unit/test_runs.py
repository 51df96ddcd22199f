"""Records: what they refuse, how they merge, and what their key depends on."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from redoubt.core.store import write_json
from redoubt.runs import RunRecord, RunRecordError, key, merge, read_records


def record(run: str = "natural", stage: str = "train", **fields: Any) -> RunRecord:
    return RunRecord.model_validate({"run": run, "stage": stage, "task": "digits", **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"metrics": {"accuracy": float("nan")}}, "finite", id="not a number"),
        pytest.param({"metrics": {"loss[0]": 1.0}}, "pattern", id="name that MLflow refuses"),
        pytest.param({"run": "it's"}, "pattern", id="quote in a run's name"),
        pytest.param(
            {"metrics": {"loss": 1.0}, "curves": {"loss": [(0, 1.0)]}}, "both a metric and a curve", id="twice"
        ),
        pytest.param({"curves": {"loss": [(1, 1.0), (1, 2.0)]}}, "must rise", id="a step twice"),
        pytest.param({"curves": {"loss": []}}, "there must be one", id="empty curve"),
        pytest.param({"children": [record(children=[record()])]}, "one level", id="grandchildren"),
        pytest.param({"children": [record(task="mnist")]}, "is of task mnist", id="another task's child"),
        pytest.param({"parameters": {}}, "Extra inputs", id="unknown field"),
    ],
)
def test_a_record_that_cannot_become_a_run_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        record(**fields)


def test_records_of_one_run_merge_and_others_stay_apart() -> None:
    train = record(params={"batch_size": 32}, metrics={"clean": 0.9}, curves={"loss": [(0, 1.0)]}, tags={"data": "a"})
    attack = record(stage="attack", metrics={"robust": 0.5}, tags={"data": "a"}, artifacts=["reports/digits/a.json"])
    hardened = record("adversarial", "harden")
    first, second = merge([train, hardened, attack])
    assert (first, second.run) == (hardened, "natural")
    assert second.stages == ["attack", "train"]
    assert second.metrics == {"clean": 0.9, "robust": 0.5}
    assert (second.params, second.curves) == (train.params, train.curves)
    assert (second.tags, second.artifacts) == ({"data": "a"}, ["reports/digits/a.json"])


def test_children_merge_by_name_in_the_order_given() -> None:
    names = ["mlp 64", "cnn 16-32", "linear"]
    grid = record("sweep", "sweep", children=[record(name, "sweep") for name in names])
    later = record("sweep", "report", children=[record("linear", "report", metrics={"clean": 0.8})])
    (merged,) = merge([grid, later])
    assert [child.run for child in merged.children] == names
    assert merged.children[2].metrics == {"clean": 0.8}


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        pytest.param({"params": {"eps": 0.1}}, {"params": {"eps": 0.2}}, "'eps' is 0.1.*and 0.2", id="param"),
        pytest.param({"tags": {"data": "a"}}, {"tags": {"data": "b"}}, "'data' is 'a'.*and 'b'", id="tag"),
        pytest.param(
            {"metrics": {"a": 1.0}}, {"curves": {"a": [(0, 1.0)]}}, "both a metric and", id="metric and curve"
        ),
    ],
)
def test_stages_that_disagree_are_refused(left: dict[str, Any], right: dict[str, Any], message: str) -> None:
    with pytest.raises(RunRecordError, match=message):
        merge([record(**left), record(stage="attack", **right)])


def test_what_was_not_measured_is_left_out() -> None:
    assert record(metrics={"clean": 0.9, "robust": None}) == record(metrics={"clean": 0.9})


NAMES = st.text("abc/_", min_size=1, max_size=4)
RECORDS = st.lists(
    st.builds(
        lambda run, stage, params, metrics: record(
            run,
            stage,
            params={f"{stage}.{k}": v for k, v in params.items()},
            metrics={f"{stage}.{k}": v for k, v in metrics.items()},
        ),
        st.sampled_from(["natural", "adversarial"]),
        st.sampled_from(["train", "attack", "certify"]),
        st.dictionaries(NAMES, st.booleans() | st.integers(0, 9) | st.text("xyz", max_size=3)),
        st.dictionaries(NAMES, st.floats(-1, 1)),
    ),
    max_size=3,
    unique_by=lambda made: (made.run, made.stage),
)


@given(RECORDS, st.randoms(use_true_random=False))
def test_merging_forgets_the_order_and_is_done_once(records: list[RunRecord], random: Random) -> None:
    shuffled = list(records)
    random.shuffle(shuffled)
    merged = merge(records)
    assert [key(one) for one in merge(shuffled)] == [key(one) for one in merged]
    assert merge(merged) == merged
    assert len({(one.task, one.run) for one in merged}) == len(merged)


@given(RECORDS)
def test_the_key_survives_the_disk_and_tells_records_apart(records: list[RunRecord]) -> None:
    for one in records:
        again = RunRecord.model_validate_json(json.dumps(one.model_dump(mode="json")))
        assert (again, key(again)) == (one, key(one))
        assert key(one.model_copy(update={"metrics": {**one.metrics, "other": 2.0}})) != key(one)


def test_records_are_read_from_every_task(tmp_path: Path) -> None:
    for name in ("train", "attack"):
        write_json(tmp_path / f"reports/digits/records/{name}-natural.json", record(stage=name).model_dump(mode="json"))
    (found,) = read_records(tmp_path)
    assert found.stage == "attack, train"


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "reports/digits/records/train.json", {"run": "natural", "stage": "train", "task": 3})
    with pytest.raises(RunRecordError, match=r"train\.json: task: .*dvc repro"):
        read_records(tmp_path)


@pytest.mark.parametrize("name", [".promote.json.x3k2_9ab.json", "._promote.json", ".promote.json.0123abcd.part"])
def test_hidden_files_are_no_records(name: str, tmp_path: Path) -> None:
    """A process killed while it wrote leaves one, and so does a Mac on a foreign disk."""
    folder = tmp_path / "reports/digits/records"
    write_json(folder / "natural.json", record().model_dump())
    (folder / name).write_bytes(b"\0half")
    assert read_records(tmp_path) == [record()]

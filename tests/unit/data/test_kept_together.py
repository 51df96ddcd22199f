"""Splits by group and by time, and a test set of the user's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.data import sources
from redoubt.data.locate import SourceError
from redoubt.data.shared import dataset
from redoubt.data.shared.dataset import Raw
from redoubt.data.shared.kept_together import By, SplitError, learnt
from redoubt.data.splits import Split, split
from redoubt.data.tables import Origin, build
from redoubt.params.load import Params, load
from redoubt.params.resolve import of_task
from redoubt.params.settings.sections import SplitParams
from redoubt.params.task import Task

PARAMS = {"test": 0.2, "validation": 0.16, "folds": 3}
GROUPED = SplitParams(group="machine", **PARAMS)
TIMED = SplitParams(time="day", **PARAMS)


def parts(made: Split) -> list[Any]:
    return [made.train, made.validation, made.test]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), groups=st.integers(40, 100), numbers=st.booleans(), own=st.booleans())
def test_no_group_is_on_both_sides(seed: int, groups: int, numbers: bool, own: bool) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, groups, 600)
    y = rng.normal(size=600) if numbers else rng.integers(0, 2, 600)
    made = split(
        y, "regression" if numbers else "classification", GROUPED, 500 if own else None, seed, By("group", codes)
    )
    assert sorted(np.concatenate(parts(made)).tolist()) == list(range(600))
    assert all((np.diff(part) > 0).all() for part in parts(made))
    learnable = parts(made)[: 2 if own else 3]
    held = [set(codes[part].tolist()) for part in learnable]
    assert not any(a & b for place, a in enumerate(held) for b in held[:place])
    if own:
        assert made.test.tolist() == list(range(500, 600))
    assert abs(len(made.validation) - 96) < 40
    for fold in range(made.folds):
        fitted, out = made.without(fold), made.within(fold)
        assert not set(codes[fitted].tolist()) & set(codes[out].tolist())
        assert len(fitted) + len(out) == len(made.train)
    again = split(
        y, "regression" if numbers else "classification", GROUPED, 500 if own else None, seed, By("group", codes)
    )
    assert made.digest == again.digest


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), times=st.integers(40, 600), own=st.booleans())
def test_what_is_held_out_is_later(seed: int, times: int, own: bool) -> None:
    rng = np.random.default_rng(seed)
    codes, y = rng.integers(0, times, 600), rng.integers(0, 2, 600)
    made = split(y, "classification", TIMED, 500 if own else None, seed, By("time", codes))
    assert sorted(np.concatenate(parts(made)).tolist()) == list(range(600))
    assert codes[made.train].max() < codes[made.validation].min()
    if not own:
        assert codes[made.validation].max() < codes[made.test].min()
    for fold in range(made.folds):
        assert codes[made.without(fold)].max() < codes[made.within(fold)].min()
        assert np.array_equal(made.train[learnt(made.fold, fold)], made.without(fold))
    assert made.folds == 3


@pytest.mark.parametrize(
    ("params", "by", "says"),
    [
        (GROUPED, By("group", np.arange(100) // 34), "'machine' has 3 different values"),
        (GROUPED, By("group", (1 - np.arange(100) % 2) * (1 + np.arange(100) % 9)), "split.group"),
        (TIMED, By("time", np.zeros(100, np.int64)), "'day' has too few different times"),
        (TIMED, By("time", np.arange(100) // 2 + 50 * (np.arange(100) % 2)), "split.time leaves no row of class 0"),
    ],
    ids=["few-groups", "class-by-group", "one-time", "class-by-time"],
)
def test_what_cannot_be_cut_is_said(params: SplitParams, by: By, says: str) -> None:
    y = np.arange(100) % 2
    with pytest.raises(SplitError, match=says):
        split(y, "classification", params, None, 0, by)


def sensor(rows: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "heat": rng.normal(size=rows),
            "machine": rng.integers(0, 20, rows),
            "day": pd.date_range("2024-01-01", periods=rows).astype("str"),
            "fault": np.where(np.arange(rows) % 2, "yes", "no"),
        }
    )


def task(params: Params, features: tuple[str, ...] = ("heat",), **split_: Any) -> Task:
    own = {"name": "own", "source": "own.csv", "target": "fault", "features": features}
    return Task.model_validate({**params.tasks["diagnosis"].model_dump(), **own, "split": {**PARAMS, **split_}})


@pytest.mark.parametrize("how", ["group", "time"])
def test_the_column_need_be_no_feature(params: Params, how: str, tmp_path: Path) -> None:
    table = sensor().sample(frac=1.0, random_state=0, ignore_index=True)
    name = {"group": "machine", "time": "day"}[how]
    raw = build(table, task(params, features=(), **{how: name}), Origin("own.csv"))
    assert name not in [column.name for column in raw.schema.columns]
    assert [found.used for found in raw.survey.columns if found.name == name] == [f"{how} of the split"]
    dataset.save(tmp_path / "raw", raw)
    by = dataset.load(tmp_path / "raw").by
    assert by is not None
    assert by.how == how
    # Groups have no order: 10 comes before 2.
    rank = pd.factorize(table[name].astype("str"), sort=True)[0]
    assert np.array_equal(by.codes, rank)


def test_a_row_that_is_left_out_takes_its_group_along(params: Params, tmp_path: Path) -> None:
    table = sensor()
    table.loc[5, "heat"] = np.nan
    dataset.save(tmp_path / "raw", build(table, task(params, group="machine"), Origin("own.csv")))
    data = dataset.load(tmp_path / "raw")
    assert data.by is not None
    assert len(data.by.codes) == len(data.batch) == 79


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({5: ""}, "column 'day' is empty in 1 rows, the first row 5"),
        ({5: "soon"}, "row 5 .* holds 'soon'; write them like 2024-05-31"),
        ({n: f"{1 + n % 12:02d}/{1 + n % 11:02d}/2024" for n in range(80)}, "with the day or the month first"),
    ],
    ids=["empty", "no-time", "two-readings"],
)
def test_times_are_read_one_way_or_not_at_all(params: Params, cells: dict[int, str], says: str) -> None:
    table = sensor()
    for row, cell in cells.items():
        table.loc[row, "day"] = cell
    with pytest.raises(SourceError, match=says):
        build(table, task(params, time="day"), Origin("own.csv"))


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%S", "%d %b %Y"])
def test_times_as_people_write_them(params: Params, form: str) -> None:
    table = sensor()
    days = pd.to_datetime(table["day"])
    by = build(table.assign(day=days.dt.strftime(form)), task(params, time="day"), Origin("own.csv")).by
    assert by is not None
    assert by.codes.tolist() == list(range(80))


@pytest.mark.parametrize("ends", ["csv", "parquet"])
def test_an_own_test_file(params: Params, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, table in (("own", sensor(80)), ("later", sensor(30).drop(columns="day").assign(day="2025-01-01"))):
        table.to_csv(f"{name}.csv", index=False) if ends == "csv" else table.to_parquet(f"{name}.parquet")
    declared = task(params, test_file=f"later.{ends}").model_copy(update={"source": f"own.{ends}"})
    raw = sources.fetch(declared, seed=0)
    assert (len(raw), raw.test_from) == (110, 80)
    assert f"the 30 rows of 'later.{ends}' are the test set" in raw.survey.notes
    made = split(np.arange(110) % 2, "classification", declared.split, raw.test_from, 0)
    assert made.test.tolist() == list(range(80, 110))


def test_images_with_their_own_test_file(params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("own", 8), ("later", 4)):
        np.savez(f"{name}.npz", x=np.zeros((rows, 6, 6), np.uint8), y=np.arange(rows) % 2)
    digits = params.tasks["digits"]
    changed = digits.split.model_copy(update={"test_file": "later.npz"})
    raw: Raw = sources.fetch(digits.model_copy(update={"source": "own.npz", "split": changed}), seed=0)
    assert (len(raw), raw.test_from) == (12, 8)


@pytest.mark.parametrize(
    ("source", "file", "says"),
    [
        ("own.csv", "later.csv", "'later.csv' has no column 'heat'"),
        ("own.csv", "none.csv", "split.test 'none.csv' was not found"),
        ("own.csv", "later.parquet", "expected one that ends in '.csv'"),
        ("breast_cancer", "later.csv", "expected a source that is a file too"),
    ],
)
def test_test_rows_that_do_not_fit(
    params: Params, source: str, file: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sensor().to_csv("own.csv", index=False)
    sensor().drop(columns="heat").to_csv("later.csv", index=False)
    with pytest.raises(SourceError, match=says):
        sources.fetch(task(params, test_file=file).model_copy(update={"source": source}), seed=0)


BLOCKS = {
    "{test: data/own/later.csv}": None,
    "{group: machine}": None,
    "{time: day, folds: 2}": None,
    "{test: '0.2'}": "split.test: .*valid number; got '0.2'",
    "{group: machine, time: day}": "not both",
    "{time: fault}": "'fault' is the target",
    "{groups: machine}": "unknown key 'groups'; did you mean 'group'?",
}


@pytest.mark.parametrize("block", BLOCKS)
def test_what_params_yaml_says(project: Path, tmp_path: Path, block: str) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    own = f"  own: {{kind: classification, source: own.csv, target: fault, split: {block}}}\n"
    (tmp_path / "params.yaml").write_text(text.replace("tasks:\n", f"tasks:\n{own}"), encoding="utf-8")
    says = BLOCKS[block]
    if says:
        with pytest.raises(Exception, match=says.replace("?", r"\?")):
            load(tmp_path / "params.yaml")
        return
    params = load(tmp_path / "params.yaml")
    found = {stage: each.model_dump(mode="json") for stage, each in of_task(params, "own").items()}
    assert set(found["ingest"]["split"]) < set(found["split"]["split"])
    plain = {stage: each.model_dump(mode="json") for stage, each in of_task(params, "diagnosis").items()}
    assert "split" not in plain["ingest"]
    assert set(plain["split"]["split"]) == {"test", "validation", "folds"}

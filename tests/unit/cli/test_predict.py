"""`redoubt predict`: a file in, the guarded model's answers out, a reason for every row without one."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.bundle.column import Column
from redoubt.bundle.dates import Dated
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.cli import main
from redoubt.cli.predict import read_rows
from redoubt.cli.words import AskedError
from redoubt.core.store import write_json
from tests.support import tiny
from tests.support.tiny import IMAGE, NUMBER, TABLE

EPS = 0.1


@pytest.fixture
def served(
    bundles: Callable[[str], tiny.Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """A tiny task's bundle as a champion of a project."""
    monkeypatch.chdir(tmp_path)

    def put(name: str) -> Path:
        champion = Path("models", name, "champion")
        shutil.copytree(bundles(name).folder, champion)
        write_json(champion / "card.json", {"eps": EPS})
        return champion

    return put


def records(case: tiny.Case, rows: int) -> pd.DataFrame:
    weight, age, colour = case.schema.columns
    x = case.test.x[:rows]
    colours = [colour.categories[index] for index in x[:, 2:].argmax(axis=1)]
    return pd.DataFrame({weight.name: x[:, 0], age.name: x[:, 1], colour.name: colours, "note": "kept"})


@pytest.mark.parametrize("name", [TABLE, NUMBER])
def test_a_table_is_answered_as_the_service_answers_it(
    served: Callable[[str], Path], trained: Callable[[str], tiny.Case], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    champion, case = served(name), trained(name)
    table = records(case, 20)
    table.to_csv("rows.csv", index=False, sep=";")
    assert main(["predict", name, "rows.csv", "--out", "answers.csv", "--certify"]) == 0
    assert "20 of 20 rows answered" in capsys.readouterr().out
    found, model = pd.read_csv("answers.csv"), GuardedModel.load(champion)
    said = model.predict(case.test.x[:20], np.random.default_rng(0))
    assert found["note"].eq("kept").all()
    assert np.allclose(found["adversarial_score"], said.score, rtol=1e-5, atol=1e-7)
    if case.schema.is_classification:
        assert found["label"].tolist() == [case.schema.labels[index] for index in said.vote.argmax(axis=1)]
        assert set(found["certified_eps"].round(6)) <= {0.0, EPS}
    else:
        assert np.allclose(found["value"], said.vote[:, 0], rtol=1e-5)
        assert (found["certified_low"] <= found["value"] + 1e-3).all()


def test_a_row_without_an_answer_says_why(
    served: Callable[[str], Path], trained: Callable[[str], tiny.Case], capsys: pytest.CaptureFixture[str]
) -> None:
    served(TABLE)
    table = records(trained(TABLE), 5)
    weight, _, colour, _ = table.columns
    table.loc[1, weight], table.loc[2, colour] = np.nan, "ultraviolet"
    table.to_csv("rows.csv", index=False)
    assert main(["predict", TABLE, "rows.csv"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith(",") for line in lines[1:]] == [True, False, False, True, True]
    assert f"column '{weight}' is empty" in lines[2]
    assert "'ultraviolet'; expected one of" in lines[3]
    assert main(["predict", TABLE, "rows.csv", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [row["error"] == "" for row in found] == [True, False, False, True, True]
    assert found[1]["label"] is None
    assert 0 < found[0]["probability"] <= 1


def test_blanks_around_a_category_mean_nothing(
    served: Callable[[str], Path], trained: Callable[[str], tiny.Case], capsys: pytest.CaptureFixture[str]
) -> None:
    served(TABLE)
    table = records(trained(TABLE), 5)
    answered = []
    for ends in ("", " ", "\xa0"):
        table.assign(colour=table["colour"] + ends).to_csv("rows.csv", index=False)
        assert main(["predict", TABLE, "rows.csv"]) == 0
        answered.append([line.split(",")[4:] for line in capsys.readouterr().out.splitlines()])
    assert answered[0] == answered[1] == answered[2]


def test_far_outside_the_training_range_nothing_is_certified(
    served: Callable[[str], Path], trained: Callable[[str], tiny.Case]
) -> None:
    for name in (TABLE, NUMBER):
        served(name)
        table = records(trained(name), 3)
        table.loc[1, table.columns[0]] = -1_000_000
        table.to_csv("rows.csv", index=False)
        assert main(["predict", name, "rows.csv", "--out", f"{name}.csv", "--certify"]) == 0
        found = pd.read_csv(f"{name}.csv")
        assert found["flagged"][1]
        assert found["certified_eps"][1] == 0 if "certified_eps" in found else np.isnan(found["certified_low"][1])


def test_a_number_that_overflows_the_network_has_no_answer(
    served: Callable[[str], Path], trained: Callable[[str], tiny.Case]
) -> None:
    for name in (TABLE, NUMBER):
        served(name)
        table = records(trained(name), 3)
        table.loc[1, table.columns[:2]] = 3e38
        table.to_csv("rows.csv", index=False)
        assert main(["predict", name, "rows.csv", "--out", f"{name}.csv"]) == 1
        found = pd.read_csv(f"{name}.csv")
        assert found["error"].isna().tolist() == [True, False, True]
        assert found["adversarial_score"].isna().tolist() == [False, True, False]


def test_images_are_answered(served: Callable[[str], Path], trained: Callable[[str], tiny.Case]) -> None:
    served(IMAGE)
    np.savez("images.npz", x=trained(IMAGE).test.x[:6])
    assert main(["predict", IMAGE, "images.npz", "--out", "answers.csv"]) == 0
    assert pd.read_csv("answers.csv").columns.tolist() == [
        "image",
        "label",
        "probability",
        "adversarial_score",
        "flagged",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nobody", "rows.csv"], "no model of a task 'nobody' is here"),
        ([TABLE, "nowhere.csv"], "'nowhere.csv' was not found"),
        ([TABLE, "other.csv"], "has no column"),
        ([TABLE, "images.npz"], "holds images; the model takes rows"),
    ],
)
def test_one_sentence_for_what_cannot_be(
    served: Callable[[str], Path], capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    served(TABLE)
    Path("other.csv").write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    np.savez("images.npz", x=np.zeros((2, 6, 6, 1)))
    assert main(["predict", *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_dates_in_a_file_are_read_as_they_are_written(tmp_path: Path) -> None:
    columns = (
        Column(name="size", kind="number"),
        *(Column(name=f"at_{part}", kind="integer") for part in ("day", "hour")),
    )
    dated = Dated(name="at", parts=("day", "hour"), start=date(2020, 1, 1))
    schema = Schema(task="own", kind="regression", target="y", columns=columns, shape=(3,), dates=(dated,))
    path = tmp_path / "asked.csv"
    path.write_text("at;size\n31.05.2024 17:20;1,5\nsoon;2,5\n01.06.2024;3,5\n" + "02.06.2024 03:00;4,5\n" * 30)
    table, x, errors = read_rows(path, schema)
    assert list(table) == ["at", "size"], "the answers stand beside the file's own columns"
    assert x[[0, 2, 3]].tolist() == [[1.5, 31.0, 17.0], [3.5, 1.0, 0.0], [4.5, 2.0, 3.0]]
    assert [row for row, error in enumerate(errors) if error] == [1]
    assert errors[1].startswith("column 'at' is 'soon'; expected a date such as 2024-05-31")
    path.write_text("at;size\n31.05.2024 17:20;1,5\n;2,5\n" + "02.06.2024 03:00;4,5\n" * 30)
    assert read_rows(path, schema)[2][1] == "column 'at' is empty"
    path.write_text("day;size\n" + "2;4,5\n" * 30)
    with pytest.raises(AskedError, match="has no column 'at'; the model takes size, at$"):
        read_rows(path, schema)
    path.write_text("at_day;size\n" + "2;4,5\n" * 30)
    with pytest.raises(AskedError, match="has no column 'at_hour'; the model takes size, at_day, at_hour$"):
        read_rows(path, schema)

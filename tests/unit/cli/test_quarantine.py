"""`redoubt quarantine`: rows that break the validation, moved aside, told, and used again when their owner says so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.cli import main
from redoubt.data import quarantine, sources
from redoubt.data.locate import SourceError
from redoubt.data.shared.dataset import Raw
from redoubt.params.load import load
from redoubt.params.settings.own_rules import OwnRule, path_of, suite

ROWS = 150
RULE = OwnRule(type="expect_column_values_to_be_between", arguments={"column": "age", "min_value": 0, "max_value": 120})
BLOCK = """  visits:
    kind: classification
    source: data/own/visits.csv
    target: came
    features: [age, distance]
    validate: {quarantine: true}
tasks_end"""


def visits() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    age, distance = rng.integers(18, 90, ROWS).astype(float), rng.gamma(2, 5, ROWS).round(2)
    came = np.where(rng.random(ROWS) < 0.5, "yes", "no")
    return pd.DataFrame({"patient": [f"p{n}" for n in range(ROWS)], "age": age, "distance": distance, "came": came})


def spoilt() -> pd.DataFrame:
    table = visits()
    table.loc[[4, 70], "age"] = [430.0, -1.0]
    table.loc[[4, 9], "distance"] = [np.inf, np.nan]
    return table


@pytest.fixture
def top(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(project / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    path = Path("params.yaml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("tasks:\n", f"tasks:\n{BLOCK.removesuffix('tasks_end')}", 1), encoding="utf-8")
    Path("data/own").mkdir(parents=True)
    path_of("visits").parent.mkdir()
    path_of("visits").write_text(suite("visits", (RULE,)), encoding="utf-8")
    spoilt().to_csv("data/own/visits.csv", index=False)
    return tmp_path


def fetched() -> Raw:
    return sources.fetch(load().task("visits"), seed=0)


def test_cells_that_ingest_refuses_are_moved_too(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = Path("params.yaml")
    declared = "target: came\n    integer: [age]\n    ranges: {distance: [0, 50]}\n"
    params.write_text(params.read_text().replace("target: came\n", declared, 1))
    table = visits().astype({"age": object})
    table.loc[3, "age"], table.loc[5, "age"], table.loc[8, "age"] = "unknown", 20.5, 430
    table["distance"] = table["distance"].clip(upper=50)
    table.loc[5, "distance"] = 51.0
    table.to_csv("data/own/visits.csv", index=False)
    with pytest.raises(SourceError, match="must hold numbers.*; or move such rows aside: redoubt quarantine visits"):
        fetched()
    assert main(["quarantine", "visits"]) == 0
    said = capsys.readouterr().out
    for words in (
        f"3 of {ROWS} rows of 'data/own/visits.csv' were moved",
        "- column 'age': expected a number: 1 rows",
        "- column 'age': expected a whole number: 1 rows",
        "- column 'distance': expected from 0 to 50: 1 rows",
        "your own rule",
    ):
        assert words in said
    kept = pd.read_csv(quarantine.path_of("visits"), dtype="str", keep_default_na=False)
    assert list(kept["(row)"]) == ["3", "5", "8"]
    assert len(fetched()) == ROWS - 3


def test_rows_that_break_a_rule_are_moved_and_told(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = Path("data/own/visits.csv").read_bytes()
    assert main(["quarantine", "visits"]) == 0
    said = capsys.readouterr().out
    for words in (
        f"3 of {ROWS} rows of 'data/own/visits.csv' were moved to data/own/quarantine/visits.csv",
        "- column 'age': your own rule: expected column_values_to_be_between (min_value 0, max_value 120): 2 rows",
        "- column 'distance': no empty cell: expected at most 0.0% of cells empty: 1 rows",
        "what is left passes. Next: make repro RUN=visits",
    ):
        assert words in said
    kept = pd.read_csv(quarantine.path_of("visits"), dtype="str", keep_default_na=False)
    assert list(kept.columns) == ["(row)", "(why)", *spoilt().columns]
    assert list(kept["(row)"]) == ["4", "9", "70"]
    assert list(kept["patient"]) == ["p4", "p9", "p70"]
    assert all(rule in kept["(why)"][0] for rule in ("finite", "your own rule"))
    assert Path("data/own/visits.csv").read_bytes() == source
    raw = fetched()
    assert len(raw) == ROWS - 3
    assert any(
        note.startswith("3 rows are in quarantine, 'data/own/quarantine/visits.csv'") for note in raw.survey.notes
    )
    assert main(["quarantine", "visits"]) == 0
    assert "nothing was moved" in capsys.readouterr().out


def test_json_says_what_was_moved_and_why(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quarantine", "visits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["moved"], found["rows"], found["path"]) == (3, ROWS, "data/own/quarantine/visits.csv")
    assert found["reasons"]["column 'distance': no empty cell: expected at most 0.0% of cells empty"] == 1
    assert (found["passes"], found["failed"]) == (True, None)


def test_rows_in_quarantine_are_known_by_what_they_hold(top: Path) -> None:
    assert main(["quarantine", "visits"]) == 0
    # The source is sorted anew and one row is put right: that one is used, the others stay aside.
    table = spoilt()
    table.loc[70, "age"] = 31.0
    table.iloc[::-1].to_csv("data/own/visits.csv", index=False)
    assert len(fetched()) == ROWS - 2
    quarantine.path_of("visits").unlink()
    assert len(fetched()) == ROWS
    quarantine.path_of("visits").write_text("(row),(why),x\n1,y,z\n")
    with pytest.raises(sources.SourceError, match="delete the file to use all rows"):
        fetched()


def test_an_own_test_set_keeps_its_place(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt().iloc[60:80].to_csv("data/own/test.csv", index=False)
    path = Path("params.yaml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    target: came\n", "    target: came\n    split: {test: data/own/test.csv}\n"))
    assert fetched().test_from == ROWS
    # Rows that stand in both files are no row's own fault: they stay, and are told.
    assert main(["quarantine", "visits"]) == 1
    assert "what is left does not pass yet" in (said := capsys.readouterr().out)
    assert "duplicates" in said
    raw = fetched()
    assert (len(raw), raw.test_from) == (ROWS + 20 - 4, ROWS - 3)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    validate: {quarantine: true}\n", "", "does not allow it: say validate: {quarantine: true} in its block"),
        ("source: data/own/visits.csv\n    target: came\n    features: [age, distance]", "", "no table of your own"),
    ],
)
def test_what_may_not_be_moved(old: str, new: str, words: str, top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("params.yaml")
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace(old, new or "source: breast_cancer\n    target: diagnosis" if "source" in old else new)
    )
    assert main(["quarantine", "visits"]) == 2
    assert words in capsys.readouterr().err
    assert not quarantine.FOLDER.exists()


def test_a_rule_that_no_row_keeps_is_what_is_wrong(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = OwnRule(type="expect_column_values_to_be_between", arguments={"column": "age", "max_value": -5})
    path_of("visits").write_text(suite("visits", (rule,)), encoding="utf-8")
    assert main(["quarantine", "visits"]) == 2
    assert f"all {ROWS} rows of 'data/own/visits.csv' break a rule" in capsys.readouterr().err

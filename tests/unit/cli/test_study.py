"""The subcommand `study`: one experiment, its numbers and figures in a folder."""

import json
from pathlib import Path

import pytest
import yaml

from redoubt.cli import main
from redoubt.core.store import read_json
from redoubt.studies.catalogue import NAMES


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_is_run_and_kept(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "estimators", "--stand-in", "--seed", "3"]) == 0
    found = read_json(elsewhere / "reports/study/estimators/result.json")
    assert (found["name"], found["seed"]) == ("estimators", 3)
    assert found["numbers"]
    for name in found["pictures"]:
        assert b"<svg" in (elsewhere / f"reports/study/estimators/{name}.svg").read_bytes()
    said = capsys.readouterr().out
    assert found["takeaway"]["en"].split()[0] in said
    assert str(elsewhere / "reports/study/estimators") in said.replace("\n", "")
    # Its own result is replaced.
    assert main(["study", "estimators", "--stand-in", "--seed", "3", "--json"]) == 0
    assert capsys.readouterr().out == (elsewhere / "reports/study/estimators/result.json").read_text()


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("mine", "--out mine holds other things than a study, which would be lost: name a new folder"),
        ("mine/kept.txt", "kept.txt is a file; name a folder"),
        ("mine/kept.txt/deeper", "kept.txt is a file; name a folder"),
    ],
)
def test_nothing_of_somebodys_is_replaced(
    out: str, says: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "mine").mkdir()
    (elsewhere / "mine/kept.txt").write_text("kept", encoding="utf-8")
    assert main(["study", "estimators", "--stand-in", "--out", out]) == 2
    assert says in capsys.readouterr().err
    assert (elsewhere / "mine/kept.txt").read_text(encoding="utf-8") == "kept"


def test_sizes_come_from_the_project(elsewhere: Path, project: Path) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    raw["studies"] = {"estimators": {"quick": {"draws": 500}, "full": {"draws": 600}}}
    (elsewhere / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    for words, draws in (([], 500), (["--full"], 600)):
        assert main(["study", "estimators", "--stand-in", "--out", "made", *words]) == 0
        assert read_json(elsewhere / "made/result.json")["sizes"]["draws"] == draws


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["polinomial"], "no study 'polinomial'; did you mean 'polynomial'?"),
        ([], f"name a study; there are: {', '.join(NAMES)}"),
    ],
    ids=["typo", "none"],
)
def test_what_cannot_begin_says_so(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_size_that_is_none_is_named(elsewhere: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    raw["studies"] = {"estimators": {"quick": {"drwas": 500}}}
    (elsewhere / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert main(["study", "estimators"]) == 2
    assert "studies.estimators: drwas: " in capsys.readouterr().err


def test_the_list_is_in_the_courses_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "--list"]) == 0
    said = capsys.readouterr().out
    places = [said.index(f"  {name} ") for name in NAMES]
    assert places == sorted(places)
    assert main(["study", "--list", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == list(NAMES)

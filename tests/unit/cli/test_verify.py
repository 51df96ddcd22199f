"""The command for bundles that one does not trust writes nowhere but in its own temporary folder."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from redoubt.cli import main, verify
from tests.support.tiny import TABLE, Guarded

SHA = "0" * 64
NAN = float("nan")
OWN = {"kind": "classification", "source": "data/own/own.csv", "target": "risk"}


@pytest.fixture
def stage(
    bundles: Callable[[str], Guarded], project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A project's top folder with a stranger's bundle in it and a file outside that is nobody's business."""
    top = tmp_path / "project"
    (top / "pipelines").mkdir(parents=True)
    (top / "pipelines/harden.py").touch()
    bundle = Path(shutil.copytree(bundles(TABLE).folder, top / "zoo/risk-certified"))
    for folder in (tmp_path / "outside", top / "inside"):
        folder.mkdir()
        (folder / "sentinel").write_text("precious")
    monkeypatch.chdir(top)
    whole = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    card = {
        "task": "risk",
        "model": "certified",
        "digest": digest_folder(bundle, BUNDLE_FILES),
        "weights": SHA,
        "dataset": SHA,
        "eps": 0.3,
        "params": {**whole, "run": ["risk"], "studies": {}, "tasks": {"risk": OWN}},
        "selected": {
            "model": "logistic",
            "settings": {"kind": "linear"},
            "batch_size": 16,
            "learning_rate": 0.01,
            "validation_loss": 0.1,
        },
        "certificates": {"interval": [{"eps": 0.0, "certified": {"share": 0.9}}]},
        "seconds": {"training": 1.0},
        "machine": {"cores": 2},
    }
    ran: list[str] = []
    monkeypatch.setattr(verify, "_stage", lambda project, stage, task, *more: ran.append(stage))
    return {"bundle": bundle, "card": card, "outside": tmp_path / "outside", "ran": ran}


def verified(stage: dict[str, Any], card: Any, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a card that must be refused before anything is run or written."""
    text = card if isinstance(card, str) else json.dumps(card)
    (stage["bundle"] / "card.json").write_text(text)
    before = sorted(str(path) for path in Path("..").rglob("*"))
    assert main(["verify", str(stage["bundle"].relative_to(Path.cwd())), "--quick"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert len(told.err.splitlines()) == 1, told.err
    assert stage["ran"] == []
    assert sorted(str(path) for path in Path("..").rglob("*")) == before
    assert (stage["outside"] / "sentinel").read_text() == Path("inside/sentinel").read_text() == "precious"
    return told.err


@pytest.mark.parametrize("place", ["absolute", "above", "inside", "dots", "command"])
def test_a_task_is_no_path(stage: dict[str, Any], place: str, capsys: pytest.CaptureFixture[str]) -> None:
    named = {
        "absolute": str(stage["outside"]),
        "above": "../../../../outside",
        "inside": str(Path("inside").resolve()),
        "dots": "..",
        "command": "x; touch pwned #",
    }[place]
    params = {**stage["card"]["params"], "run": [named], "tasks": {named: OWN}}
    said = verified(stage, {**stage["card"], "task": named, "params": params}, capsys)
    assert "zoo/risk-certified/card.json: task: a name is made of the letters a to z" in said
    said = verified(stage, {**stage["card"], "params": params}, capsys)
    assert "card.json: params: tasks: a name is made of the letters a to z" in said


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"model": "../../outside"}, "card.json: model: Input should be 'adversarial', 'certified' or 'smoothed'"),
    "digest": ({"digest": "abc"}, "card.json: digest: "),
    "digest-number": ({"digest": 3}, "card.json: digest: "),
    "weights": ({"weights": None}, "card.json: weights: "),
    "eps-nan": ({"eps": NAN}, "card.json: eps: "),
    "eps-text": ({"eps": "0.3"}, "card.json: eps: "),
    "share": ({"certificates": {"interval": [{"eps": 0.0, "certified": {"share": 7}}]}}, "share: "),
    "no-certificates": ({"certificates": []}, "card.json: certificates: "),
    "cores": ({"machine": {"cores": -1}}, "card.json: machine: cores: "),
    "seconds": ({"seconds": {"training": NAN}}, "card.json: seconds: training: "),
    "params-text": ({"params": "digits"}, "card.json: params: "),
    "params-empty": ({"params": {}}, "card.json: params: missing key 'seed'"),
    "selected": ({"selected": {"settings": {"kind": "mlp", "units": [10**9]}}}, "card.json: selected: "),
    "task-of-another": ({"task": "mnist"}, "schema.json is of another task than the card, which is of 'mnist'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_card_out_of_its_bounds(stage: dict[str, Any], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    change, says = WRONG[name]
    assert says in verified(stage, {**stage["card"], **change}, capsys)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"card"', "[" * 5000, '{"params":' * 5000, "NaN", " " * (40 * 2**20)],
    ids=["empty", "cut", "list", "null", "number", "text", "deep", "deeper", "nan", "huge"],
)
def test_a_card_that_is_none(stage: dict[str, Any], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "zoo/risk-certified/card.json: " in verified(stage, text, capsys)


@pytest.mark.parametrize(
    "source",
    ["/etc/passwd", "../secret.csv", "data/own/../../../secret.csv", "params.yaml", "data/raw/x.csv", "~/x.csv"],
)
def test_data_outside_the_users_folder(stage: dict[str, Any], source: str, capsys: pytest.CaptureFixture[str]) -> None:
    params = {**stage["card"]["params"], "tasks": {"risk": {**OWN, "source": source}}}
    said = verified(stage, {**stage["card"], "params": params}, capsys)
    assert f"card.json: params: source is {source!r}; expected a file below data/own/" in said


def test_params_of_more_tasks_than_its_own(stage: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    params = stage["card"]["params"]
    for change in ({"tasks": {"risk": OWN, "other": OWN}}, {"tasks": {"risk": OWN, "other": OWN}, "run": ["other"]}):
        said = verified(stage, {**stage["card"], "params": {**params, **change}}, capsys)
        assert "card.json: params: expected the task 'risk' alone" in said


@pytest.mark.parametrize("file", ["card.json", "model.onnx", "notes"])
def test_a_link_in_a_bundle(stage: dict[str, Any], file: str, capsys: pytest.CaptureFixture[str]) -> None:
    (stage["bundle"] / "card.json").write_text(json.dumps(stage["card"]))
    path = stage["bundle"] / file
    path.unlink(missing_ok=True)
    path.symlink_to(stage["outside"] / "sentinel")
    assert main(["verify", str(stage["bundle"]), "--quick"]) == 2
    assert f"{path} is a symbolic link; a bundle to be verified must hold its files itself" in capsys.readouterr().err
    assert (stage["outside"] / "sentinel").read_text() == "precious"


def test_a_pipe_for_a_card_does_not_hang(stage: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(stage["bundle"] / "card.json")
    assert main(["verify", str(stage["bundle"])]) == 2
    assert "it is no regular file" in capsys.readouterr().err


def test_a_good_card_goes_on_to_its_recipe(stage: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    (stage["bundle"] / "card.json").write_text(json.dumps(stage["card"]))
    assert main(["verify", str(stage["bundle"]), "--quick"]) == 2
    assert stage["ran"] == list(verify.DATA_STAGES)
    assert "holds no data set" in capsys.readouterr().err

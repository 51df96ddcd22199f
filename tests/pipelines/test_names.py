"""What a task is called never reaches a shell, and a name that is none is refused before anything is made."""

import sys
from pathlib import Path

import pytest
import yaml

from pipelines._stage import arguments, item_of
from tests.support.checkout import TASK, Checkout

BAD = "x; touch pwned #"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Checkout:
    """A project whose only task has a name that a shell would take for two commands."""
    made = Checkout.of(project, tmp_path_factory.mktemp("names"))
    made.give_table(BAD, {"estimators": {}})
    made.good("git", "init", "-q")
    return made


def test_no_command_line_of_dvc_holds_a_name(project: Path) -> None:
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    commands = {name: stage.get("do", stage)["cmd"] for name, stage in stages.items()}
    for name, command in commands.items():
        assert command == f"python -m pipelines.{name}" + ("" if name == "report" else ' "$DVC_STAGE"')


def test_dvc_typed_by_hand_runs_no_command_of_a_name(named: Checkout) -> None:
    done = named.run("dvc", "repro", f"resolve@{BAD}")
    assert done.returncode != 0
    assert "error: params.yaml: tasks: a name is made of the letters a to z, digits, '-' and '_'" in done.stderr
    assert repr(BAD) in done.stderr
    assert sorted(path.name for path in named.folder.rglob("pwned*")) == []
    assert not (named.folder / "resolved").exists()


@pytest.mark.parametrize("stage", [None, "ingest", "split", "section", "promote"])
def test_dvc_typed_by_hand_deletes_nothing_outside_the_project(
    named: Checkout, stage: str | None, tmp_path: Path
) -> None:
    """DVC removes a stage's outputs before it starts the command that would refuse the name."""
    kept, params = tmp_path / "kept", named.folder / "params.yaml"
    kept.mkdir()
    files = (kept / "ingest.json", kept / "promote.json", tmp_path / "kept.npz", tmp_path / "kept.html")
    for file in files:
        file.write_text("keep")
    before = params.read_text()
    # Enough for the deepest folder that holds a task's files: beyond the root, one stays there.
    name = "../" * 20 + str(kept.resolve().relative_to("/"))
    try:
        named.change(lambda params: params.update(run=[name], tasks={name: TASK}))
        done = named.run("dvc", "repro", *(["-s", f"{stage}@{name}"] if stage else []))
    finally:
        params.write_text(before)
    assert done.returncode != 0
    assert f"{stage or 'resolve'}@{name}" in done.stderr
    assert [file.read_text() for file in files] == ["keep"] * len(files)


@pytest.mark.parametrize("stage", ["summary --check", "resolve", "ingest", "harden", "promote"])
def test_every_stage_refuses_the_name_itself(named: Checkout, stage: str) -> None:
    words = stage.split() if " " in stage else [stage, BAD]
    done = named.run(sys.executable, "-m", f"pipelines.{words[0]}", *words[1:])
    assert (done.returncode, done.stdout) == (1, "")
    reads_params = words[0] in ("summary", "resolve")
    assert done.stderr.startswith(f"error: {'params.yaml: tasks' if reads_params else stage}: a name is made of")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("digits", "digits"),
        ("ingest@digits", "digits"),
        ("../dvc.yaml:ingest@digits", "digits"),
        ("ingest@x; touch pwned #", "x; touch pwned #"),
        ("ingest@", "ingest@"),
        ("train@digits", "train@digits"),
    ],
)
def test_a_stage_knows_its_task_by_dvcs_name_too(given: str, means: str) -> None:
    assert item_of("ingest", given) == means


@pytest.mark.parametrize(
    ("given", "task", "name"),
    [
        ("harden@digits-certified", "digits", "harden-certified"),
        ("my-own-2-smoothed", "my-own-2", "harden-smoothed"),
        ("digits", "digits", "harden-digits"),
    ],
)
def test_a_models_stage_knows_task_and_model(given: str, task: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["harden", given])
    assert arguments("harden") == (task, name)

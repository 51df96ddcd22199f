"""`dvc metrics show` and `diff` of what the stage `report` writes: a line per task that fits a terminal."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import report
from redoubt.core.store import write_json

COLUMNS = 80
TASKS = ("evolution", "diagnosis", "digits")


def row(task: str, adaptive: float = 0.756667) -> dict[str, Any]:
    shares = {"served": 0.926667, "undefended": 0.8, "oblivious": 0.8, "adaptive": adaptive, "certified": 0.753333}
    return {"task": task, "champion": "adversarial", **{name: {"share": share} for name, share in shares.items()}}


def put(folder: Path, rows: Mapping[str, dict[str, Any]]) -> None:
    for task, each in rows.items():
        write_json(folder / "reports/metrics" / f"{task}.json", report._metrics(each))


@pytest.fixture
def folder(tmp_path: Path, project: Path) -> Path:
    """A project of DVC's with the metrics of the real one, committed."""
    stage = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["report"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"metrics": stage["metrics"]}))
    put(tmp_path, {task: row(task) for task in TASKS})
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(words, cwd=tmp_path, check=True)
    subprocess.run(["git", *author, "commit", "-q", "-m", "first"], cwd=tmp_path, check=True)
    return tmp_path


def dvc(folder: Path, *words: str) -> list[str]:
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_metrics_are_short_and_their_difference_is_shorter(folder: Path) -> None:
    heads, *lines = dvc(folder, "metrics", "show")
    assert heads.split() == ["Path", "adaptive", "certified", "champion", "clean"]
    assert [line.split()[:2] for line in lines] == [
        [f"reports/metrics/{task}.json", "0.7567"] for task in sorted(TASKS)
    ]
    assert max(map(len, [heads, *lines])) <= COLUMNS
    put(folder, {"digits": row("digits", adaptive=0.8)})
    (_, line) = dvc(folder, "metrics", "diff")
    assert line.split() == ["reports/metrics/digits.json", "adaptive", "0.7567", "0.8", "0.0433"]


def test_a_task_without_a_champion_says_so() -> None:
    assert report._metrics({"task": "digits", "champion": None}) == {"champion": "none"}

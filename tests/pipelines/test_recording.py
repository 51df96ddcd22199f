"""What the edges of the pipeline do when MLflow cannot be reached: work and reasons are never lost to it."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.server import free_port
from pipelines import report, summary
from pipelines._stage import fail
from redoubt.core.store import read_json
from redoubt.studies.contract import StudyError


@pytest.fixture
def server_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of its own, and the address of a server that is down, as it may be shown."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:s3cret@127.0.0.1:{port}")
    return f"MLflow at http://127.0.0.1:{port}: nobody listens at port {port} of 127.0.0.1"


def test_a_stage_says_why_it_failed_before_it_asks_mlflow(server_down: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        fail("study@descent", "course", "descent", StudyError("no rows"))
    first, second = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert first == "error: study@descent: no rows"
    assert second.startswith(f"warning: this failure is not in MLflow: {server_down}")


def test_what_will_not_be_recorded_is_said_before_the_work_begins(
    server_down: str, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["summary", "--check"])
    Path("params.yaml").write_text((project / "params.yaml").read_text())
    summary.main()
    assert capsys.readouterr().err.startswith(f"warning: {server_down}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    summary.main()
    assert capsys.readouterr().err == ""


def test_the_report_leaves_its_last_output_only_if_the_runs_are_in_mlflow(
    server_down: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["report"]
    assert {str(report.MIRRORED): {"cache": False}} in stage["outs"]
    tasks = ["evolution", "digits"]
    report.MIRRORED.parent.mkdir(parents=True)
    report.MIRRORED.write_text("{}")
    with pytest.raises(SystemExit, match="The pages in reports/ are written; once that is fixed, the next `dvc repro`"):
        report._mirror(tasks)
    assert not report.MIRRORED.exists()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    record = {"run": "natural", "stage": "train", "task": "digits", "metrics": {"clean": 0.9, "robust": None}}
    Path("reports/digits/records").mkdir(parents=True)
    Path("reports/digits/records/train.json").write_text(json.dumps(record))
    report._mirror(tasks)
    assert read_json(report.MIRRORED) == {"tasks": tasks}

"""A folder that is no Git repository, and a place where MLflow records no runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines._surroundings import LOCAL, WITHOUT_GIT, settle_git


@pytest.fixture(autouse=True)
def zip_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without `.git`."""
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GIT_DIR", raising=False)
    return tmp_path


def test_dvc_is_told_to_do_without_git_and_later_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    settle_git()
    assert LOCAL.read_text(encoding="utf-8") == WITHOUT_GIT
    assert capsys.readouterr().err == f"note: this folder is no Git repository; {LOCAL} tells DVC to do without\n"
    settle_git()
    assert capsys.readouterr().err == ""
    Path(".git").mkdir()
    settle_git()
    assert not LOCAL.exists()


def test_settings_of_the_users_own_are_left_alone() -> None:
    LOCAL.write_text("[core]\n    remote = mine\n", encoding="utf-8")
    settle_git()
    Path(".git").mkdir()
    settle_git()
    assert "remote = mine" in LOCAL.read_text(encoding="utf-8")


def test_dvc_takes_these_settings(zip_download: Path) -> None:
    (zip_download / "dvc.yaml").write_text("stages: {a: {cmd: echo done}}\n", encoding="utf-8")
    settle_git()
    command = [sys.executable, "-m", "dvc", "repro", "--dry"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_stage_refuses_a_store_of_files_before_it_works(
    zip_download: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (zip_download / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    monkeypatch.setenv("PYTHONPATH", str(project))
    command = [sys.executable, "-m", "pipelines.ingest", "digits"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ingest@digits: MLFLOW_TRACKING_URI is 'mlruns', where MLflow records no runs")
    assert not Path("data").exists()

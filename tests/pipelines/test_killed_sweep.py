"""A sweep killed by a signal goes on with the folds that it had finished, and ends with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipelines import ingest, resolve, scale, split
from redoubt.core.store import read_json
from redoubt.params.settings.stages import IngestSettings, ScaleSettings, SplitSettings, read_settings

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = ("sweep.csv", "selected.json", "records/sweep.json")
TASK = {"kind": "classification", "source": "data/own/own.csv", "target": "left", "split": {"folds": 2}}
SWEEPS = {
    "grid": {"batch_size": [32], "learning_rate": [0.01], "models": [{"kind": "linear"}], "epochs": 5},
    "trials": {"trials": 6, "ranges": {"depth": [0, 1], "width": [4, 8], "batch_size": [32, 64]}, "epochs": 2},
}


def sweep(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "pipelines.sweep", "own"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, start_new_session=True)


def good(folder: Path) -> None:
    process = sweep(folder)
    said = process.communicate(timeout=200)[1].decode()
    assert process.returncode == 0, said


@pytest.fixture
def ready(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small table, brought as far as the sweep."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(40, 9, 200).round(1), "spend": rng.normal(90, 9, 200).round(1)})
    (tmp_path / "data/own").mkdir(parents=True)
    table.assign(left=np.where(table["age"] > 40, "yes", "no")).to_csv(tmp_path / "data/own/own.csv", index=False)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params.update(run=["own"], tasks={"own": {**TASK, "sweep": SWEEPS[request.param]}}, studies={})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    resolve.work("own")
    ingest.work(read_settings(IngestSettings, Path("own/ingest.json")))
    split.work(read_settings(SplitSettings, Path("own/split.json")))
    scale.work(read_settings(ScaleSettings, Path("own/scale.json")))
    return tmp_path


# Two folds each: the first batch has four trials, the second two.
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("ready", "least", "most"), [("grid", 1, 1), ("trials", 9, 11)], indirect=["ready"])
def test_a_killed_sweep_goes_on_where_it_was(ready: Path, least: int, most: int) -> None:
    kept, reports = ready / ".redoubt/sweep/own", ready / "reports/own"
    process = sweep(ready)
    until = time.monotonic() + 200
    while len(list(kept.glob("*.npz"))) < least and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    done = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.npz")}
    assert least <= len(done) <= most, "it was killed too late"
    assert not (reports / "selected.json").exists()
    # What it was killed at stands beside the records too.
    (reports / "records").mkdir(parents=True, exist_ok=True)
    (reports / "records/.sweep.json.0123abcd.part").write_text("{")
    good(ready)
    resumed = [(reports / name).read_bytes() for name in OUTPUTS]
    assert not list(kept.iterdir())
    assert os.listdir(reports / "records") == ["sweep.json"]
    for name in OUTPUTS:
        (reports / name).unlink()
    good(ready)
    assert [(reports / name).read_bytes() for name in OUTPUTS] == resumed
    means = pd.read_csv(reports / "sweep.csv").groupby("learning_rate")["val_loss"].agg(["count", "mean"])
    found = read_json(reports / "selected.json")["validation_loss"]
    assert found == pytest.approx(means.loc[means["count"] == 2, "mean"].min())

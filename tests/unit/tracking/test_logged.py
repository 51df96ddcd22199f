"""`redoubt compare` of two runs that MLflow holds."""

import json
from pathlib import Path

import pytest

from redoubt.cli import main
from redoubt.core.store import write_json
from tests.support.report import measured


def test_two_runs_of_mlflow_are_compared(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from redoubt.tracking.client import connect, mlflow

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = connect(uri)
    experiment = client.create_experiment("bars", artifact_location=(tmp_path / "artifacts").as_uri())
    models = {name: {"test": measured()} for name in ("natural", "certified")}
    write_json(tmp_path / "robustness.json", {"task": "bars", "norm": "linf", "models": models})
    runs = []
    for name in (*models, "promotion"):
        run = client.create_run(experiment, run_name=name, tags={"dataset": "d"}).info.run_id
        client.log_param(run, "training", name)
        runs.append(run)
        if name in models:
            client.log_artifact(run, str(tmp_path / "robustness.json"))
    try:
        assert main(["compare", runs[0], f"runs:/{runs[1]}", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert found["settings"] == [{"name": "training", "a": "natural", "b": "certified"}]
        assert len(found["rows"]) > 5
        assert main(["compare", runs[0], runs[2]]) == 2
        assert "run 'promotion' holds no robustness.json" in capsys.readouterr().err
        assert main(["compare", runs[0], "0" * 32]) == 2
        assert "not found" in capsys.readouterr().err
    finally:
        mlflow.set_tracking_uri("")
        mlflow.set_registry_uri("")

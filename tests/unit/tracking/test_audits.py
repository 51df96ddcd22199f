"""`redoubt audit --mlflow`: an audit becomes a run, once; a store that cannot be used is said before any work."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from redoubt.audit.record import steps_per_eps
from redoubt.cli import main
from redoubt.tracking.hashes import hashes_of
from tests.support import brightness

WORDS = ["audit", "bright.keras", "--data", "d.npz", "--budget", "1m", "--out", "out", "--mlflow"]


@pytest.fixture
def here(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a model, examples and a store."""
    from redoubt.tracking.client import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("MANY", "FEW", "STEPS"):
        monkeypatch.setattr(f"redoubt.audit.plan.{name}", 10)
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    batch = brightness.examples(24)
    np.savez("d.npz", x=batch.x, y=batch.y)
    brightness.model().save("bright.keras")
    yield tmp_path
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")


def test_an_audit_is_a_run_and_the_same_one_is_there_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from redoubt.tracking.client import connect

    assert main([*WORDS, "--eps", "0.05", "--eps", "0.15"]) == 0
    (line,) = (each for each in capsys.readouterr().out.splitlines() if each.startswith("MLflow: run "))
    assert line.endswith(f", at sqlite:///{here / 'mlflow.db'}")
    client = connect(f"sqlite:///{here / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("audits")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id in line
    audit = json.loads(Path("out/audit.json").read_text())
    assert run.info.status == "FINISHED"
    assert run.data.params["target"] == "bright.keras"
    assert run.data.params["eps"] == "0.05, 0.15"
    assert hashes_of(run.data.tags)["digest"] == audit["target"]["digest"]
    assert run.data.tags["mlflow.source.name"] == "redoubt audit"
    assert run.data.tags["mlflow.note.content"] == audit["verdict"]
    view = json.loads(experiment.tags["mlflow.sharedViewState.redoubt"])
    assert {"params.`eps`", "metrics.`robust/linf/robust`"} <= set(json.loads(view["state"])["selectedColumns"])
    for column in ("robust", "certified"):
        history = client.get_metric_history(run.info.run_id, f"eps_linf/{column}")
        expected = [(round(1000 * row["eps"]), row[column]["share"]) for row in audit["rows"]]
        assert sorted((point.step, point.value) for point in history) == expected
        assert run.data.metrics[f"robust/linf/{column}"] == audit["rows"][-1][column]["share"]
    assert run.data.metrics["test/accuracy"] == audit["clean"]["share"]
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {
        "audit.json",
        "index.html",
        "MODEL_CARD.md",
    }
    kept = Path(client.download_artifacts(run.info.run_id, "audit.json", str(here)))
    assert json.loads(kept.read_text()) == audit

    assert main([*WORDS, "--eps", "0.05", "--eps", "0.15", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["rows"] == audit["rows"], "standard output is JSON alone"
    assert f"run {run.info.run_id}, which was there" in said.err
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert main([*WORDS, "--eps", "0.1"]) == 0
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2
    assert not any("redoubt.superseded" in each.data.tags for each in runs), "another eps is no newer version"


def test_a_store_that_cannot_be_used_is_said_before_any_work(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    for uri, expected in {
        "./mlruns": "where MLflow records no runs",
        f"file://{here}/mlruns": "where MLflow records no runs",
        f"http://127.0.0.1:{port}": f"nobody listens at port {port}",
    }.items():
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert main(WORDS) == 2
        said = capsys.readouterr().err
        assert expected in said
        assert said.count("\n") == 1
    assert not Path("out").exists()


def test_a_store_that_goes_away_meanwhile_costs_no_result(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from redoubt.audit import pages

    write = pages.write

    def and_spoil(*given: object) -> list[Path]:
        (here / "mlflow.db").write_bytes(b"no database at all" * 100)
        return write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "write", and_spoil)
    assert main(WORDS) == 1
    assert "the files are written" in capsys.readouterr().err
    assert Path("out/audit.json").is_file()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([0.05, 0.1], 1000), ([0.00025, 0.0005, 0.001], 10_000), ([8.0, 2.0], 1000), ([1e-6], 1_000_000)],
)
def test_no_two_sizes_share_a_step(sizes: list[float], expected: int) -> None:
    assert steps_per_eps(sizes) == expected

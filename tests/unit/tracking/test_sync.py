"""MLflow in line with the records: against a real SQLite store, never a stand-in."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from redoubt.core.store import write_json
from redoubt.runs import RunRecord, key
from redoubt.tracking.sync import Summary, failed, sync
from redoubt.tracking.uri import TrackingError, home, store_uri
from tests.support.toy_champion import write_champion

TOP = Path(__file__).parents[3]
POINTS = ["linear, batch 16", "mlp 32, batch 16", "mlp 32, batch 64"]


class Project:
    """A folder with records, and a look at what MLflow holds of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}", f"sqlite:///{root / 'mlflow.db'}")

    def write(self, *records: RunRecord) -> None:
        shutil.rmtree(self.root / "reports", ignore_errors=True)
        for record in records:
            path = self.root / "reports" / record.task / "records" / f"{record.stage}-{record.run}.json"
            write_json(path, record.model_dump(mode="json"))

    def sync(self) -> Summary:
        return sync(self.root)

    def runs(self, task: str = "digits") -> list[Run]:
        experiment = self.client.get_experiment_by_name(task)
        return list(self.client.search_runs([experiment.experiment_id])) if experiment else []

    def run(self, name: str, task: str = "digits") -> Run:
        (found,) = (run for run in self.runs(task) if run.info.run_name == name)
        return found


def natural(**fields: object) -> RunRecord:
    return RunRecord.model_validate({"run": "natural", "stage": "train", "task": "digits", **fields})


def sweep(**fields: object) -> RunRecord:
    children = [
        RunRecord(run=name, stage="sweep", task="digits", params={"fold": 1}, curves={"loss": [(0, 1.0), (1, 0.5)]})
        for name in POINTS
    ]
    return RunRecord.model_validate(
        {"run": "sweep", "stage": "sweep", "task": "digits", "children": children, **fields}
    )


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "a project"
    root.mkdir()
    shutil.copy(empty_store, root / "mlflow.db")
    monkeypatch.chdir(root)
    yield Project(root)
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")


def test_a_run_holds_all_that_its_records_say(project: Project) -> None:
    curve = [(step, 1.0 - step / 400) for step in range(0, 400, 40)]
    long = [(step, float(step)) for step in range(1500)]
    attack = natural(stage="attack", metrics={"robust/linf": 0.4}, curves={"robust/linf/eps": curve})
    attack = attack.model_copy(update={"artifacts": ["reports/digits/robustness.json", "docs"]})
    train = natural(params={f"p{n}": n for n in range(150)}, curves={"loss": long}, tags={"redoubt.seed": "20"})
    project.write(train, attack)
    write_json(project.root / "reports/digits/timings/attack.json", {"seconds": 1.5, "cores": 2})
    write_json(project.root / "reports/digits/timings/train.json", {"seconds": 9.0, "cores": 2})
    write_json(project.root / "reports/digits/timings/training/natural.json", {"seconds": 0.5, "cores": 2})
    write_json(
        project.root / "data/raw/digits/provenance.json", {"source": "digits", "rows": 1797, "sha256": "ab" * 32}
    )
    write_json(project.root / "reports/digits/robustness.json", {})
    write_json(project.root / "docs/note.json", {})

    assert project.sync() == Summary(store_uri(project.root), {"digits": "1"}, runs=1, new=1, models=0, waiting=0)
    run = project.run("natural")
    assert run.info.status == "FINISHED"
    assert run.data.params == {f"p{n}": str(n) for n in range(150)}
    assert run.data.metrics["robust/linf"] == 0.4
    seconds = {name: value for name, value in run.data.metrics.items() if name.startswith("seconds/")}
    assert seconds == {"seconds/attack": 1.5, "seconds/training": 0.5}
    assert run.info.end_time - run.info.start_time >= 2000
    assert run.data.tags["redoubt.stage"] == "attack, train"
    merged = attack.model_copy(update=train.model_dump(include={"params", "tags"}))
    merged = merged.model_copy(update={"curves": attack.curves | train.curves, "stage": "attack, train"})
    merged = merged.model_copy(update={"artifacts": sorted(attack.artifacts)})
    assert run.data.tags["redoubt.key"] == f"{key(merged)}; dataset {'ab' * 32}"
    assert run.data.tags["redoubt.seed"] == "20"
    assert run.data.tags["mlflow.runColor"] == "#c2410c"
    (data,) = run.inputs.dataset_inputs if run.inputs else []
    assert (data.dataset.name, data.dataset.profile) == ("digits", '{"num_rows": 1797}')
    history = project.client.get_metric_history(run.info.run_id, "robust/linf/eps")
    assert [(point.step, point.value) for point in history] == curve
    assert len(project.client.get_metric_history(run.info.run_id, "loss")) == len(long)
    files = {file.path for file in project.client.list_artifacts(run.info.run_id)}
    assert files == {"robustness.json", "docs"}
    assert (project.root / "mlartifacts/digits" / run.info.run_id / "artifacts/docs/note.json").is_file()


def test_the_commit_of_the_project_is_a_tag(project: Project) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=project.root, check=True)
    project.write(natural())
    project.sync()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project.root, check=True, capture_output=True, text=True)
    assert project.run("natural").data.tags["mlflow.source.git.commit"] == head.stdout.strip()


def test_children_stand_under_their_parent_by_name(project: Project) -> None:
    project.write(sweep())
    assert project.sync().runs == 1 + len(POINTS)
    parent = project.run("sweep")
    children = [run for run in project.runs() if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.info.run_name for run in children} == set(POINTS)
    assert {run.info.status for run in children} == {"FINISHED"}


def test_syncing_again_changes_nothing(project: Project) -> None:
    project.write(natural(params={"a": 1}), sweep())
    project.sync()
    before = {run.info.run_id: run.to_dictionary() for run in project.runs()}
    assert project.sync().new == 0
    assert {run.info.run_id: run.to_dictionary() for run in project.runs()} == before


@pytest.mark.parametrize("writes", range(0, 14, 2))
def test_an_interrupted_sync_is_made_good(project: Project, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(natural(params={"a": 1}, metrics={"b": 1.0}), sweep())
    left = iter(range(writes))

    def until_killed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return method(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("create_run", "log_batch", "set_terminated"):
            patch.setattr(MlflowClient, name, until_killed(getattr(MlflowClient, name)))
        with pytest.raises(KeyboardInterrupt):
            project.sync()
    project.sync()
    assert sorted(run.info.run_name for run in project.runs()) == sorted(["natural", "sweep", *POINTS])
    assert {run.info.status for run in project.runs()} == {"FINISHED"}
    assert project.run("natural").data.metrics == {"b": 1.0}
    assert len({run.data.tags.get("mlflow.parentRunId") for run in project.runs()}) == 2


def test_an_older_result_is_superseded_until_it_is_restored(project: Project) -> None:
    old, new = natural(params={"rate": 0.1}), natural(params={"rate": 0.2})

    def superseded() -> dict[str, str | None]:
        return {run.data.params["rate"]: run.data.tags.get("redoubt.superseded") for run in project.runs()}

    for record, made, expected in [
        (old, 1, {"0.1": None}),
        (new, 1, {"0.1": "by a later result", "0.2": None}),
        (old, 0, {"0.1": None, "0.2": "by a later result"}),
    ]:
        project.write(record)
        assert project.sync().new == made
        assert superseded() == expected


def test_experiments_of_dvc_stand_side_by_side(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for rate, name in ((0.1, ""), (0.2, "fast-fox"), (0.3, "slow-owl")):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        project.write(natural(params={"rate": rate}))
        project.sync()
    assert [run.data.tags.get("redoubt.superseded") for run in project.runs()] == [None] * 3
    assert {run.data.tags.get("dvc.experiment") for run in project.runs()} == {None, "fast-fox", "slow-owl"}


def test_what_a_user_deleted_comes_back(project: Project) -> None:
    project.write(natural())
    project.sync()
    project.client.delete_experiment(project.run("natural").info.experiment_id)
    assert project.sync().new == 1 - len(project.runs())
    assert len(project.runs()) == 1


def test_a_failed_stage_leaves_its_reason_once(project: Project) -> None:
    for reason in ("12 rows hold NaN", "12 rows hold NaN", "one class only"):
        failed("digits", "validate", ValueError(reason))
    assert [run.info.status for run in project.runs()] == ["FAILED"] * 2
    assert {run.data.tags["redoubt.error"] for run in project.runs()} == {
        "ValueError: 12 rows hold NaN",
        "ValueError: one class only",
    }
    project.write(RunRecord(run="validate", stage="validate", task="digits"))
    project.sync()
    assert [run.info.status for run in project.runs() if "redoubt.superseded" not in run.data.tags] == ["FINISHED"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, "sqlite:///{root}/mlflow.db", id="the project"),
        pytest.param({"DVC_ROOT": "{root}/parent"}, "sqlite:///{root}/parent/mlflow.db", id="a copy made by dvc"),
        pytest.param({"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"}, "http://127.0.0.1:5000", id="a server"),
    ],
)
def test_where_the_store_is(
    tmp_path: Path, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(root=tmp_path))
    assert store_uri(tmp_path) == expected.format(root=tmp_path)


def test_an_experiment_in_a_copy_lands_in_the_parent(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    write_json(copy / "reports/digits/records/train.json", natural(artifacts=["note.json"]).model_dump(mode="json"))
    write_json(copy / "note.json", {})
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    assert home(copy) == project.root
    sync(copy)
    run = project.run("natural")
    assert (project.root / "mlartifacts/digits" / run.info.run_id / "artifacts/note.json").is_file()
    assert sorted(path.name for path in copy.iterdir()) == ["note.json", "reports"]


def test_a_run_waits_for_what_its_stage_has_not_written_yet(project: Project) -> None:
    project.write(natural(artifacts=["reports/digits/robustness.json"]), sweep())
    first = project.sync()
    assert (first.new, first.waiting) == (1 + len(POINTS), 1)
    write_json(project.root / "reports/digits/robustness.json", {})
    second = project.sync()
    assert (second.new, second.waiting) == (1, 0)


def test_a_server_that_is_down_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        project.write(natural())
        with pytest.raises(TrackingError, match=f"{uri}.*is the server up"):
            project.sync()


def champion(project: Project, mark: str, passed: bool = True) -> None:
    write_champion(project.root / "models/digits/champion", mark, passed)


def test_the_champion_alias_follows_the_digest(project: Project) -> None:
    project.write(natural())
    for mark, passed, added, expected in [
        ("aa", True, 1, "aa"),
        ("aa", True, 0, "aa"),
        ("bb", True, 1, "bb"),
        ("cc", False, 0, "bb"),
        ("aa", True, 0, "aa"),
    ]:
        champion(project, mark, passed=passed)
        assert project.sync().models == added
        aliased = project.client.get_model_version_by_alias("redoubt-digits", "champion")
        assert aliased.tags["redoubt.digest"] == expected
    assert len(project.client.search_model_versions("name = 'redoubt-digits'")) == 2


def test_a_champion_can_be_loaded_and_says_what_it_takes(project: Project) -> None:
    project.write(
        natural(tags={"digest": "aa"}, metrics={"accuracy": 0.9}), natural(run="promotion", tags={"digest": "aa"})
    )
    champion(project, "aa")
    project.sync()
    model = mlflow.pyfunc.load_model("models:/redoubt-digits@champion")
    signature = model.metadata.signature
    assert [(one.name, one.shape, str(one.type)) for one in signature.inputs] == [
        ("x", (-1, 3), "float32"),
        ("noise", (-1, 3), "float32"),
        ("index", (1,), "int64"),
    ]
    assert [one.name for one in signature.outputs] == ["plain", "picked"]
    example = model.input_example
    assert {name: (value.shape, str(value.dtype)) for name, value in example.items()} == {
        "x": ((1, 3), "float32"),
        "noise": ((1, 3), "float32"),
        "index": ((1,), "int64"),
    }
    answer = model.predict({**example, "x": np.ones((1, 3), np.float32)})
    assert answer["plain"].tolist() == [[2.0, 2.0, 2.0]]
    (version,) = project.client.search_model_versions("name = 'redoubt-digits'")
    run = project.run("natural")
    assert version.run_id == run.info.run_id
    assert len(project.client.get_metric_history(run.info.run_id, "accuracy")) == 1
    (logged,) = run.outputs.model_outputs if run.outputs else []
    kept = project.root / "mlartifacts/digits/models" / logged.model_id / "artifacts"
    assert {path.name for path in (kept / "extra_files").iterdir()} == {"card.json", "schema.json"}


def test_a_registration_that_was_interrupted_is_made_good(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(natural())
    champion(project, "aa")

    def killed(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", killed)
        with pytest.raises(KeyboardInterrupt):
            project.sync()
    assert project.sync().models == 1
    assert len(project.client.search_logged_models([project.run("natural").info.experiment_id])) == 1


def test_an_incumbent_whose_run_is_gone_is_registered_all_the_same(project: Project) -> None:
    project.write(natural(tags={"digest": "bb"}))
    champion(project, "aa")
    assert project.sync().models == 1
    assert not project.client.get_model_version_by_alias("redoubt-digits", "champion").run_id


def test_nothing_leaves_the_machine_and_no_folder_is_left(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: called.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: called.append(arguments))
    project.write(natural(), sweep())
    champion(project, "aa")
    project.sync()
    assert called == []
    assert sorted(path.name for path in project.root.iterdir()) == [
        ".redoubt",
        "mlartifacts",
        "mlflow.db",
        "models",
        "reports",
    ]


def test_the_command_restores_a_lost_database_and_needs_no_tensorflow(project: Project) -> None:
    project.write(natural(), sweep())
    champion(project, "aa")
    (project.root / "mlflow.db").unlink()
    script = (
        "import runpy, sys; sys.argv = ['record']; runpy.run_module('pipelines.record', run_name='__main__');"
        "print(sorted({'tensorflow', 'keras', 'dvc', 'great_expectations'} & set(sys.modules)));"
        "import mlflow.telemetry; print(mlflow.telemetry.get_telemetry_client())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOP), str(TOP / "src")])}
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"MLflow: 1 experiment, 5 runs (5 new), 1 new champion in {store_uri(project.root)}",
        "Compare runs (make ui):",
        "  digits: http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=redoubt",
        "[]",
        "None",
    ]

"""The MLflow server of docker-compose.yml, run natively: its command line, its image's locked packages, a real
PostgreSQL that asks for the password and a real S3 server.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from benchmarks.server import STARTS_WITHIN, free_port, running
from redoubt.core.store import write_json
from redoubt.runs import RunRecord
from redoubt.tracking.sync import sync
from tests.support.compose import TOP, environment, services
from tests.support.toy_champion import write_champion

SECRETS = {"POSTGRES_PASSWORD": "p@ss word/1", "STORAGE_ACCESS_KEY": "key", "STORAGE_SECRET_KEY": "a-long-secret"}
INITDB = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
BIN = INITDB[-1].parent if INITDB else Path(shutil.which("initdb") or "missing").parent
PYTHON = TOP / ".redoubt" / "tracking" / "bin" / "python"

pytestmark = [
    pytest.mark.skipif(not (BIN / "initdb").is_file(), reason="PostgreSQL is not installed: run .ci/system-packages"),
    pytest.mark.skipif(not PYTHON.is_file(), reason="the image's packages are not: run .ci/tracking-environment"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def database() -> Iterator[int]:
    """The port of a private PostgreSQL cluster that asks for the password."""
    # Not under pytest's own folder, which the server's user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="redoubt-postgres-"))
    root = os.geteuid() == 0
    if root:
        shutil.chown(folder, "postgres")
    settings = services()["database"]["environment"]
    password = folder / "password"
    password.write_text(SECRETS["POSTGRES_PASSWORD"])
    password.chmod(0o644)
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        command = [str(BIN / program), *arguments]
        done = subprocess.run(
            ["runuser", "-u", "postgres", "--", *command] if root else command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=STARTS_WITHIN,
            check=False,
            env={**os.environ, "PGPASSWORD": SECRETS["POSTGRES_PASSWORD"]},
        )
        assert done.returncode == 0, f"{program}: {done.stdout}"

    user, data = settings["POSTGRES_USER"], str(folder / "data")
    try:
        run("initdb", "-D", data, "-U", user, "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", user, settings["POSTGRES_DB"])
            yield port
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port and the folder of an S3 server that holds the bucket."""
    folder, port = tmp_path_factory.mktemp("storage"), free_port()
    (folder / "data" / "mlflow").mkdir(parents=True)
    variables = environment(services()["storage"], SECRETS)
    command = [str(PYTHON), "-m", "nanio", "serve", "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    keys = {"NANIO_ACCESS_KEY": variables["AWS_ACCESS_KEY_ID"], "NANIO_SECRET_KEY": variables["AWS_SECRET_ACCESS_KEY"]}
    with running([*command, "--data-dir", str(folder / "data")], f"http://127.0.0.1:{port}", folder, keys):
        yield port, folder / "data" / "mlflow"


@pytest.fixture(scope="module")
def server(database: int, storage: tuple[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server: compose's command and environment, its addresses turned to this machine."""
    tracking = services()["tracking"]
    port, folder = free_port(), tmp_path_factory.mktemp("server")
    variables = {
        name: value.replace("database:5432", f"127.0.0.1:{database}").replace("storage:8333", f"127.0.0.1:{storage[0]}")
        for name, value in environment(tracking, SECRETS).items()
    }
    here = {"0.0.0.0": "127.0.0.1", "5000": str(port)}
    program, *arguments = [here.get(word, word) for word in shlex.split(tracking["command"])]
    with running([str(PYTHON.parent / program), *arguments], f"http://127.0.0.1:{port}/health", folder, variables):
        yield f"http://127.0.0.1:{port}"


def test_a_sync_to_the_server_holds_runs_curves_artifacts_and_champions(
    server: str, storage: tuple[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    curve = [(0, 1.0), (100, 0.6), (200, 0.1)]
    child = RunRecord(run="mlp 32, batch 16", stage="train", task="digits", metrics={"accuracy": 0.9})
    record = RunRecord(
        run="natural",
        stage="train",
        task="digits",
        params={"batch_size": 16},
        curves={"robust/linf": curve},
        artifacts=["note.json"],
        tags={"digest": "aa"},
        children=[child],
    )
    write_champion(tmp_path / "models/digits/champion", "aa")
    write_json(tmp_path / "note.json", {"read": "back"})
    write_json(tmp_path / "reports/digits/records/train.json", record.model_dump(mode="json"))

    assert [(done.new, done.models) for done in (sync(tmp_path), sync(tmp_path))] == [(2, 1), (0, 0)]
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["mlp 32, batch 16", "natural"]
    run = runs["natural"].info.run_id
    assert runs["natural"].data.params == {"batch_size": "16"}
    assert [(point.step, point.value) for point in client.get_metric_history(run, "robust/linf")] == curve
    read = client.download_artifacts(run, "note.json", str(tmp_path))
    assert Path(read).read_text() == (tmp_path / "note.json").read_text()
    assert client.get_model_version_by_alias("redoubt-digits", "champion").run_id == run
    stored = {path.name for path in storage[1].rglob("*.*")}
    assert {"note.json", "model.onnx", "card.json"} <= stored, "not in the bucket"
    assert not (tmp_path / "mlartifacts").exists()


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("tracking", 200), ("evil.example", 403)],
    ids=["localhost", "by its name in compose", "another name"],
)
def test_the_server_answers_to_its_own_names_only(server: str, host: str, status: int) -> None:
    port = server.rsplit(":", 1)[1]
    answer = httpx.get(f"{server}/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": f"{host}:{port}"})
    assert answer.status_code == status

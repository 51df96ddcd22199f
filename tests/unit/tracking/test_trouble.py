"""A tracking server or database that is down, hangs, or is something else: one sentence, soon, without its secrets."""

import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from benchmarks.server import free_port
from redoubt.core.store import write_json
from redoubt.runs import RunRecord
from redoubt.tracking import deadline, mirror
from redoubt.tracking.sync import Summary, failed, sync
from redoubt.tracking.uri import TrackingError
from tests.support.toy_champion import write_champion

TOP = Path(__file__).parents[3]
SECRET = "s3cret-w0rd"
RUNS = ("natural", "adversarial")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    yield
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")


def put(root: Path, champion: bool = False) -> Path:
    """A checkout with records, and with a champion if that is asked for."""
    children = [RunRecord(run=f"fold {n}", stage="train", task="digits", metrics={"x": float(n)}) for n in range(2)]
    for name in RUNS:
        record = RunRecord(
            run=name,
            stage="train",
            task="digits",
            params={"a": 1},
            metrics={"accuracy": 0.5},
            tags={"digest": "aa" if name == "natural" else "bb"},
            artifacts=["note.json"],
            children=children,
        )
        write_json(root / f"reports/digits/records/{name}.json", record.model_dump(mode="json"))
    write_json(root / "note.json", {"read": "back"})
    if champion:
        write_champion(root / "models/digits/champion", "aa")
    return root


def trouble(root: Path, uri: str) -> str:
    """What sync says of a store that cannot be used, neither late nor with a secret, not even in a traceback."""
    began = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        sync(put(root), uri)
    assert time.monotonic() - began < 20
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    said = str(caught.value)
    assert "\n" not in said
    return said


@contextmanager
def answering(status: int, body: str, drip: float = 0.0) -> Iterator[int]:
    """The port of a server that gives every request the same answer, letter by letter if it drips."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                for letter in body:
                    time.sleep(drip)
                    self.wfile.write(letter.encode())
            except OSError:
                return

        do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, "<!doctype html><title>a wiki</title>", "no MLflow server's API"),
        (200, "", "no MLflow server's API"),
        (200, '{"a": 1}', "no MLflow server's API"),
        (200, '{"experiment": 3}', "no MLflow server's API"),
        (404, "<html>not\nfound</html>", "no MLflow server's API"),
        (404, '{"detail": "Not Found"}', "no MLflow server's API"),
        (401, "You are not authenticated", "MLFLOW_TRACKING_USERNAME"),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}', "MLFLOW_TRACKING_USERNAME"),
        (500, "Traceback\nof the server", "the server itself fails (500)"),
        (503, "", "the server itself fails (503)"),
    ],
)
def test_what_a_server_answers_is_told_in_one_sentence(tmp_path: Path, status: int, body: str, expected: str) -> None:
    with answering(status, body) as port:
        said = trouble(tmp_path, f"http://user:{SECRET}@127.0.0.1:{port}")
    assert said.startswith(f"MLflow at http://127.0.0.1:{port}: ")
    assert expected in said


def test_a_server_that_speaks_no_tls_is_told_apart(tmp_path: Path) -> None:
    with answering(200, "{}") as port:
        assert "write http:// instead of https://" in trouble(tmp_path, f"https://user:{SECRET}@127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://user:{secret}@127.0.0.1:{port}", "no answer within 1 s"),
        ("https://127.0.0.1:{port}/?token={secret}", "no answer within 1 s"),
        ("postgresql+psycopg2://user:{secret}@127.0.0.1:{port}/mlflow", "no answer within 2 s"),
    ],
    ids=["http", "https", "postgresql"],
)
def test_a_server_that_accepts_and_never_answers_is_given_up(tmp_path: Path, uri: str, expected: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = trouble(tmp_path, uri.format(secret=SECRET, port=server.getsockname()[1]))
    assert expected in said
    assert "0 of 2 runs recorded" in said


def test_a_server_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "PATIENCE", 2.0)
    with answering(200, "{" + " " * 200, drip=0.1) as port:
        assert "nothing has moved for 2 s" in trouble(tmp_path, f"http://user:{SECRET}@127.0.0.1:{port}")


def test_a_scheme_that_mlflow_does_not_know_is_said(tmp_path: Path) -> None:
    said = trouble(tmp_path, f"htp://user:{SECRET}@127.0.0.1:5000")
    assert said.startswith("MLflow at htp://127.0.0.1:5000: MLflow knows no such scheme; expected http,")


def test_a_driver_that_is_not_installed_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = trouble(tmp_path, f"postgresql+asyncpg://user:{SECRET}@127.0.0.1:{server.getsockname()[1]}/db")
    assert "the Python package asyncpg is not installed" in said


def test_nothing_of_a_secret_is_logged_or_stored(
    tmp_path: Path,
    empty_store: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, "mlflow.db")
    failed("digits", "ingest", ValueError(f"https://user:{SECRET}@host/data.csv answers 403 to {SECRET}"))
    logging.getLogger("mlflow.tracking").warning("asked %s", f"https://user:{SECRET}@host")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{SECRET}@127.0.0.1:{free_port()}")
    with pytest.raises(TrackingError):
        failed("digits", "ingest", ValueError("no"))
    assert SECRET.encode() not in (tmp_path / "mlflow.db").read_bytes()
    assert SECRET not in "".join(capfd.readouterr())
    assert not [record for record in caplog.records if SECRET in record.getMessage()]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("ffffffffffff", "are of an MLflow newer than"), ("7b14cdbb0446", "are of an MLflow older than")],
)
def test_a_database_of_another_mlflow_is_told_apart(
    tmp_path: Path, empty_store: Path, version: str, expected: str
) -> None:
    file = shutil.copy(empty_store, tmp_path / "mlflow.db")
    known = next((Path(mlflow.__file__).parent / "store/db_migrations/versions").glob("*.py")).stem.partition("_")[0]
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [version if "newer" in expected else known])
        database.commit()
    assert expected in trouble(tmp_path, f"sqlite:///{file}")


def test_damage_behind_the_first_page_is_named(tmp_path: Path, empty_store: Path) -> None:
    file = tmp_path / "mlflow.db"
    whole = empty_store.read_bytes()
    file.write_bytes(whole[: 4096 * 100] + os.urandom(4096) * (len(whole) // 4096 - 100))
    assert f"{file} is damaged" in trouble(tmp_path, f"sqlite:///{file}")


def test_the_command_prints_one_line(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "mlflow.db").write_text("This was a database once. " * 99)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOP), str(TOP / "src")])}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.ui"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/mlflow.db is damaged, or no SQLite database")
    assert len(done.stderr.splitlines()) == 1


MOMENTS = [
    ("create_experiment", 0),
    ("create_run", 0),
    ("log_artifact", 0),
    ("set_terminated", 1),
    ("set_terminated", 2),
    ("create_registered_model", 0),
    ("create_logged_model", 0),
    ("create_model_version", 0),
    ("set_registered_model_alias", 0),
]


@pytest.mark.parametrize(("method", "count"), MOMENTS)
def test_two_checkouts_that_record_the_same_at_once_agree(
    tmp_path: Path, empty_store: Path, method: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's whole sync falls between two calls of ours."""
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'shared.db')}"
    with_champion = "model" in method
    mine, other = put(tmp_path / "mine", with_champion), put(tmp_path / "the other", with_champion)
    called, summaries = [], []
    original: Callable[..., Any] = getattr(MlflowClient, method)

    def call(*arguments: Any, **options: Any) -> Any:
        called.append(method)
        if len(called) == count + 1:
            monkeypatch.setattr(MlflowClient, method, original)
            summaries.append(sync(other, uri))
        return original(*arguments, **options)

    monkeypatch.setattr(MlflowClient, method, call)
    summaries.append(sync(mine, uri))
    assert len(summaries) == 2
    assert [(summary.runs, summary.waiting) for summary in summaries] == [(6, 0)] * 2
    holds_one_of_each(uri, with_champion)
    assert [sync(root, uri) for root in (mine, other)] == [Summary(uri, {"digits": "1"}, 6, 0, 0, 0)] * 2
    holds_one_of_each(uri, with_champion)


def holds_one_of_each(uri: str, with_champion: bool) -> None:
    client = MlflowClient(uri, uri)
    runs = client.search_runs(["1"])
    assert sorted(run.info.run_name for run in runs) == sorted([*RUNS, *["fold 0", "fold 1"] * 2])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert not [run for run in runs if "redoubt.superseded" in run.data.tags]
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}
    assert parents == {run.info.run_id for run in runs if run.info.run_name in RUNS}
    assert len(client.search_registered_models()) == with_champion
    if not with_champion:
        return
    (version,) = client.search_model_versions("name = 'redoubt-digits'")
    assert client.get_model_version_by_alias("redoubt-digits", "champion").version == version.version


def test_what_another_checkout_gave_up_is_made_good(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'shared.db')}"

    def killed(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", killed)
        with pytest.raises(KeyboardInterrupt):
            sync(put(tmp_path / "killed"), uri)
    monkeypatch.setattr(mirror, "GIVEN_UP_AFTER_MS", -1)
    assert sync(put(tmp_path / "mine"), uri).new == 6
    holds_one_of_each(uri, with_champion=False)

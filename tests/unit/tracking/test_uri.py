"""A tracking URI that cannot be used is said at once, in one sentence."""

import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.server import free_port
from redoubt.tracking.explain import explain
from redoubt.tracking.uri import TrackingError, check, store_uri

SECRET = "s3cret-w0rd"


@pytest.fixture(autouse=True)
def no_settings_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def refused(uri: str) -> str:
    with pytest.raises(TrackingError) as caught:
        check(uri)
    said = str(caught.value)
    assert "\n" not in said
    assert SECRET not in said
    return said


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "file:///tmp/mlruns", f"user:{SECRET}@host", "localhost:5000"])
def test_what_is_no_store_is_said(uri: str) -> None:
    assert "give http://HOST:5000" in refused(uri)


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "postgresql+psycopg2"])
def test_a_port_where_nobody_listens_is_named(scheme: str) -> None:
    port = free_port()
    said = refused(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/x")
    assert (
        f"MLflow at {scheme}://127.0.0.1:{port}/x: nobody listens at port {port} of 127.0.0.1; is the server up" in said
    )


def test_a_name_that_is_not_known_is_named() -> None:
    assert "the name 'nowhere.invalid' is not known" in refused(f"http://user:{SECRET}@nowhere.invalid")


def test_a_password_that_ought_to_be_encoded_is_not_shown() -> None:
    assert "percent-encoded" in refused(f"http://user:{SECRET}/x@127.0.0.1")


def test_a_host_behind_a_proxy_is_left_to_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    check("http://nowhere.invalid")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr("redoubt.tracking.uri.UNLOCKS_WITHIN", 0.2)
    yield tmp_path / "my project" / "mlflow.db"
    shutil.rmtree(tmp_path)


def make(path: Path, what: str) -> None:
    path.parent.mkdir(exist_ok=True)
    if what == "folder":
        path.mkdir()
    elif what in ("text", "empty"):
        path.write_text("" if what == "empty" else "This was a database once. " * 99)
    elif what != "none":
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE birds (id)")
            database.commit()
        if what == "malformed":
            path.write_bytes(path.read_bytes()[:100] + bytes(4000))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("folder", "is a folder"),
        ("text", "is damaged, or no SQLite database (file is not a database)"),
        ("malformed", "is damaged, or no SQLite database (database disk image is malformed)"),
        ("foreign", "is another program's database, with the table birds"),
    ],
)
def test_a_file_that_is_no_store_is_named_with_the_mend(file: Path, what: str, expected: str) -> None:
    make(file, what)
    before = file.read_bytes() if file.is_file() else b""
    said = refused(f"sqlite:///{file}")
    assert said.startswith(f"{file} {expected}")
    assert "move it away: `python -m pipelines.record` fills a new one" in said
    assert (file.read_bytes() if file.is_file() else b"") == before


@pytest.mark.parametrize("what", ["none", "empty"])
def test_a_store_that_is_still_to_be_made_is_fine(file: Path, what: str) -> None:
    make(file, what)
    check(f"sqlite:///{file}")
    check("sqlite:///:memory:")


def test_a_locked_file_is_named(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE experiments (id)")
        other.commit()
        other.execute("BEGIN EXCLUSIVE")
        assert "was locked by another program" in refused(f"sqlite:///{file}")


def test_a_file_that_cannot_be_written_is_named(file: Path) -> None:
    said = explain(
        sqlite3.OperationalError("(sqlite3.OperationalError) attempt to write a readonly database"), f"sqlite:///{file}"
    )
    assert said == f"{file} cannot be written (attempt to write a readonly database); make it and its folder writable"


def test_what_a_database_refuses_is_told_in_its_words() -> None:
    said = f'server at "host" failed: FATAL:  password authentication failed for "{SECRET}"\nmore'
    uri = f"postgresql://user:{SECRET}@host/db"
    assert explain(ValueError(said), uri) == 'the database refuses: password authentication failed for "***"'


def test_a_port_that_answers_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check(f"http://user:{SECRET}@127.0.0.1:{server.getsockname()[1]}")
    assert store_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"

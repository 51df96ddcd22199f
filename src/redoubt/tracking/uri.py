"""Where runs are recorded: the tracking URI, and whether what it names can be used.

Without MLflow on purpose, which takes seconds to import: `make repro` asks before the work begins.
"""

import os
import re
import socket
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from redoubt.core.errors import RedoubtError
from redoubt.tracking.redaction import shown

PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
EXAMPLES = "http://HOST:5000 or postgresql+psycopg2://USER@HOST/DATABASE"
AWAY = "move it away: `python -m pipelines.record` fills a new one from reports/"
SERVER = "is the server up, and MLFLOW_TRACKING_URI right? Unset it to record in mlflow.db"
ANSWERS_WITHIN = 5.0
UNLOCKS_WITHIN = 10.0


class TrackingError(RedoubtError):
    """MLflow could not be brought into line with the records; the message names what is wrong and the fix."""


def home(root: Path) -> Path:
    """The project that owns the store: for an experiment that DVC runs in a copy, the project it was copied from."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve()


def store_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, else a SQLite file in the project's top folder; not for printing, see `redaction.shown`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home(root) / 'mlflow.db'}"


def check(uri: str) -> None:
    """Find out in a few seconds what would keep a store from being used; writes nothing.

    Raises:
        TrackingError: the URI is none that runs can be recorded at, nobody listens there, or the file is no database
            of MLflow's that can be written.
    """
    kind = check_kind(uri)
    if kind == "sqlite":
        _check_file(uri)
    elif kind in PORTS:
        _check_host(uri, kind)


def check_kind(uri: str) -> str:
    """The kind of store that a URI names, such as `sqlite`, without asking it.

    Raises:
        TrackingError: MLflow records no runs at a URI of this kind, whatever is done with it.
    """
    scheme = re.match(r"([a-zA-Z][\w.-]*)(\+[\w.-]+)?:(?!\d)", uri)
    # `user:secret@host` has no scheme, though it looks as if.
    kind = scheme[1].lower() if scheme and ("://" in uri or "@" not in uri) else ""
    if kind in ("", "file"):
        raise TrackingError(
            f"MLFLOW_TRACKING_URI is '{shown(uri)}', where MLflow records no runs: give {EXAMPLES}, "
            "or unset it to record in mlflow.db"
        )
    return kind


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite URI, or None if there is none, such as for a database in memory."""
    name = uri.partition(":///")[2].partition("?")[0]
    return None if not uri.startswith("sqlite") or name in ("", ":memory:") or name.startswith("file:") else Path(name)


def sqlite_trouble(path: Path, reason: str) -> str:
    """One sentence on a SQLite file that cannot be used.

    Args:
        path: the file.
        reason: what SQLite said.
    """
    if "locked" in reason:
        return f"{path} was locked by another program for {UNLOCKS_WITHIN:.0f} s; end that program, then try again"
    if "readonly" in reason or "unable to open" in reason:
        return f"{path} cannot be written ({reason}); make it and its folder writable"
    if "full" in reason:
        return f"{path} cannot be written ({reason}); free some space there, then run it again"
    damaged = "not a database" in reason or "malformed" in reason
    what = "is damaged, or no SQLite database" if damaged else "cannot be used"
    return f"{path} {what} ({reason}); {AWAY}"


def _check_host(uri: str, kind: str) -> None:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or PORTS[kind]
    except ValueError:
        raise TrackingError(
            f"MLFLOW_TRACKING_URI cannot be read: host and port are unclear; expected {EXAMPLES}, "
            "with special characters of a password percent-encoded"
        ) from None
    if not host or _by_proxy(kind, host):
        return
    try:
        socket.create_connection((host, port), ANSWERS_WITHIN).close()
    except (OSError, UnicodeError) as error:
        raise TrackingError(f"MLflow at {shown(uri)}: {_unreachable(error, host, port)}; {SERVER}") from None


def _unreachable(error: Exception, host: str, port: int) -> str:
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return f"the name '{host}' is not known to this machine"
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens at port {port} of {host}"
    if isinstance(error, TimeoutError):
        return f"port {port} of {host} did not answer within {ANSWERS_WITHIN:.0f} s"
    return f"port {port} of {host} cannot be reached ({error})"


def _by_proxy(kind: str, host: str) -> bool:
    return kind in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)


def _check_file(uri: str) -> None:
    path = sqlite_file(uri)
    if path is None or not path.exists():
        return
    if not path.is_file():
        raise TrackingError(f"{path} is a folder, where MLflow keeps its database file; {AWAY}")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", UNLOCKS_WITHIN, uri=True)) as database:
            database.isolation_level = None
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            # Asks for the right to write, and gives it back.
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise TrackingError(sqlite_trouble(path, str(error))) from None
    if tables and not tables & {"experiments", "alembic_version"}:
        raise TrackingError(f"{path} is another program's database, with the table {min(tables)}; {AWAY}")

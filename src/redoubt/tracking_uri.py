"""Where runs are recorded: the tracking URI, how it may be shown, and whether what it names can be used.

Without MLflow on purpose, which takes seconds to import: `make repro` asks before the work begins.
"""

import base64
import os
import re
import socket
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, unquote_plus, urlsplit

from redoubt.errors import RedoubtError

HIDDEN = "***"
SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
# What a query of a database's URI holds besides secrets; everything else in a query is taken for one.
HARMLESS = {"charset", "connect_timeout", "driver", "host", "mode", "options", "port", "sslmode", "uri", "user"}
SHORTEST_ANYWHERE = 4
USER_INFO = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
QUERY = re.compile(r"(\b[a-z][a-z\d+.-]*://[^\s?'\"<>]*)\?[^\s'\"<>]*", re.IGNORECASE)

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
    """MLFLOW_TRACKING_URI, else a SQLite file in the project's top folder; not for printing, see `shown`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home(root) / 'mlflow.db'}"


def shown(uri: str) -> str:
    """A tracking URI as it may be printed: without user, password and query."""
    scheme, rest = _split(uri)
    place = rest[len(_user_info(uri)) :].removeprefix("@")
    return scheme + re.split(r"[?#]", place)[0]


def redact(text: str, uri: str = "") -> str:
    """A text of someone else's, such as an exception of MLflow's, without the secrets of this machine's settings.

    Args:
        text: what is to be printed or stored.
        uri: a tracking URI whose secrets are hidden beside those of the environment.
    """
    given = [uri, os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("MLFLOW_REGISTRY_URI", "")]
    found = {secret for one in given for secret in _secrets(one)}
    found |= {os.environ[name] for name in SECRET_VARIABLES if os.environ.get(name)}
    for secret in sorted(found, key=len, reverse=True):
        text = _spellings(secret).sub(HIDDEN, text)
    return QUERY.sub(r"\1", USER_INFO.sub("", text))


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


def _split(uri: str) -> tuple[str, str]:
    scheme, separator, rest = uri.partition("://")
    return (scheme + separator, rest) if separator else ("", uri)


def _user_info(uri: str) -> str:
    """User and password of a URI, even if the password holds characters that ought to be percent-encoded."""
    _, rest = _split(uri)
    # No user in sqlite:////home/me@work or in host/database?name=a@b; but a password may hold an '@' or a '/' as it is.
    return rest.rpartition("@")[0] if re.search("[:@]", re.split(r"[/?#]", rest)[0]) else ""


def _secrets(uri: str) -> Iterator[str]:
    rest, user_info = _split(uri)[1], _user_info(uri)
    name, colon, password = user_info.partition(":")
    if not colon and uri.startswith("http"):
        # A token in the user's place.
        password = name
    values = [password, *re.split(r"[/?#@:]", password)]
    query_and_fragment = re.split(r"[?#]", rest[len(user_info) :], maxsplit=1)[1:]
    for pair in re.split(r"[&;#]", "".join(query_and_fragment)):
        key, _, value = pair.partition("=")
        if key.lower() not in HARMLESS:
            # Without a '=', all of it may be the token.
            values.append(value or key)
    for value in values:
        yield from (one for one in (value, unquote(value), unquote_plus(value)) if one)
    if password:
        yield base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()


def _spellings(secret: str) -> re.Pattern[str]:
    """Matches a secret however it is percent-encoded or escaped; a very short one only as a word of its own.

    Whatever the case: a password taken for a host's name is lowered.
    """
    pattern = "".join(_spelling(character) for character in secret)
    return re.compile(pattern if len(secret) >= SHORTEST_ANYWHERE else rf"(?<!\w){pattern}(?!\w)", re.IGNORECASE)


def _spelling(character: str) -> str:
    encoded = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    forms = [re.escape(character), encoded, re.escape(character.encode("unicode_escape").decode())]
    forms += [r"\\" + re.escape(character)] if character in "'\"\\" else []
    forms += [r"\+"] if character == " " else []
    return f"(?:{'|'.join(forms)})"


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

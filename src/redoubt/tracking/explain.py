"""What MLflow, a database's driver or a server's answer said went wrong, as one sentence with the fix."""

import importlib.metadata
import importlib.util
import os
import re
from pathlib import Path

from redoubt.tracking.redaction import redact
from redoubt.tracking.uri import sqlite_file, sqlite_trouble

NOT_MLFLOW = (
    "what answers there is no MLflow server's API; give the server's own address, with its path if it is under one"
)
LONGEST = 300
TROUBLES = (
    (r"(?i)wrong.version.number|record layer failure", "the server speaks no TLS; write http:// instead of https://"),
    (
        r"(?i)certificate.verify.failed",
        "the server's certificate is not trusted here; name its authority's file in MLFLOW_TRACKING_SERVER_CERT_PATH",
    ),
    (
        r"error code 40[13]\b|UNAUTHENTICATED|PERMISSION_DENIED|CUSTOMER_UNAUTHORIZED",
        "the server refuses who asks; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
        "or MLFLOW_TRACKING_TOKEN, to those of somebody who may write",
    ),
    (r"error code 40[45]\b|not in a valid JSON|Response: \{|ParseError", NOT_MLFLOW),
    (r"error code (5\d\d)\b|too many (5\d\d) error responses", "the server itself fails ({}); its log says why"),
    (r"FATAL:\s+([^\n]+)", "the database refuses: {}"),
    (r"(?i)timeout|timed out", "no answer within {seconds} s; is the server up?"),
    (r"(?i)connection refused", "nobody listens there; is the server up, and MLFLOW_TRACKING_URI right?"),
    (
        r"(?i)connection aborted|connection reset|remotedisconnected",
        "the connection was broken off; is the server up, and http or https right?",
    ),
    (
        r"No module named '(psycopg)'",
        "the Python package {} is not installed; write postgresql+psycopg2://, whose package is",
    ),
    (
        r"No module named '(\w+)",
        "the Python package {} is not installed, without which this database cannot be reached",
    ),
    (
        r"(?i)unsupported URI|Could not find a registered artifact repository|Can't load plugin",
        "MLflow knows no such scheme; expected http, https, sqlite, postgresql, mysql or mssql",
    ),
)


def explain(error: BaseException, uri: str) -> str:
    """Say in one sentence what an error of a tracking store means, without the secrets of the URI.

    Args:
        error: as it was raised; what it came from is read too.
        uri: of the store.
    """
    said = _said(error)
    file = sqlite_file(uri)
    if schema := re.search(r"schema \(found version (\w+)|locate revision identified by '(\w+)'", said):
        return _of_schema(schema[1] or schema[2], file)
    if file and (sqlite := re.search(r"\(sqlite3\.\w+\) ([^\n]+)", said)):
        return sqlite_trouble(file, sqlite[1])
    for pattern, sentence in TROUBLES:
        if found := re.search(pattern, said):
            seconds = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT" if uri.startswith("http") else "PGCONNECT_TIMEOUT")
            return sentence.format(*(redact(group, uri) for group in found.groups() if group), seconds=seconds)
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return redact(first, uri)[:LONGEST]


def _said(error: BaseException) -> str:
    """The texts of an error and of those that it was raised from."""
    texts: list[str] = []
    known: list[BaseException] = []
    link: BaseException | None = error
    while link and link not in known:
        known.append(link)
        texts.append(f"{type(link).__name__}: {link}")
        link = link.__cause__ or link.__context__
    return "\n".join(texts)


def _of_schema(found: str, file: Path | None) -> str:
    package = importlib.util.find_spec("mlflow")
    folder = Path(package.origin or "").parent if package else Path()
    here = importlib.metadata.version("mlflow")
    if list(folder.glob(f"store/db_migrations/versions/{found}_*.py")):
        return f"its tables are of an MLflow older than {here}; back it up, then run `mlflow db upgrade` on it"
    away = f", or move {file} away and let `python -m pipelines.record` fill a new one from reports/" if file else ""
    return f"its tables (schema {found}) are of an MLflow newer than {here}; use that one{away}"

"""What an alias of MLflow's model registry names, and that version's files.

Without MLflow, which the service does not install: a tracking server is asked by its REST API, a SQLite file is read.
"""

import base64
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import Request, urlopen

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.io import LARGEST_BINARY, LARGEST_JSON

URI, TOKEN, USER, PASSWORD = (f"MLFLOW_TRACKING_{name}" for name in ("URI", "TOKEN", "USERNAME", "PASSWORD"))
# Seconds that a server may let one read wait.
PATIENCE = 5.0
DEEPEST = 4
CHUNK = 2**20
NAMED = """
select version.version, coalesce(version.storage_location, version.source) from registered_model_aliases alias
join model_versions version on version.name = alias.name and version.version = alias.version
where alias.name = ? and alias.alias = ?
"""


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        number: of it.
        artifacts: where its files lie, as a URI.
    """

    number: str
    artifacts: str


class Registry(Protocol):
    """Where models are registered."""

    def named(self, name: str, alias: str) -> Version:
        """The version that an alias names.

        Raises:
            BundleError: there is none, or nobody answers.
        """
        ...

    def files(self, version: Version) -> list[str]:
        """The paths of a version's files; raises likewise."""
        ...

    def copy(self, version: Version, path: str, target: Path) -> None:
        """Write one of them to a file of this machine; raises likewise, and OSError if it cannot be written."""
        ...


def registry(uri: str) -> Registry:
    """The registry of a tracking URI.

    Raises:
        BundleError: none of a kind that can be read.
    """
    kind = uri.partition(":")[0]
    if kind in ("http", "https"):
        return Server(uri)
    if kind == "sqlite":
        return Database(Path(uri.removeprefix("sqlite:///")))
    raise BundleError(f"{URI} is {kind or 'not set'}; expected http://HOST:PORT, https://HOST or sqlite:///FILE")


class Database:
    """A SQLite file of MLflow's, with the artifacts in folders of this machine."""

    def __init__(self, file: Path) -> None:
        """Read a file, never write to it."""
        self._file = file

    def named(self, name: str, alias: str) -> Version:
        """See `Registry`."""
        try:
            with closing(sqlite3.connect(f"file:{quote(str(self._file))}?mode=ro", uri=True, timeout=PATIENCE)) as link:
                found = link.execute(NAMED, (name, alias)).fetchone()
        except sqlite3.Error as error:
            raise BundleError(f"the file of {URI} cannot be read: {error}") from None
        if found is None:
            raise BundleError(f"the registry has no model {name!r} with the alias {alias!r}")
        return Version(str(found[0]), str(found[1]))

    def files(self, version: Version) -> list[str]:
        """See `Registry`."""
        return _files(version)

    def copy(self, version: Version, path: str, target: Path) -> None:
        """See `Registry`."""
        _copy(version, path, target)


class Server:
    """A tracking server, which hands the artifacts out too unless they lie in folders of this machine."""

    def __init__(self, uri: str) -> None:
        """Ask a server, by the name and password or the token that MLflow's own clients take."""
        said = urlsplit(uri)
        user, password = said.username or os.environ.get(USER, ""), said.password or os.environ.get(PASSWORD, "")
        self._headers = dict[str, str]()
        if user:
            both = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
            self._headers["Authorization"] = f"Basic {both}"
        elif token := os.environ.get(TOKEN):
            self._headers["Authorization"] = f"Bearer {token}"
        self._api = f"{said.scheme}://{said.netloc.rpartition('@')[2]}{said.path.rstrip('/')}/api/2.0"

    def named(self, name: str, alias: str) -> Version:
        """See `Registry`."""
        found = self._json("/mlflow/registered-models/alias", name=name, alias=alias)["model_version"]["version"]
        said = self._json("/mlflow/model-versions/get-download-uri", name=name, version=found)
        return Version(str(found), said["artifact_uri"])

    def files(self, version: Version) -> list[str]:
        """See `Registry`."""
        if not _is_proxied(version):
            return _files(version)
        return sorted(self._walk(_root(version), "", DEEPEST))

    def copy(self, version: Version, path: str, target: Path) -> None:
        """See `Registry`."""
        if not _is_proxied(version):
            _copy(version, path, target)
            return
        with self._open(f"/mlflow-artifacts/artifacts/{quote(f'{_root(version)}/{path}')}") as source:
            _write(source, target)

    def _walk(self, root: str, below: str, deep: int) -> Iterator[str]:
        found = self._json("/mlflow-artifacts/artifacts", path=f"{root}/{below}".rstrip("/"))
        for each in found.get("files", []):
            path = f"{below}/{each['path']}".lstrip("/")
            if not each.get("is_dir"):
                yield path
            elif deep:
                yield from self._walk(root, path, deep - 1)

    def _json(self, endpoint: str, **query: str) -> Any:
        with self._open(f"{endpoint}?{urlencode(query)}") as answer:
            try:
                return json.loads(answer.read(LARGEST_JSON))
            except (OSError, ValueError) as error:
                raise BundleError(f"the server of {URI} answers no JSON: {error}") from None

    def _open(self, path: str) -> Any:
        try:
            return urlopen(Request(self._api + path, headers=self._headers), timeout=PATIENCE)  # noqa: S310
        except HTTPError as error:
            with error:
                raise BundleError(f"the server of {URI} answers {error.code}: {_sentence(error)}") from None
        except (OSError, HTTPException) as error:
            raise BundleError(f"the server of {URI} does not answer: {getattr(error, 'reason', error)}") from None


def _sentence(error: HTTPError) -> str:
    try:
        return " ".join(str(json.loads(error.read(LARGEST_JSON))["message"]).split())[:200]
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)


def _is_proxied(version: Version) -> bool:
    return version.artifacts.startswith("mlflow-artifacts:")


def _root(version: Version) -> str:
    return urlsplit(version.artifacts).path.strip("/")


def _folder(version: Version) -> Path:
    """Where a version's files lie on this machine.

    Raises:
        BundleError: they do not.
    """
    said = urlsplit(version.artifacts)
    if said.scheme not in ("", "file"):
        raise BundleError(
            f"version {version.number} lies at {said.scheme}:, which only its server can read; set {URI} to a tracking"
            " server that hands artifacts out"
        )
    folder = Path(unquote(said.path))
    if not folder.is_dir():
        raise BundleError(f"version {version.number} has no folder of artifacts on this machine")
    return folder


def _files(version: Version) -> list[str]:
    folder = _folder(version)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _copy(version: Version, path: str, target: Path) -> None:
    with (_folder(version) / path).open("rb") as source:
        _write(source, target)


def _write(source: BinaryIO, target: Path) -> None:
    """Copy what comes, but no more than is read of any bundle's file.

    Raises:
        BundleError: it is more, or ends too early.
    """
    left = LARGEST_BINARY
    try:
        with target.open("wb") as stream:
            while piece := source.read(CHUNK):
                left -= len(piece)
                if left < 0:
                    raise BundleError(f"{target.name} holds more than {LARGEST_BINARY:,} bytes")
                stream.write(piece)
    except HTTPException as error:
        raise BundleError(f"{target.name} did not come whole: {error}") from None

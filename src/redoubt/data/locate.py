"""Find a public data file on this machine, else in a mirror directory, else at its public address."""

import os
from dataclasses import dataclass
from pathlib import Path

import httpx

from redoubt.core.errors import RedoubtError, SurroundingsError
from redoubt.core.store import whole_file
from redoubt.http import client
from redoubt.progress import progress_bar

EXTERNAL = Path("data/external")
MIRROR = "REDOUBT_DATA_MIRROR"
# Endings of tables of text.
TEXT = (".csv", ".tsv", ".txt", ".tab", ".data", ".dat", ".csv.gz", ".tsv.gz", ".data.gz")
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_BLOCK = 1 << 20


class SourceError(RedoubtError):
    """Data that cannot be had or used; the message says what came, what was expected and what to do."""


@dataclass(frozen=True)
class PublicFile:
    """A file under `data/external/` or the mirror by `name`, and where the world keeps it."""

    name: str
    url: str


def at_hand(file: PublicFile) -> Path | None:
    """The path of a public file in `data/external/` or the mirror; None where it would have to be downloaded."""
    mirror = os.environ.get(MIRROR)
    places = [EXTERNAL, *([Path(mirror)] if mirror else [])]
    return next((folder / file.name for folder in places if (folder / file.name).is_file()), None)


def locate(file: PublicFile) -> Path:
    """The path of a public file, downloaded into `data/external/` if it is nowhere on this machine.

    Raises:
        SourceError: nowhere to be had; the message lists every place looked at.
    """
    found = at_hand(file)
    if found is not None:
        return found
    local, mirror = EXTERNAL / file.name, os.environ.get(MIRROR)
    looked = [f"{local}: no such file"]
    looked.append(f"{Path(mirror, file.name)} ({MIRROR}): no such file" if mirror else f"{MIRROR}: not set")
    try:
        download(file.url, local)
    except (httpx.HTTPError, OSError, SurroundingsError) as error:
        looked.append(f"{file.url}: {error or type(error).__name__}")
        places = "\n  ".join(looked)
        raise SourceError(
            f"{file.name} was not found; looked at\n  {places}\n"
            f"put the file at {local}, or set {MIRROR} to a directory that holds it"
        ) from None
    return local


def download(url: str, path: Path) -> None:
    """Download to a temporary file that takes its name only when whole, with a progress bar.

    Raises:
        httpx.HTTPError: no connection, a timeout, or an answer other than success.
        SurroundingsError: a proxy or a certificate of the environment that cannot be used.
    """
    with (
        whole_file(path) as temporary,
        temporary.open("wb") as stream,
        client(url, follow_redirects=True, timeout=_TIMEOUT) as http,
        # Stored bytes as they are: a checksum is of the file, not of what a server or client made of it on the way.
        http.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
    ):
        answer.raise_for_status()
        size = int(answer.headers.get("content-length", 0)) or None
        with progress_bar(total=size, desc=path.name, unit="B", unit_scale=True, unit_divisor=1024) as bar:
            for block in answer.iter_raw(_BLOCK):
                stream.write(block)
                bar.update(len(block))


def ending(path: Path) -> str:
    """How a file's name ends, in small letters; .csv.gz is one ending."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes if suffixes[-1:] == [".gz"] else suffixes[-1:])

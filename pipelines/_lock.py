"""Mends what DVC rewrites in place and an interruption leaves cut off: dvc.lock, by a copy of it, and rwlock."""

import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from redoubt.core.errors import RedoubtError
from redoubt.core.store import whole_file
from redoubt.data.leftovers import clear_beside

LOCK, KEPT, DAMAGED = Path("dvc.lock"), Path(".redoubt/dvc.lock"), Path(".redoubt/dvc.lock.damaged")
# Which DVC process reads and writes what at this moment: nothing in it outlives the process.
RUNNING = Path(".dvc/tmp/rwlock")
# Longer than DVC takes to write it: until then somebody may be writing.
WRITING_SECONDS = 1.0
COMMITTED = f"`git checkout {LOCK}` takes the committed one"


class LockError(RedoubtError):
    """A dvc.lock that nothing can be done with; the message says what to do."""


class _File(BaseModel, strict=True):
    path: str
    hash: str = ""
    md5: str | None = Field(None, min_length=3)
    size: int = 0
    nfiles: int = 0


class _Stage(BaseModel):
    cmd: str | list[str]
    deps: list[_File] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[_File] = []


class _Lock(BaseModel):
    schema_: str
    stages: dict[str, _Stage]


def keep_lock() -> None:
    """Copy the project's dvc.lock, or put the copy in its place if an interruption left it cut off, and say so.

    What a killed process left half-written of either is cleared away.

    A lock that DVC wrote whole is never replaced: after `git checkout` or `git pull` it rightly differs from the copy.

    Raises:
        LockError: it is damaged and there is no copy, or it holds the marks of an unsettled merge.
        StoreError: the copy cannot be written.
    """
    for path in (LOCK, KEPT):
        clear_beside(path)
    if not LOCK.is_file():
        return
    now, kept = LOCK.read_bytes(), KEPT.read_bytes() if KEPT.is_file() else b""
    if kept and now == kept:
        return
    if re.search(rb"^<<<<<<< ", now, re.MULTILINE):
        raise LockError(f"{LOCK} holds the marks of an unsettled merge: settle it; {COMMITTED}, then dvc repro")
    if _valid(now):
        if not _cut(now, kept):
            _write(KEPT, now)
            return
        if not kept:
            return  # DVC reads it, and there is nothing to put in its place.
    time.sleep(WRITING_SECONDS)
    if LOCK.read_bytes() == now:
        _put_back(now, kept)


def put_entry(lock: bytes, entry: bytes, order: Sequence[str]) -> bytes:
    """Put a stage's entry into the text of a lock: in place of its former one, else where dvc.yaml's order puts it.

    Whatever the order in which new stages end, the same text comes of it.

    Args:
        lock: as DVC writes it; empty if there is none yet.
        entry: from the stage's name on, indented as in the lock.
        order: the names of all stages as dvc.yaml has them.
    """
    head, *entries = _entries(lock.replace(b"stages: {}", b"stages:") or b"schema: '2.0'\nstages:\n")
    names, name = [_name_of(each) for each in entries], _name_of(entry)
    if name in names:
        entries[names.index(name)] = entry
    else:
        before = [names.index(other) for other in order[: order.index(name)] if other in names]
        entries.insert(before[-1] + 1 if before else 0, entry)
    return head + b"".join(entries)


def drop_torn_rwlock() -> None:
    """Remove DVC's note of its running processes if it was cut off: DVC would start nothing, and makes a new one."""
    if not RUNNING.is_file() or _is_json(now := RUNNING.read_bytes()):
        return
    time.sleep(WRITING_SECONDS)
    if RUNNING.is_file() and RUNNING.read_bytes() == now:
        RUNNING.unlink()
        print(f"{RUNNING} was cut off by an interruption and is removed: DVC makes a new one", file=sys.stderr)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _put_back(now: bytes, kept: bytes) -> None:
    if not (_valid(kept) and kept.endswith(b"\n")):
        raise LockError(
            f"{LOCK} is damaged, as an interrupted DVC leaves it, and there is no copy in {KEPT}: {COMMITTED}; if "
            "none is committed, delete it, and DVC makes a new one"
        )
    _write(DAMAGED, now)
    _write(LOCK, kept)
    print(
        f"{LOCK} was cut off by an interruption ({len(now)} bytes of about {len(kept)}): it is put back as it was when "
        f"the last stage began, and DVC takes what was finished since from its run cache. What was found is kept in "
        f"{DAMAGED}; {COMMITTED}",
        file=sys.stderr,
    )


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def _valid(text: bytes) -> bool:
    """Whether DVC would accept it."""
    try:
        found: Any = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        _Lock.model_validate({**found, "schema_": found["schema"]})
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError, TypeError, KeyError):
        return False
    return True


def _cut(now: bytes, kept: bytes) -> bool:
    """Whether it ends within a line or within the entry of a stage: such a beginning of a file may well be valid."""
    last = _entries(now)[-1]
    return not now.endswith(b"\n") or any(whole.startswith(last) and whole != last for whole in _entries(kept))


def _entries(text: bytes) -> list[bytes]:
    """A lock's text from one stage to the next."""
    return re.split(rb"^(?=  \S)", text, flags=re.MULTILINE)


def _name_of(entry: bytes) -> str:
    return str(yaml.load(entry.partition(b":\n")[0], yaml.BaseLoader))  # noqa: S506

"""What costs seconds and is the same for every test: made by the first of a run's processes that asks for it."""

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share, and no other run does."""
    base = factory.getbasetemp()
    # Each process of pytest-xdist has a folder of its own in the run's.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def once(folder: Path, key: str, make: Callable[[], T]) -> T:
    """What `make` returns, as the first process had it; the others wait and read it.

    Args:
        folder: see `shared_folder`.
        key: names it, and a file.
        make: its result can be pickled.
    """
    kept = folder / f"{key}.pickle"
    with (folder / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(pickle.dumps(make()))
    made: T = pickle.loads(kept.read_bytes())
    return made

"""What an evaluation has found of a model, on disk: what has not changed since is not done again, by the same bytes."""

import os
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.base.io import digest
from redoubt.core.store import dumps, write_arrays
from redoubt.data.shared.dataset import digest_arrays
from redoubt.data.state import resume

Arrays = Mapping[str, NDArray[Any]]
# In each file, the digest of the key that its name gives too.
MARK = "ledger_key"
# Whose next version may compute otherwise.
LIBRARIES = ("numpy", "scipy", "tensorflow", "keras", "onnxruntime")
# Of one task's results; what goes beyond is computed anew.
LARGEST = 2**30


class EvaluationCache:
    """Remembers the result of each batch under the digest of all that it depends on."""

    def __init__(self, folder: Path | None, code: str = "") -> None:
        """Open a cache.

        Args:
            folder: one file per batch; None remembers nothing.
            code: digest of the code that makes the results; what other code left is not gone on with.
        """
        self._folder, self._code, self._opened = folder, code, time.time()

    def remember(self, key: Mapping[str, Any], given: Arrays, compute: Callable[[], Arrays]) -> Arrays:
        """The stored result for this key and these arrays, or else that of `compute`, stored whole or not at all.

        Args:
            key: plain values that the result depends on; code and libraries are taken into account too.
            given: arrays that it depends on.
            compute: called only if nothing is stored.
        """
        if self._folder is None:
            return compute()
        whole = {**key, "given": digest_arrays(given), "code": self._code, "libraries": _libraries()}
        mark = digest(dumps(whole).encode())
        path = self._folder / f"{mark}.npz"
        result = resume(path, partial(_of_key, mark))
        if result is None:
            result = {name: np.asarray(array) for name, array in compute().items()}
            write_arrays(path, {**result, MARK: np.array(mark)})
        now = time.time()
        os.utime(path, (now, now))
        return result

    def close(self) -> None:
        """Forget everything: what it led to is written, and will not be asked for again."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def keep_used(self, largest: int = LARGEST) -> None:
        """Forget what was not asked for since the ledger was opened, and the largest results beyond a size in bytes."""
        used, total = [], 0
        for path in self._files():
            facts = path.stat()
            if facts.st_mtime < self._opened:
                path.unlink(missing_ok=True)
            else:
                used.append((facts.st_size, path))
        for size, path in sorted(used):
            total += size
            if total > largest:
                path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.npz")) if self._folder else []


@cache
def _libraries() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _of_key(mark: str, stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    found = str(stored.pop(MARK))
    if found != mark:
        raise ValueError(f"it holds the result of another key, {found[:12]}")
    return stored

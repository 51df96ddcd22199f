"""What an evaluation has done so far, on disk: a killed one goes on where it was and ends with the same record."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.io import digest
from redoubt.data.dataset import digest_arrays
from redoubt.data.state import code_digest, resume
from redoubt.data.store import dumps, write_arrays

Arrays = Mapping[str, NDArray[Any]]
# In each file, the digest of the key that its name gives too.
MARK = "ledger_key"


class EvaluationCache:
    """Remembers the result of each batch under the digest of all that it depends on."""

    def __init__(self, folder: Path | None) -> None:
        """Open a cache.

        Args:
            folder: one file per batch; None remembers nothing.
        """
        self._folder = folder

    def remember(self, key: Mapping[str, Any], given: Arrays, compute: Callable[[], Arrays]) -> Arrays:
        """The stored result for this key and these arrays, or else that of `compute`, stored whole or not at all.

        Args:
            key: plain values that the result depends on; the package's own code is taken into account too.
            given: arrays that it depends on.
            compute: called only if nothing is stored.
        """
        if self._folder is None:
            return compute()
        whole = {**key, "given": digest_arrays(given), "code": code_digest()}
        mark = digest(dumps(whole).encode())
        path = self._folder / f"{mark}.npz"
        stored = resume(path, partial(_of_key, mark))
        if stored is not None:
            return stored
        result = compute()
        write_arrays(path, {**{name: np.asarray(array) for name, array in result.items()}, MARK: np.array(mark)})
        return result

    def close(self) -> None:
        """Forget everything: what it led to is written."""
        for path in self._folder.glob("*.npz") if self._folder else ():
            path.unlink(missing_ok=True)


def _of_key(mark: str, stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    found = str(stored.pop(MARK))
    if found != mark:
        raise ValueError(f"it holds the result of another key, {found[:12]}")
    return stored

"""State of unfinished work on disk: what is damaged is said, discarded and made again."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from redoubt.core.store import read_arrays

T = TypeVar("T")


def resume(path: Path, read: Callable[[dict[str, NDArray[Any]]], T]) -> T | None:
    """What a state holds, or None where there is none that can be used.

    Args:
        path: an NPZ file; if it is damaged, stderr says so and it is removed.
        read: makes something of its arrays, and raises an error if they are not those expected.

    Raises:
        OSError: the file cannot be opened or read, which says nothing of what it holds.
    """
    if not path.is_file():
        return None
    content = path.read_bytes()
    try:
        return read(read_arrays(io.BytesIO(content)))
    # A file cut off, empty or overwritten makes zipfile, zlib and NumPy raise nearly anything.
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"{path} is damaged ({why}): discarded, and what it held is computed again", file=sys.stderr)
        path.unlink(missing_ok=True)
        return None

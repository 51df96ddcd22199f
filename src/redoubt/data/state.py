"""State of unfinished work on disk: what is damaged is said, discarded and made again."""

import io
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

import redoubt
from redoubt.bundle.io import digest_folder
from redoubt.data.store import read_arrays

T = TypeVar("T")


@cache
def code_digest() -> str:
    """SHA-256 of this package's modules, for the key of a state: what other code left is not gone on with."""
    package = Path(redoubt.__file__).parent
    return digest_folder(package, [str(path.relative_to(package)) for path in package.rglob("*.py")])


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

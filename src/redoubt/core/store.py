"""The only disk I/O of the package: JSON, arrays and folders that are whole or absent, and the same byte for byte."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from redoubt.core.errors import FIXES, RedoubtError

# Ends every temporary name: no `*.json`, `*.npz` or `*.csv` finds one, and DVC and git are told to ignore `.*.part`.
PART = ".part"
# Ends the name of an old folder, set aside while the new one takes its place.
OLD = f"-old{PART}"
STREAMS = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))


class StoreError(RedoubtError):
    """A file or folder that cannot be written; the message says which, why, and what to do."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place, with the umask's permissions, if the block succeeds.

    The name ends in `.part`, whatever that of `path` ends in: say the format to what derives it from a name.

    Raises:
        StoreError: the disk is full, or the folder cannot be made or written to.
    """
    if _is_stream(path):
        with _explained(path), tempfile.TemporaryDirectory() as folder:
            made = Path(folder, path.name)
            yield made
            with path.open("wb") as stream:
                stream.write(made.read_bytes())
        return
    with _temporary(path, lambda new: os.close(os.open(new, os.O_CREAT | os.O_EXCL, 0o666))) as new:
        yield new
        _sync(new)
        os.replace(new, path)
        _sync(path.parent)


def _is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or an open file, such as /dev/stdout, whose place nothing may take."""
    return path.absolute().parent in STREAMS or (path.exists() and not path.is_file() and not path.is_dir())


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its place if the block succeeds.

    Raises:
        StoreError: the disk is full, or the folder cannot be made or written to.
    """
    with _temporary(path, os.mkdir) as new:
        yield new
        for folder, _, names in os.walk(new, topdown=False):
            for name in names:
                _sync(Path(folder, name))
            _sync(Path(folder))
        _swap(new, path)
        _sync(path.parent)


def hold(path: Path) -> int | None:
    """Lock a temporary file or folder, so that nobody takes it for a leftover.

    Returns:
        The descriptor that holds the lock until it is closed, at the latest by the end of the process; None if another
        process has the lock, or if `path` is gone.

    Raises:
        OSError: the file system knows no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had the lock a moment ago may have removed what it was on.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def remove(path: Path) -> None:
    """Remove a file or a folder with all that it holds, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


@contextmanager
def _temporary(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        new, lock = _make(path, make)
    try:
        with _explained(path, new):
            yield new
    finally:
        remove(new)
        if lock is not None:
            os.close(lock)


def _make(path: Path, make: Callable[[Path], None]) -> tuple[Path, int | None]:
    while True:
        new = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
        make(new)
        try:
            if (lock := hold(new)) is not None:
                return new, lock
        except OSError:
            # Where nothing can be locked, nothing is ever taken for a leftover either.
            return new, None


def _swap(new: Path, path: Path) -> None:
    """Killed between the two renames, it leaves the old folder aside, and `leftovers` puts it back."""
    old = new.with_name(new.name.removesuffix(PART) + OLD)
    try:
        if path.exists():
            os.replace(path, old)
        os.replace(new, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    remove(old)


def _sync(path: Path) -> None:
    """Have the disk hold what was written, so that a power cut cannot leave a name without its content."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return  # A folder may be written to and not be read.
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot do it for a folder.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path, inside: Path | None = None) -> Iterator[None]:
    """Say in one sentence why `path` cannot be written; errors about other files pass through.

    Args:
        path: to be written.
        inside: what the block writes to; None while that is being made.
    """
    try:
        yield
    except StoreError as error:
        # Of a file within a temporary folder: nobody knows that by its name.
        raise StoreError(str(error).replace(str(inside), str(path))) from None
    except OSError as error:
        ours = error.filename is None or inside is None or Path(os.fsdecode(error.filename)).is_relative_to(inside)
        if inside is not None and not (ours and error.errno in FIXES):
            raise
        why, fix = error.strerror or str(error), FIXES.get(error.errno or 0, "name a folder that can be made")
        raise StoreError(f"{path} could not be written: {why}; {fix}") from error


def plain(value: Any) -> Any:
    """The same value made of JSON's own types; NumPy scalars and arrays become numbers and lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return value.item() if isinstance(value, np.generic) else value


def dumps(value: Any) -> str:
    """Sorted, indented JSON; NaN is refused, since no reader agrees on it."""
    return json.dumps(plain(value), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write sorted JSON, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(dumps(value), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an NPZ file whose bytes depend on the arrays alone: NumPy dates its entries 1980, and none is compressed.

    Builds of zlib pack the same array differently, and machines have different builds.
    """
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def read_arrays(file: Path | BinaryIO) -> dict[str, NDArray[Any]]:
    """Read an NPZ file; pickled objects are refused."""
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}

"""An NPZ file of the user's: its headers are read and held against the limits before any array is unpacked."""

import lzma
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.words import normal
from redoubt.data import limits
from redoubt.data.locate import SourceError

# What broken, forged, encrypted or oddly packed archives raise.
_UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MAGIC = {
    b"\x93NUMPY": "one array (NPY)",
    b"\x89HDF": "an HDF5 file",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
}


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read some arrays of an NPZ file.

    Args:
        path: the file.
        names: of the arrays; others in the file are not unpacked.

    Raises:
        SourceError: no such file, no NPZ file, an array that is missing, holds Python objects, is other than its
            header says, or is larger than the limits.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "was not found"
        raise SourceError(f"'{path}' {found}; expected an NPZ file with the arrays {', '.join(names)}")
    limits.check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_names(archive, path, names)
            _check_sizes(archive, path, names)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except SourceError:
        raise
    except _UNREADABLE as error:
        with path.open("rb") as stream:
            start = stream.read(8)
        other = next((f"it is {what}" for magic, what in _MAGIC.items() if start.startswith(magic)), str(error))
        raise SourceError(f"'{path}' is not an NPZ file of plain arrays: {other}; {_save(names)}") from None


def _save(names: tuple[str, ...]) -> str:
    return f"save it by np.savez('rows.npz', {', '.join(f'{name}={name}' for name in names)})"


def _check_names(archive: zipfile.ZipFile, path: Path, names: tuple[str, ...]) -> None:
    found = archive.namelist()
    if {"config.json", "model.weights.h5"} <= set(found):
        raise SourceError(f"'{path}' is a Keras model, no data; expected an NPZ file with {', '.join(names)}")
    held = [name.removesuffix(".npy") for name in found]
    missing = [name for name in names if name not in held]
    if missing:
        shown = ", ".join(held[:10]) or "nothing"
        raise SourceError(
            f"'{path}' has no array '{missing[0]}'; expected {', '.join(names)}, found {shown}; {_save(names)}"
        )


def _check_sizes(archive: zipfile.ZipFile, path: Path, names: tuple[str, ...]) -> None:
    total = 0
    for name in names:
        shape, dtype, stored = _header(archive, f"{name}.npy")
        if dtype.hasobject:
            raise SourceError(
                f"'{path}': array '{name}' holds Python objects, which could run code when opened; "
                f"expected plain numbers or words: {name} = {name}.astype(str) makes words of it, "
                f"{name} = np.stack({name}) one array of many; then {_save(names)}"
            )
        values = math.prod(shape)
        if min(shape, default=0) < 0 or values * dtype.itemsize != stored:
            raise SourceError(
                f"'{path}': the header of array '{name}' says {_short(shape)} of {dtype}, "
                f"{values * dtype.itemsize:,} bytes, but {stored:,} are stored: cut off or forged; save it again"
            )
        limits.refuse_above(values, limits.VALUES, f"'{path}': array '{name}' is too large", "take a part of its rows")
        total += stored
    limits.refuse_above(
        total, limits.ARRAY_BYTES, f"'{path}' is too large unpacked", "take a part of its rows", size=True
    )
    packed = max(1, sum(archive.getinfo(f"{name}.npy").compress_size for name in names))
    if total > limits.GROWTH_FROM and total > limits.GROWTH * packed:
        raise SourceError(
            f"'{path}' grows {total // packed}-fold to {limits.in_words(total)} when unpacked, at most "
            f"{limits.GROWTH}-fold is taken from {limits.in_words(limits.GROWTH_FROM)} on, since so does a zip bomb; "
            "save it by np.savez, without compression"
        )


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape and type that an array's header says, and how many bytes follow it."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"array '{name}' is of format {version}, expected 1.0 or 2.0")
        shape, _, dtype = _HEADERS[version](member)
        return shape, dtype, archive.getinfo(name).file_size - member.tell()


def _short(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape[:6]))}{', ...' if len(shape) > 6 else ''})"


def pixels(x: NDArray[Any], path: Path) -> tuple[NDArray[Any], int]:
    """Images as stored, and the value of a white pixel."""
    if x.dtype == np.uint8:
        return x, 255
    expected = "expected uint8, or floating point from 0 to 1"
    if not x.size:
        return x, 1
    if not np.issubdtype(x.dtype, np.floating):
        whole = np.issubdtype(x.dtype, np.integer)
        hint = f"; its largest value is {x.max()}: divide by the largest that is possible" if whole else ""
        raise SourceError(f"'{path}': x is of type {x.dtype}; {expected}{hint}")
    if not np.all((x >= 0) & (x <= 1)):
        low, high = (f"{each:g}" for each in (x.min(), x.max()))
        fix = "x = (x + 1) / 2" if x.min() >= -1 and x.max() <= 1 else f"x = (x - {low}) / ({high} - {low})"
        fix = "leave out images that hold NaN" if np.isnan(x).any() else f"{fix} undoes a scaling"
        raise SourceError(f"'{path}': x spans [{low}, {high}]; {expected}: {fix}")
    return x.astype(np.float32), 1


def class_words(y: NDArray[Any]) -> NDArray[Any]:
    """Classes as they are stored, but words that h5py or TensorFlow hold as bytes."""
    return np.char.decode(y, "utf-8", "replace") if np.issubdtype(y.dtype, np.bytes_) else y


def named_classes(y: NDArray[Any], path: Path) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Class names in normal form, in their order, and the class of each row."""
    y = class_words(y)
    if np.issubdtype(y.dtype, np.inexact):
        broken = ~np.isfinite(y)
        if broken.any():
            raise SourceError(
                f"'{path}': y holds {int(broken.sum())} values that are no class, the first in row "
                f"{int(np.argmax(broken.ravel()))}: {y[broken][0]}; leave these images out"
            )
        y = y.astype(np.int64) if np.issubdtype(y.dtype, np.floating) and np.all((y % 1 == 0) & (abs(y) < 2**53)) else y
    names, classes = np.unique(y, return_inverse=True)
    if np.issubdtype(y.dtype, np.str_):
        names, kept = np.unique([normal(str(name)) for name in names], return_inverse=True)
        classes = kept[classes]
    limits.refuse_above(
        len(names), limits.WORDS, f"'{path}': y has too many classes", "is it a number? images need a class each"
    )
    return tuple(str(name) for name in names), classes.reshape(y.shape)

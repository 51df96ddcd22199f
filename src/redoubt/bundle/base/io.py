"""Reads what a bundle holds, as far as a stranger's may be trusted: bounded files, typed JSON, and their digest."""

import hashlib
import stat
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from redoubt.bundle.base.errors import BundleError

# Largest file read, in bytes: protobuf itself reads no more than 2 GiB, and no JSON of a bundle comes near its end.
LARGEST_JSON = 32 * 2**20
LARGEST_BINARY = 2**31 - 1

M = TypeVar("M", bound=BaseModel)


def read_bytes(path: Path, largest: int) -> bytes:
    """A regular file's content.

    Raises:
        BundleError: a device, a pipe or a folder, or more than `largest` bytes.
        OSError: it is not there or may not be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise BundleError(f"{path}: it is no regular file; expected a file of at most {largest:,} bytes")
    if found.st_size > largest:
        raise BundleError(f"{path}: it holds {found.st_size:,} bytes; expected at most {largest:,}")
    return path.read_bytes()


def read_typed(path: Path, model: type[M]) -> M:
    """A JSON file as a model.

    Raises:
        BundleError: too large, no JSON of this kind, or a value out of its bounds; names the file and the field.
        OSError: it is not there or may not be read.
    """
    content = read_bytes(path, LARGEST_JSON)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise BundleError(f"{path}: {first_mistake(error)}") from None


def first_mistake(error: ValidationError) -> str:
    """The first thing that is wrong, in one sentence: the field, what was expected and, if short, what came."""
    first = error.errors(include_url=False)[0]
    where = "".join(f"{part}: " for part in first["loc"])
    came = repr(first["input"])
    short = first["type"] not in ("missing", "json_invalid") and not isinstance(first["input"], dict) and len(came) < 80
    message = " ".join(first["msg"].removeprefix("Value error, ").split())
    return f"{where[:160]}{message}" + (f"; got {came}" if short else "")


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_folder(folder: Path, names: list[str]) -> str:
    """One SHA-256 over the names and contents of some files of a folder."""
    total = hashlib.sha256()
    for name in sorted(names):
        total.update(f"{name} {digest((folder / name).read_bytes())}\n".encode())
    return total.hexdigest()

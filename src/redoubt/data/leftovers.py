"""What a killed process leaves half-written: found by its name and cleared away, unless its owner is alive."""

import contextlib
import os
import re
from collections.abc import Iterable
from glob import escape
from pathlib import Path

from redoubt.core.store import OLD, PART, hold, remove

# As `store` names what it has not finished.
_NAME = re.compile(rf"\.(?P<name>.+)\.[0-9a-f]{{8}}(?P<old>-old)?{re.escape(PART)}", re.DOTALL)


def clear(folder: Path) -> None:
    """Remove what killed processes left anywhere in a folder, and put back the folders that one had set aside."""
    _clear(folder.rglob(f".*{PART}"))


def clear_beside(path: Path) -> None:
    """Remove what killed processes left of one file or folder alone, and put that back if it was set aside."""
    _clear(path.parent.glob(f".{escape(path.name)}.*{PART}"))


def _clear(found: Iterable[Path]) -> None:
    # Listed first, since clearing changes what is walked. An "-old.part" comes before the ".part" that replaces it.
    for path in sorted(found):
        name = _NAME.fullmatch(path.name)
        if name and name["old"]:
            _end_exchange(path, path.with_name(name["name"]))
        elif name:
            _remove(path)


def _end_exchange(old: Path, path: Path) -> None:
    new = old.with_name(old.name.removesuffix(OLD) + PART)
    if new.exists() and not _remove(new):
        return
    # Another process may be doing the same.
    with contextlib.suppress(OSError):
        if path.exists():
            remove(old)
        else:
            os.rename(old, path)


def _remove(path: Path) -> bool:
    """Remove it, unless its owner is alive or nobody can know; returns whether it is gone."""
    try:
        lock = hold(path)
    except OSError:
        return False
    if lock is not None:
        remove(path)
        os.close(lock)
    return not path.exists()

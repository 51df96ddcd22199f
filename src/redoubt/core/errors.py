"""Tells what a user can mend, which is one sentence, from a mistake of this program, which keeps its traceback."""

import errno
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from redoubt.bundle.base.errors import RedoubtError

__all__ = ["FIXES", "RedoubtError", "SurroundingsError", "as_user_error", "ends_in_one_line"]

_SPACE = "free some space there, then run it again"
_RIGHTS = "make it readable and writable for you, or name another place"
# What the operating system refuses for reasons outside of this program, and what helps.
FIXES: Mapping[int, str] = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.EIO: "check the disk, then run it again",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EISDIR: "name a file instead of a folder",
    errno.ENOTDIR: "name a folder instead of a file",
    errno.ELOOP: "a symbolic link in it leads back to itself: remove it",
    errno.EMFILE: "raise the limit on open files (`ulimit -n`)",
    errno.ENFILE: "close other programs: all files that the machine may hold open are",
}
# HDF5 tells the operating system's error in words alone.
_HDF5 = re.compile(r"errno = (\d+)")


class SurroundingsError(RedoubtError):
    """The machine, its settings or a variable of the environment stand in the way; the message names which."""


def as_user_error(error: BaseException) -> RedoubtError | None:
    """Decide whether an error is one that a user can mend.

    Args:
        error: as it was raised.

    Returns:
        The error itself if it is one of ours; what a refusal of the operating system amounts to, such as a full disk;
        None for anything else, whose traceback must be shown.
    """
    if isinstance(error, RedoubtError):
        return error
    if not isinstance(error, OSError):
        return None
    told = _HDF5.search(str(error))
    number = error.errno if error.errno is not None else int(told[1]) if told else None
    if number is None or number not in FIXES:
        return None
    where = "a file" if error.filename is None else os.fsdecode(error.filename)
    return SurroundingsError(f"{where} cannot be used: {os.strerror(number)}; {FIXES[number]}")


@contextmanager
def ends_in_one_line(where: str = "") -> Iterator[None]:
    """End the process with one line on standard error where a user's mistake is raised; let anything else pass.

    Args:
        where: what the line names before it says what is wrong, such as `report: `.
    """
    try:
        yield
    except (RedoubtError, OSError) as error:
        said = as_user_error(error)
        if said is None:
            raise
        sys.exit(f"error: {where}{said}")

"""Gives TensorFlow's Eigen the same cache sizes on every machine: it cuts its sums into blocks by them.

In other blocks a sum has another last bit. TensorFlow has no setting for it: Eigen asks the processor once and keeps
three numbers in a variable of its library, which is written here.
"""

import ctypes
import mmap
import platform
import struct
from pathlib import Path

import numpy as np

LIBRARY = "libtensorflow_cc.so.2"
# Bytes of L1, L2 and L3. Any would do: these are of the processor that the committed dvc.lock was first made on.
CACHES = (32 * 2**10, 512 * 2**10, 32 * 2**20)
# The variable, and the byte that says that it has been filled; beside each where TensorFlow 2.21 has it among its
# symbols, since to look for it takes a tenth of a second.
SIZES = ("_ZZN5Eigen8internal20manage_caching_sizesENS_6ActionEPlS2_S2_E12m_cacheSizes", 8390)
FILLED = ("_ZGVZN5Eigen8internal20manage_caching_sizesENS_6ActionEPlS2_S2_E12m_cacheSizes", 8364)
_SYMBOL = np.dtype([("name", "<u4"), ("kind", "u1", 4), ("value", "<u8"), ("size", "<u8")])
_TABLE, _TEXT = 2, 3


def pin_block_sizes() -> bool:
    """Set them for this process, once TensorFlow has been imported.

    Returns:
        Whether it could be done: elsewhere than on Linux, and for a library of another kind, it cannot.
    """
    loaded = _loaded()
    if loaded is None or platform.machine() != "x86_64":
        return False
    base, path = loaded
    places = [symbol(path, *each) for each in (SIZES, FILLED)]
    if None in places:
        return False
    sizes, filled = (base + int(place) for place in places if place is not None)
    (ctypes.c_int64 * 3).from_address(sizes)[:] = [*CACHES]
    ctypes.c_uint8.from_address(filled).value = 1
    return True


def _loaded() -> tuple[int, Path] | None:
    """Where this process has the library in memory, and its file."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    parts = [line.split(maxsplit=5) for line in lines if line.endswith(LIBRARY)]
    starts = [(int(part[0].partition("-")[0], 16), Path(part[5])) for part in parts if int(part[2], 16) == 0]
    return min(starts, default=None)


def symbol(path: Path, name: str, hint: int) -> int | None:
    """The address of a symbol in a library, from its start.

    Args:
        path: of the library, an ELF file of 64 bits.
        name: of the symbol, mangled.
        hint: its number among the symbols, if it is where it was last seen.

    Returns:
        None if the library has no such symbol, or has been stripped of its names.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
        table, text = _sections(library)
        if table is None or text is None:
            return None
        found = np.frombuffer(library, _SYMBOL, table[1] // _SYMBOL.itemsize, table[0])
        wanted = b"\0" + name.encode() + b"\0"
        at = text[0] + int(found["name"][hint]) - 1 if hint < len(found) else 0
        if library[at : at + len(wanted)] != wanted:
            start = library.find(wanted, text[0], text[0] + text[1])
            (places,) = np.nonzero(found["name"] == start + 1 - text[0])
            hint = int(places[0]) if start >= 0 and len(places) else -1
        value = None if hint < 0 else int(found["value"][hint])
        # A view of a file keeps it from being closed.
        del found
        return value


def _sections(library: mmap.mmap) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Where the symbols begin and how long they are, and likewise their names; None if there are none."""
    if library[:6] != b"\x7fELF\x02\x01":
        return None, None
    (start,) = struct.unpack_from("<Q", library, 0x28)
    size, count = struct.unpack_from("<HH", library, 0x3A)
    heads = [struct.unpack_from("<IIQQQQII", library, start + size * number) for number in range(count)]
    table = next((head for head in heads if head[1] == _TABLE), None)
    if table is None or heads[table[6]][1] != _TEXT:
        return None, None
    text = heads[table[6]]
    return (table[4], table[5]), (text[4], text[5])

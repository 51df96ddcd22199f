"""How large a user's data file may be: all limits in one place, held before memory is spent."""

from pathlib import Path

from redoubt.data.locate import SourceError

# Of a file as it lies on the disk, of arrays unpacked, and of one line and one cell of text.
FILE_BYTES, ARRAY_BYTES, LINE_BYTES, CELL_CHARACTERS = 2**30, 2**31, 2**23, 2**20
# Cells of a table or numbers of an array: 1 GiB as float32, in which a network takes them.
VALUES = 2**28
# How many times larger than its file an array may be, from 64 MiB on: pictures pack to a tenth, a bomb to 1,000th.
GROWTH, GROWTH_FROM = 200, 2**26
# Columns in a table's header, columns that a task uses, and different words in one column that is used.
COLUMNS, USED_COLUMNS, WORDS = 10_000, 2_000, 1_000
# Of a Parquet file's footer, which describes its columns.
FOOTER_BYTES = 2**24


def refuse_above(found: int, most: int, what: str, fix: str, size: bool = False) -> None:
    """Do nothing up to a limit.

    Args:
        found: how much came.
        most: how much is taken.
        what: begins the sentence: the file, and what there is too much of.
        fix: ends it.
        size: whether both are bytes.

    Raises:
        SourceError: more came.
    """
    if found > most:
        came, limit = (in_words(found), in_words(most)) if size else (f"{found:,}", f"{most:,}")
        raise SourceError(f"{what}: {came} came, at most {limit} are taken; {fix}")


def check_file(path: Path, fix: str = "take a part of its rows") -> None:
    """Refuse a file that is larger than any that is read, or empty.

    Raises:
        SourceError: names the size and the limit.
    """
    size = path.stat().st_size
    if not size:
        raise SourceError(f"'{path}' is an empty file of 0 bytes; export the data again")
    refuse_above(size, FILE_BYTES, f"'{path}' is too large a file", fix, size=True)


def in_words(size: int) -> str:
    """Bytes as people say them."""
    unit = next((unit for unit in (30, 20, 10) if size >= 2**unit), 0)
    name = {30: "GiB", 20: "MiB", 10: "KiB", 0: "bytes"}[unit]
    return f"{size / 2**unit:,.4g} {name}" if unit else f"{size} {name}"

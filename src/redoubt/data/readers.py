"""Tables out of files of the user's: looked through within the limits, then read by pandas; what is odd is said."""

import codecs
import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, cast

import pandas as pd

from redoubt.bundle.words import normal
from redoubt.data import limits
from redoubt.data.locate import SourceError
from redoubt.data.plain import plain, without_empty_rows
from redoubt.data.shared import table_text
from redoubt.data.shared.looks import is_number
from redoubt.params.settings.read import ReadParams

PLAIN = ReadParams()
Noted = tuple[pd.DataFrame, tuple[str, ...]]

_MAGIC = {
    b"PK\x03\x04": "a ZIP archive, as Excel's .xlsx is",
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an Excel .xls file",
}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_AGAIN = "export it as CSV in UTF-8, with commas"
# Bytes from which on a text is read by Arrow, several times as fast as by pandas.
LARGE = 2**23
# How pandas calls a column that has no name in the header.
_NAMELESS = "Unnamed: {}"


@dataclass(frozen=True)
class Look:
    """What a text looks like.

    Attributes:
        names: of its columns.
        blanks: whether a blank follows each separator.
        short: how many rows have fewer cells than the header.
        notes: on what in it is unusual.
    """

    names: list[str]
    blanks: bool
    short: int
    notes: tuple[str, ...]


def is_nameless(name: str) -> bool:
    """Whether a column has no name of its own: an index that pandas wrote, as a rule."""
    return re.fullmatch(r"Unnamed: \d+", name) is not None


def read_csv(path: Path, how: ReadParams = PLAIN) -> Noted:
    """Read a table of text as text, with notes on what in it is unusual.

    Args:
        path: the file; one that ends in .gz is unpacked.
        how: it is written; the default is CSV in UTF-8. Numbers come out as Python writes them.

    Raises:
        SourceError: no such text, a header that names a column twice, a row longer than the header, above a limit.
    """
    _must_be_file(path, "CSV")
    limits.check_file(path, "take a part of its rows, or save it as Parquet")
    _refuse_other_formats(path, how)
    previous = csv.field_size_limit(limits.CELL_CHARACTERS)
    try:
        look = _look_through(path, how)
        plainly = is_utf8(how) and not look.blanks and not look.short and not how.skip and path.stat().st_size >= LARGE
        table = table_text.raw(path, look.names, how.separator, how.header) if plainly else None
        table = _by_pandas(path, how, look) if table is None else table
    except SourceError:
        raise
    except (ValueError, OSError, csv.Error) as error:
        raise SourceError(f"'{path}' is not {_said(how)}: {error}; {_AGAIN}") from None
    finally:
        csv.field_size_limit(previous)
    table, notes = without_empty_rows(plain(table, how))
    return table, (*look.notes, *notes)


def _by_pandas(path: Path, how: ReadParams, look: Look) -> pd.DataFrame:
    return pd.read_csv(
        path,
        sep=how.separator,
        encoding=how.encoding,
        dtype="str",
        keep_default_na=False,
        skiprows=how.skip,
        header=0 if how.header else None,
        names=look.names,
        index_col=False,
        skipinitialspace=look.blanks,
    )


def read_parquet(path: Path, wanted: tuple[str, ...]) -> Noted:
    """Read a Parquet file; its footer and the size of its columns are held against the limits first.

    Args:
        path: the file.
        wanted: columns that the task names: a stored index of such a name becomes a column.

    Raises:
        SourceError: no Parquet file, two columns of one name, above a limit.
    """
    import pyarrow as pa

    _must_be_file(path, "Parquet")
    limits.check_file(path)
    try:
        _check_parquet(path)
        table = pd.read_parquet(path)
    except SourceError:
        raise
    except (ValueError, OSError, KeyError, pa.ArrowException) as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise SourceError(f"'{path}' is not a Parquet file: {said[0]}") from None
    index = [normal(str(name)) for name in table.index.names if name is not None]
    notes = (f"the stored index {', '.join(index)} is left out",) if index and not set(index) & set(wanted) else ()
    table = table.reset_index() if set(index) & set(wanted) else table
    return table, (*notes, *name_columns(table, path))


def name_columns(table: pd.DataFrame, path: Path) -> list[str]:
    """Give a table's columns, in place, the names that a header of text would give them; what that changes, in words.

    Raises:
        SourceError: two columns of one name.
    """
    raw = [str(name) for name in table.columns]
    names = _normal_names(raw)
    _refuse_twice(names, path)
    table.columns = pd.Index(names)
    return _renamed(raw)


def _must_be_file(path: Path, kind: str) -> None:
    if path.is_dir():
        raise SourceError(
            f"'{path}' is a folder; expected one {kind} file: pd.read_{kind.lower()} reads its parts, "
            f".to_{kind.lower()} writes them as one"
        )


def _said(how: ReadParams) -> str:
    kind = "a CSV file" if how.separator == "," else f"a table separated by {how.separator!r}"
    return f"{kind} in {'UTF-8' if is_utf8(how) else how.encoding}"


def is_utf8(how: ReadParams) -> bool:
    """Whether a text is said to be in UTF-8."""
    return codecs.lookup(how.encoding).name == "utf-8"


def _refuse_other_formats(path: Path, how: ReadParams) -> None:
    with opened(path) as stream:
        start = stream.read(512)
    refuse_other_formats(path, start)
    if start.startswith(_UTF16) and is_utf8(how):
        raise SourceError(
            f"'{path}' is not {_said(how)}: it is UTF-16 text; set read: {{encoding: utf-16}}, or {_AGAIN}"
        )


def refuse_other_formats(path: Path, start: bytes) -> None:
    """Refuse what is no text, or no table, by its first bytes.

    Raises:
        SourceError: says what it is.
    """
    found = next((what for magic, what in _MAGIC.items() if start.startswith(magic)), None)
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|table|\?xml)", start, re.IGNORECASE):
        found = "a page of HTML or XML, as some portals export it for Excel"
    if found:
        raise SourceError(f"'{path}' is not a table of text: it is {found}; {_AGAIN}")


def opened(path: Path) -> IO[bytes]:
    """A file's bytes, unpacked if its name ends in .gz."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _lines(path: Path, how: ReadParams) -> Iterator[str]:
    """Lines of text, each checked before the next is read."""
    if not is_utf8(how):
        yield from _decoded(path, how)
        return
    read, letters = 0, False
    with opened(path) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(limits.LINE_BYTES + 1), b""), start=1):
            read += len(line)
            limits.refuse_above(
                read, limits.ARRAY_BYTES, f"'{path}' is too large unpacked", "take a part of it", size=True
            )
            if len(line) > limits.LINE_BYTES:
                most = limits.in_words(limits.LINE_BYTES)
                raise SourceError(
                    f"'{path}': line {number} is longer than {most}, the most taken; drop the long column"
                )
            if b"\0" in line:
                raise SourceError(
                    f"'{path}' is not a CSV file in UTF-8: line {number} holds a NUL byte (is it UTF-16 without"
                    f" a mark?); set read: {{encoding: utf-16-le}}, or {_AGAIN}"
                )
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                if letters:
                    raise SourceError(
                        f"'{path}' is in UTF-8 but for line {number}, which holds the byte 0x{line[error.start]:02x}: "
                        "lines of two encodings, it seems; correct that line"
                    ) from None
                raise SourceError(
                    f"'{path}' is not {_said(how)}: line {number} holds the byte 0x{line[error.start]:02x} "
                    f"(is it Latin-1 or Windows-1252?); set read: {{encoding: cp1252}}, or {_AGAIN}, "
                    "or convert it: iconv -f cp1252 -t utf-8"
                ) from None
            letters = letters or not line.removeprefix(codecs.BOM_UTF8).isascii()
            # A carriage return alone ends a line too.
            yield from io.StringIO(text, newline="")


def _decoded(path: Path, how: ReadParams) -> Iterator[str]:
    """Lines of a text in another encoding than UTF-8."""
    with opened(path) as stream, io.TextIOWrapper(stream, encoding=how.encoding, newline="") as text:
        read = 0
        for line in iter(lambda: text.readline(limits.LINE_BYTES + 1), ""):
            read += len(line)
            if len(line) > limits.LINE_BYTES:
                most = limits.in_words(limits.LINE_BYTES)
                raise SourceError(f"'{path}': a line is longer than {most}, the most taken; drop the long column")
            limits.refuse_above(
                read, limits.ARRAY_BYTES, f"'{path}' is too large unpacked", "take a part of it", size=True
            )
            yield line


def _look_through(path: Path, how: ReadParams) -> Look:
    """Look at every row; its width is checked."""
    lines = islice(_lines(path, how), how.skip, None)
    first = list(islice(lines, 2))
    blanks = how.separator == " " or any(_follows_separators(line, how.separator) for line in first)
    rows = csv.reader(chain(first, lines), delimiter=how.separator, skipinitialspace=blanks)
    # As pandas does, empty lines are passed over.
    filled = (row for row in rows if row and (len(row) > 1 or row[0].strip()))
    raw = next(filled, None)
    if raw is None:
        raise SourceError(f"'{path}' is not {_said(how)}: it has no header; {_AGAIN}")
    names = _names(raw, path) if how.header else [f"column_{place}" for place in range(1, len(raw) + 1)]
    count, short = int(not how.header), 0
    top = list(islice(filled, 20))
    longer = all(len(row) == len(names) + 1 > 2 and row[-1].strip() for row in top)
    if how.header and longer and len({row[0] for row in top}) == len(top) >= 5:
        # As R writes a table, its row names without a name; so many rows tell them from a cell too many.
        raw, names = ["", *raw], [_NAMELESS.format(0), *names]
    for row in chain(top, filled):
        count += 1
        short += len(row) < len(names)
        if len(row) > len(names):
            _refuse_long(row, names, path, rows.line_num + how.skip)
    limits.refuse_above(
        count * len(names), limits.VALUES, f"'{path}' has too many cells", "take a part of its rows or columns"
    )
    notes = _notes(raw if how.header else names, names, blanks and how.separator != " ", short)
    return Look(names, blanks, short, tuple(notes))


def _refuse_long(row: list[str], names: list[str], path: Path, line: int) -> None:
    fix = "a cell that holds the separator needs double quotes"
    if len(names) == 1 and len(row) > 2:
        fix = f"a title, it seems, {names[0][:40]!r}: remove the lines above the names of the columns"
    elif not any(cell.strip() for cell in row[len(names) :]):
        fix = "it ends in a separator that the header does not end in: add one there, or remove those of the rows"
    raise SourceError(f"'{path}': line {line} has {len(row)} cells, more cells than the header's {len(names)}; {fix}")


def _follows_separators(line: str, separator: str) -> bool:
    cells = line.split(separator)[1:]
    return bool(cells) and all(cell[:1] == " " for cell in cells)


def _names(raw: list[str], path: Path) -> list[str]:
    other = next((mark for mark in (";", "\t", "|") if mark in raw[0]), None) if len(raw) == 1 else None
    if other:
        raise SourceError(
            f"'{path}': the header is one cell, {raw[0][:60]!r}: the separator looks like {other!r}, expected ','; "
            f'set read: {{separator: {json.dumps(other)}}} in the task\'s block (and decimal: "," if the numbers are '
            "written so), or have `redoubt init` write the block"
        )
    if re.fullmatch(r"sep=.?", raw[0].strip()):
        raise SourceError(f"'{path}': the first line, {raw[0]!r}, is a word to Excel and no header; remove it")
    limits.refuse_above(len(raw), limits.COLUMNS, f"'{path}' has too many columns", "keep those that the task needs")
    refuse_title(raw, path)
    names = _normal_names(raw)
    _refuse_twice(names, path)
    return names


def _normal_names(raw: list[str]) -> list[str]:
    return [normal(name) or _NAMELESS.format(place) for place, name in enumerate(raw)]


def _renamed(raw: list[str]) -> list[str]:
    """What the normal form of names changes, with an example."""
    padded = [name for name in raw if name.strip() and name != normal(name)]
    return [
        f"names in the header are normalized (blanks, Unicode form): {name!r} is {normal(name)!r}"
        for name in padded[:1]
    ]


def refuse_title(names: list[str], path: Path) -> None:
    """Refuse a first row that names hardly a column: a title above the header.

    Raises:
        SourceError: more than half of three or more columns have no name.
    """
    nameless = sum(not name.strip() or is_nameless(name) for name in names)
    if len(names) > 2 and nameless * 2 > len(names):
        title = next((name for name in names if name.strip()), "")
        raise SourceError(
            f"'{path}': the first row, {title[:60]!r}, names {len(names) - nameless} of {len(names)} columns: a title, "
            "it seems; remove the rows above the names of the columns"
        )


def _refuse_twice(names: list[str], path: Path) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is None:
        return
    if is_headless(names):
        raise SourceError(
            f"'{path}': the first row ({', '.join(names[:5])}, ...) looks like data, not like names of columns; "
            "add a first row with a name for each"
        )
    first, second = [place for place, name in enumerate(names, start=1) if name == twice][:2]
    raise SourceError(
        f"'{path}': the header names column '{twice}' twice (columns {first} and {second}); rename or remove one: "
        "a second copy of the target would be learned from"
    )


def is_headless(names: list[str]) -> bool:
    """Whether what should be names of columns looks like a row of data: half are numbers, other than 2019, 2020, ..."""
    numbers = [name for name in names if is_number(name)]
    values = [float(name) for name in numbers]
    counted = all(name.isdigit() for name in numbers) and values == sorted(set(values))
    return len(numbers) * 2 >= len(names) and not counted


def _notes(raw: list[str], names: list[str], blanks: bool, short: int) -> Iterator[str]:
    if blanks:
        yield "a blank follows the commas; it is not part of the cells"
    yield from _renamed(raw)
    if short:
        yield f"{short:,} rows have fewer cells than the header's {len(names)}; the missing ones count as empty"
    if is_headless(names):
        yield f"the first row ({', '.join(names[:5])}) was taken for the names of the columns; is it data?"
    folded = Counter(name.casefold() for name in names)
    alike = [name for name in names if folded[name.casefold()] > 1]
    if alike:
        yield f"columns {', '.join(map(repr, alike[:4]))} differ only in upper and lower case"


def _check_parquet(path: Path) -> None:
    import pyarrow.parquet as pq

    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 8))
        end = stream.read(8)
    if end[-4:] != b"PAR1":
        raise SourceError(f"'{path}' is not a Parquet file: it does not end as one; export it again")
    footer = int.from_bytes(end[:4], "little")
    fix = "keep the columns that the task needs"
    limits.refuse_above(footer, limits.FOOTER_BYTES, f"'{path}': its footer is too large", fix, size=True)
    with pq.ParquetFile(path) as file:
        names = [str(name) for name in file.schema_arrow.names]
        limits.refuse_above(len(names), limits.COLUMNS, f"'{path}' has too many columns", fix)
        _refuse_twice(names, path)
        cells = file.metadata.num_rows * len(names)
        limits.refuse_above(cells, limits.VALUES, f"'{path}' has too many cells", "take a part of its rows or columns")
        read = 0
        # A word stored once may stand in every row: only what comes out says how much memory it takes.
        for batch in file.iter_batches(batch_size=256):
            read += batch.nbytes
            limits.refuse_above(read, limits.ARRAY_BYTES, f"'{path}' is too large unpacked", fix, size=True)

"""How a table of text is written, found from its beginning: encoding, separator, marks, header, words for "missing"."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from charset_normalizer import from_bytes

from redoubt.data.locate import SourceError
from redoubt.data.plain import LOOK_ALIKE, bare, numbers_as
from redoubt.data.readers import opened, refuse_other_formats
from redoubt.data.shared.looks import MISSING, is_number
from redoubt.params.settings.read import ReadParams

HEAD_BYTES = 2**20
# Of every second byte of a text in UTF-16; letters of UTF-8 for one byte that is none.
ZEROS, MOSTLY = 0.7, 6
# What programs write above a header: a word to Excel, DATEV's own line. Titles and remarks fill hardly a cell.
ABOVE = re.compile(r"sep=.?|EXTF|DTVF")
HIGHEST = 50
# So many rows, or fewer of a wide table.
ROWS, CELLS = 1000, 20_000
SEPARATORS = (",", ";", "\t", "|")
# Of the lines that blanks cut into the same number of cells.
REGULAR = 0.95
# Words that people write for an empty cell, beside those that always count as one.
SAID_MISSING = ("?", "-", "--", ".", "NA", "N/A", "n.a.", "missing", "unknown", "(empty)")
# What a spreadsheet shows where a formula failed.
FAILED = ("#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NV")
# The ways to write numbers that are tried, plain ones first: decimal mark, thousands mark.
MARKS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"))
ENCODINGS = ["utf_8", "cp1252", "cp1250", "cp1251", "gb18030", "big5", "shift_jis", "euc_kr", "cp1253", "cp1254"]


@dataclass(frozen=True)
class Dialect:
    """What was found.

    Attributes:
        read: as params.yaml says it.
        said: a sentence per finding that differs from a plain CSV file.
    """

    read: ReadParams
    said: tuple[str, ...]


def detect(path: Path) -> Dialect:
    """Find out how a table of text is written; nothing is decided in silence.

    Args:
        path: the file; one that ends in .gz is unpacked.

    Raises:
        SourceError: no text, by its first bytes.
    """
    try:
        with opened(path) as stream:
            head = stream.read(HEAD_BYTES)
    except (OSError, EOFError) as error:
        raise SourceError(f"'{path}' cannot be unpacked: {error}") from None
    refuse_other_formats(path, head)
    encoding, text = _decode(head)
    separator = _separator(text)
    above = _above(text, separator)
    text = "".join(list(io.StringIO(text, newline=""))[len(above) :]) if above else text
    rows = [row for row in _rows(text, separator) if any(row)][: ROWS + 1]
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    # R leaves the column of row names without a name: its header is one cell short.
    short = len(rows) > 1 and len(rows[0]) == width - 1 > 1 and not any(map(_numeric, rows[0]))
    names = [["", *rows[0]]] if short else []
    rows = [*names, *(row for row in rows if len(row) == width)][: max(50, CELLS // max(width, 1))]
    header = not _is_data(rows)
    cells = pd.DataFrame([[cell.strip() for cell in row] for row in rows[int(header) :]], dtype="str")
    bared = cells.apply(bare) if cells.size else cells
    decimal, thousands = _marks(bared, separator)
    number = numbers_as(decimal, thousands)
    amounts = {} if bared.equals(cells) else _amounts(cells, bared, (decimal, thousands))
    cells = bared if amounts else cells
    read = ReadParams(
        separator=separator,
        decimal=decimal,
        thousands=thousands,
        amounts=bool(amounts),
        encoding=encoding,
        skip=len(above),
        header=header,
        missing=_missing(cells, number),
    )
    return Dialect(read, (*_said(read, text), *_of_lines(above), *_of_amounts(amounts)))


def amounts_of(cells: pd.DataFrame) -> tuple[ReadParams, tuple[str, ...]]:
    """How the amounts of a table of text are written, and what is said of them; nothing is said where there are none.

    Args:
        cells: text, of which columns some may hold amounts.
    """
    bared = cells.apply(bare) if cells.size else cells
    changed = [name for name in cells if not bared[name].equals(cells[name])]
    decimal, thousands = _marks(bared[changed], ";")
    amounts = _amounts(cells[changed], bared[changed], (decimal, thousands))
    return ReadParams(decimal=decimal, thousands=thousands, amounts=True), tuple(_of_amounts(amounts))


def _amounts(cells: pd.DataFrame, bared: pd.DataFrame, marks: tuple[Any, Any]) -> dict[str, str]:
    """The first amount of each column of amounts, and its number as Python writes it."""
    found = {}
    decimal, thousands = marks
    for name in cells:
        written = zip(cells[name].tolist(), bared[name].tolist(), strict=True)
        first = next(((text, number) for text, number in written if text != number), None)
        if first is not None and re.fullmatch(numbers_as(decimal, thousands), first[1]):
            grouped = re.sub(LOOK_ALIKE.get(thousands, re.escape(thousands)), "", first[1]) if thousands else first[1]
            found[first[0]] = grouped.replace(decimal, ".")
    return found


def _of_lines(above: list[str]) -> list[str]:
    if not above:
        return []
    shown = next(line for line in above if line.strip()).strip()[:40]
    which = "the first line is" if len(above) == 1 else f"the first {len(above):,} lines are"
    return [f"{which} above the names of the columns, and left out: {shown!r}"]


def _of_amounts(amounts: dict[str, str]) -> list[str]:
    shown = ", ".join(f"{text!r} is {number}" for text, number in list(amounts.items())[:3])
    return [f"amounts are taken as the number alone, with which the model is asked too: {shown}"] if amounts else []


def differences(read: ReadParams) -> dict[str, Any]:
    """What of it differs from a plain CSV file, as a block of params.yaml."""
    plain = ReadParams().model_dump()
    found = {name: value for name, value in read.model_dump().items() if value != plain[name]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _decode(head: bytes) -> tuple[str, str]:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32", head.decode("utf-32", "ignore")
    for mark, name in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if head.startswith(mark):
            return name, head.decode(name, "ignore").removeprefix("\ufeff")
    zeros = [head[start:4096:2].count(0) / max(1, len(head[start:4096:2])) for start in (0, 1)]
    if max(zeros) > ZEROS > 1 - ZEROS > min(zeros):
        name = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
        return name, head.decode(name, "ignore")
    try:
        # The head may end in the middle of a letter.
        return "utf-8", codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        text = head.decode("utf-8", "replace")
        broken = text.count("\ufffd")
        if sum(not letter.isascii() for letter in text) > MOSTLY * broken:
            # Hardly a line is in another encoding: whoever reads it names that line.
            return "utf-8", text
        best = from_bytes(head, cp_isolation=ENCODINGS).best()
        name = best.encoding if best else "cp1252"
        western = head.decode("cp1252", "replace")
        # Few letters tell a Western text from its neighbours; where they read the same it is what it is most often.
        return ("cp1252", western) if western == head.decode(name, "replace") else (name, head.decode(name, "replace"))


def _above(text: str, separator: str) -> list[str]:
    """The lines above the names of the columns: titles, remarks, words to a program."""
    lines = list(islice(io.StringIO(text, newline=""), 200))
    rows = csv.reader(io.StringIO("".join(lines), newline=""), delimiter=separator, skipinitialspace=separator == " ")
    every = [(row, rows.line_num) for row in rows]
    widths = Counter(len(row) for row, _ in every if any(row))
    width = max([(count, width) for width, count in widths.items()], default=(0, 0))[1]
    end = 0
    for row, line in every[:HIGHEST]:
        filled = sum(bool(cell.strip()) for cell in row)
        few = filled * 2 <= width if len(row) < width else filled * 2 < width and width > 2
        if width < 2 or (filled and not few and not ABOVE.fullmatch(row[0].strip())):
            break
        end = line
    # A text of nothing but short lines has no title; empty lines are passed over anyway.
    above = lines[:end] if end < len(lines) and len(every) > HIGHEST // 10 else []
    return above if "".join(above).strip(f"{separator}\r\n ") else []


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator == " ")


def _separator(text: str) -> str:
    """The one that cuts most lines into the same number of cells, more than one; a comma where none does."""
    lines = "\n".join(text.splitlines()[:200])

    def regular(separator: str) -> tuple[float, int]:
        widths = Counter(len(row) for row in _rows(lines, separator) if row)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return (count / widths.total(), width) if width > 1 else (0.0, 0)

    best = max(SEPARATORS, key=regular)
    # Blanks stand within cells too: they separate where nothing else does.
    return " " if regular(best)[1] < 2 and regular(" ") > (REGULAR, 1) else best


def _is_data(rows: list[list[str]]) -> bool:
    """Whether the first row is one of data: numbers stand in it where the others have numbers too."""
    if len(rows) < 2:
        return False
    below = list(zip(*rows[1:], strict=True))
    first = [cell for cell, column in zip(rows[0], below, strict=True) if _mostly_numbers(column)]
    numbers = [cell for cell in first if _numeric(cell)]
    # 2019, 2020, ... are names too.
    years = [int(cell) for cell in numbers if cell.isdigit()]
    counted = len(years) == len(numbers) >= 2 and years == sorted(set(years))
    return len(numbers) * 2 > len(first) and not counted


def _mostly_numbers(cells: tuple[str, ...]) -> bool:
    return sum(map(_numeric, cells)) > 0.8 * len(cells)


def _numeric(cell: str) -> bool:
    return is_number(cell) or is_number(cell.replace(",", "."))


def _marks(cells: pd.DataFrame, separator: str) -> tuple[Any, Any]:
    """The way of writing in which most columns are numbers, and most of their cells; a plain one wins a draw.

    Where commas separate the cells, 1,234 is more likely a thousand and more than one and a quarter.
    """
    ways = sorted(MARKS, key=lambda marks: marks not in ((".", ""), (".", ","))) if separator == "," else MARKS

    def numeric(marks: tuple[str, str]) -> tuple[int, float]:
        pattern = numbers_as(*marks)
        filled = (column[column != ""] for _, column in cells.items())
        shares = [float(each.str.fullmatch(pattern).mean()) for each in filled if len(each)]
        shares = [share for share in shares if share > 0.9]
        return len(shares), sum(shares)

    return max(ways, key=numeric)


def _missing(cells: pd.DataFrame, number: str) -> tuple[str, ...]:
    """Words that stand in columns of numbers where no number is; a question mark counts in any column."""
    found: Counter[str] = Counter()
    for _, column in cells.items():
        filled = column[(column != "") & ~column.str.casefold().isin(MISSING)]
        said = filled[filled.isin((*SAID_MISSING, *FAILED))]
        rest = filled[~filled.isin((*SAID_MISSING, *FAILED))]
        if len(said) and len(rest) and (rest.str.fullmatch(number).mean() > 0.9):
            found.update(said)
        found.update(said[said == "?"])
    return tuple(sorted(found))


def _said(read: ReadParams, text: str) -> list[str]:
    said = []
    if read.encoding != "utf-8":
        strange = re.search(r"\w*[^\W\x00-\x7f][\w ]*", text)
        shown = f": it then reads {strange[0][:30]!r}" if strange else ""
        said.append(f"the text is no UTF-8; taken for {read.encoding}{shown}")
    if read.separator != ",":
        said.append(f"cells are separated by {'a tab' if read.separator == chr(9) else repr(read.separator)}")
    if (read.decimal, read.thousands) != (".", ""):
        mark = f"{read.thousands!r} between thousands, " if read.thousands else ""
        said.append(f"numbers are written with {mark}{read.decimal!r} before decimals")
    if not read.header:
        said.append("the first row is data: the columns are called column_1, column_2, ...")
    if read.missing:
        said.append(f"{', '.join(map(repr, read.missing))} stands for an empty cell")
    return said

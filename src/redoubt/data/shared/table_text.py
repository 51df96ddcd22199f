"""A raw table as CSV text and back, by Arrow: the bytes that pandas writes, in a fraction of its time and memory."""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

# So many cells of text at a time: some 40 MiB.
CELLS = 2**22
# Where Arrow and Python write the shortest digits of a number without an exponent, both alike.
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e10
_LONG = pa.large_string()
_TEXT = {pa.string(): pd.StringDtype(na_value=np.nan)}


def written(table: pd.DataFrame) -> Iterator[bytes]:
    """A table's CSV text in parts: names, then cells, numbers in their shortest exact form, empty cells empty."""
    quoted = _needs_quotes(table)
    if quoted or not all(_is_number(table[name]) or _is_text(table[name]) for name in table):
        quoting: Any = 2 if quoted else 0
        yield table.to_csv(index=False, lineterminator="\n", quoting=quoting).encode()
        return
    yield table.iloc[:0].to_csv(index=False, lineterminator="\n").encode()
    rows = max(1, CELLS // max(1, len(table.columns)))
    for start in range(0, len(table), rows):
        yield _lines(table.iloc[start : start + rows])


def raw(path: Path, names: list[str], separator: str, header: bool) -> pd.DataFrame | None:
    """A user's text in UTF-8 with every cell as text, as pandas reads it; None where only pandas knows how.

    Args:
        path: its rows are known to have as many cells as there are names.
        names: of the columns; a header's are passed over.
        separator: between cells.
        header: whether the first row is one.
    """
    with path.open("rb") as stream:
        first = stream.readline(2)
    if len(names) < 2 or not first.strip():
        # An empty line may be a row, or stand above the header.
        return None
    reading = arrow_csv.ReadOptions(column_names=names, skip_rows_after_names=int(header))
    try:
        found: pd.DataFrame = arrow_csv.read_csv(
            path,
            read_options=reading,
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        ).to_pandas(types_mapper=_TEXT.get, self_destruct=True)
    except pa.ArrowInvalid:
        return None
    return found


def read(path: Path, words: set[str]) -> pd.DataFrame:
    """Read what `written` wrote; only an empty cell is a missing one: a category may well be called "NA" or "None".

    Args:
        path: the text.
        words: columns of text; the others are numbers.
    """
    with path.open("rb") as stream:
        names = pd.read_csv(stream, nrows=0).columns
    types = {str(name): pa.string() if name in words else pa.float64() for name in names}
    try:
        found: pd.DataFrame = arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True
            ),
        ).to_pandas(types_mapper=_TEXT.get, self_destruct=True, split_blocks=True)
    except pa.ArrowInvalid:
        # Text where a number belongs, put there by hand: `validate` names it.
        return pd.read_csv(
            path,
            dtype=dict.fromkeys(words, "str"),
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,
        )
    return found


def _needs_quotes(table: pd.DataFrame) -> bool:
    """Whether a carriage return stands in a cell: alone it would end the row when read back, unless quoted."""
    words = table.select_dtypes(exclude="number")
    return any(words[name].str.contains("\r", regex=False).any() for name in words)


def _is_number(cells: "pd.Series[Any]") -> bool:
    return cells.dtype == np.float64


def _is_text(cells: "pd.Series[Any]") -> bool:
    return isinstance(cells.dtype, pd.StringDtype)


def _lines(part: pd.DataFrame) -> bytes:
    columns = [_figures(part[name]) if _is_number(part[name]) else _words(part[name]) for name in part]
    if len(columns) == 1:
        # A row that is one empty cell is written as "", or it would be no row.
        columns = [pc.if_else(pc.equal(columns[0], ""), pa.scalar('""', _LONG), columns[0])]
    columns[-1] = pc.binary_join_element_wise(columns[-1], pa.scalar("\n", _LONG), pa.scalar("", _LONG))
    joined = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, pa.scalar(",", _LONG))
    return b"".join(pc.cast(joined, pa.large_binary()).to_pylist())


def _figures(cells: "pd.Series[Any]") -> Any:
    values = cells.to_numpy(np.float64)
    size = np.abs(values)
    usual = ((size >= _PLAIN_FROM) & (size < _PLAIN_TO)) | ((values == 0) & ~np.signbit(values))
    text = pc.cast(pa.array(values), _LONG)
    whole = usual & (np.trunc(values) == values)
    if whole.any():
        ends = pc.binary_join_element_wise(
            pc.cast(pa.array(values[whole].astype(np.int64)), _LONG), pa.scalar(".0", _LONG), pa.scalar("", _LONG)
        )
        text = pc.replace_with_mask(text, pa.array(whole), ends)
    if not usual.all():
        own = ["" if math.isnan(value) else repr(value) for value in values[~usual].tolist()]
        text = pc.replace_with_mask(text, pa.array(~usual), pa.array(own, _LONG))
    return text


def _words(cells: "pd.Series[Any]") -> Any:
    """Words with quotes where a comma, a quote or a line's end asks for them, as `csv` writes them."""
    codes, known = pd.factorize(cells, use_na_sentinel=True)
    texts = []
    for word in known:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow([word, ""])
        texts.append(line.getvalue().removesuffix(",\n"))
    return pa.array([*texts, ""], _LONG).take(pa.array(np.where(codes < 0, len(texts), codes)))

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.data.shared import table_text

NUMBERS = [
    0.0,
    -0.0,
    1.0,
    -3.0,
    0.1,
    1e-4,
    9.9e-5,
    1e-300,
    5e-324,
    999999999999999.0,
    1e15,
    1e16,
    1e300,
    np.inf,
    -np.inf,
]
NUMBERS += [np.nan, 1 / 3, 2 / 3 * 1e-3, 123456.789, 2**53 + 2.0, 1e22, 14.0, 0.30000000000000004]
WORDS = ["plain", "a, b", 'say "x"', '"', "two\nlines", "NA", " blank ", "über", "x" * 300, "'", ";"]


def frame(rows: int = 500) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    size = draw.normal(size=rows) * 10.0 ** draw.integers(-8, 20, rows)
    words = pd.Series(draw.choice([*WORDS, None], rows), dtype="str")
    return pd.DataFrame({"a, b": (NUMBERS * rows)[:rows], "size": size, "word": words, "whole": np.arange(rows) * 1.0})


@pytest.mark.parametrize("cells", [2**22, 40])
@pytest.mark.parametrize("columns", [["a, b", "size", "word", "whole"], ["word"], ["a, b"], ["size", "word"]])
def test_the_text_is_that_of_pandas_byte_for_byte(
    columns: list[str], cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_text, "CELLS", cells)
    table = frame()[columns]
    assert b"".join(table_text.written(table)) == table.to_csv(index=False, lineterminator="\n").encode()


@pytest.mark.parametrize("more", [{}, {"return": "a\rb"}])
def test_what_is_written_is_read_back(more: dict[str, str], tmp_path: Path) -> None:
    table = frame().assign(**more)
    path = tmp_path / "table.csv"
    path.write_bytes(b"".join(table_text.written(table)))
    pd.testing.assert_frame_equal(table_text.read(path, {"word", *more}), table, check_exact=True)


TEXTS = {
    "plain": "a,b\n1,x\n,y\n",
    "quotes": 'a,b\n"1","x, y"\n2,"say ""x"""\n',
    "a quote within": 'a,b\n5" pipe,x\n2,y"\n',
    "after a quote": 'a,b\n"5"x,y\n1,2\n',
    "lines": 'a,b\n"one\ntwo",3\n4,5\n',
    "windows": "a,b\r\n1,2\r\n3,4\r\n",
    "carriage returns": "a,b\r1,2\r3,4\r",
    "no end": "a,b\n1,2",
    "empty lines": "a,b\n\n1,2\n\n\n3,4\n\n",
    "blank lines": "a,b\n1,2\n   \n3,4\n",
    "a name of two lines": 'a,"b\nc"\n1,2\n',
    "line above": "\na,b\n1,2\n",
    "words for nothing": "a,b\nNA,nan\nnull,\n",
    "byte order mark": "\ufeffa,b\n1,2\n",
    "repeated header": "a,b\na,b\n1,2\n",
}


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("header", [True, False])
def test_arrow_reads_a_text_as_pandas_does_or_leaves_it_to_it(case: str, header: bool, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(TEXTS[case], encoding="utf-8", newline="")
    names = ["first", "second"]
    by_pandas = pd.read_csv(
        path, dtype="str", keep_default_na=False, header=0 if header else None, names=names, index_col=False
    )
    found = table_text.raw(path, names, ",", header)
    if found is None:
        assert case in ("blank lines", "line above")
        return
    pd.testing.assert_frame_equal(found, by_pandas)


def test_text_in_a_column_of_numbers_is_left_for_validation(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["a", "b"], ["1", "x"], ["old", ""]])
    assert table_text.read(path, {"b"})["a"].tolist() == ["1", "old"]

"""How a table of text is written is found by itself, said, and read back as what it was."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.data.dialect import detect, differences
from redoubt.data.locate import SourceError
from redoubt.data.plain import plain
from redoubt.data.readers import read_csv
from redoubt.data.tables import numbers
from redoubt.params.settings.read import ReadParams

CITIES = ("Köln", "München", "Zürich")


def frame(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "Größe": rng.normal(50, 10, rows).round(2),
            "Umsatz": rng.uniform(1000, 90_000, rows).round(2),
            "Stadt": rng.choice(CITIES, rows),
            "gekündigt": rng.choice(["ja", "nein"], rows),
        }
    )


def written(value: float, decimal: str, thousands: str) -> str:
    return f"{value:,.2f}".replace(",", "\0").replace(".", decimal).replace("\0", thousands)


def write(path: Path, table: pd.DataFrame, separator: str, decimal: str, thousands: str, encoding: str) -> None:
    text = table.copy()
    for name in ("Größe", "Umsatz"):
        text[name] = [written(value, decimal, thousands) for value in table[name]]
    text.to_csv(path, sep=separator, index=False, encoding=encoding)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("decimal", "thousands"), [(".", ""), (",", ""), (".", ","), (",", "."), (".", "'"), (",", " ")]
)
def test_what_people_export_is_read_as_it_was(tmp_path: Path, separator: str, decimal: str, thousands: str) -> None:
    table, path = frame(), tmp_path / "own.csv"
    for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16"):
        write(path, table, separator, decimal, thousands, encoding)
        found = detect(path)
        back, _ = read_csv(path, found.read)
        assert list(back.columns) == list(table.columns), encoding
        for name in ("Größe", "Umsatz"):
            assert np.array_equal(numbers(back[name], name, "own.csv"), table[name]), (encoding, found.read)
        assert back["Stadt"].tolist() == table["Stadt"].tolist()
        plainly = (separator, decimal, thousands) == (",", ".", "") and encoding.startswith("utf-8")
        assert bool(found.said) != plainly, "what differs from a plain CSV file is said, nothing else is"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("66,1.5,?\n67,2.5,3\n68,3.5,4\n69,4,5\n", {"header": False, "missing": ["?"]}),
        ("age,fare\n1,2\n3,?\n5,6\n", {"missing": ["?"]}),
        ("city,2019,2020\nUlm,1,2\nBonn,3,4\n", {}),
        ("2019,2020\n1,2\n3,4\n", {}),
        ("word\nyes\nno\n", {}),
        ("a,b\nx,-\ny,3\nz,4\nw,5\n", {"missing": ["-"]}),
        ('n,m\n"1,234",1\n"12,345",2\n', {"thousands": ","}),
        ("n;m\n1,234;1\n12,345;2\n", {"separator": ";", "decimal": ","}),
        ('note,n\n"a; b; c",1\n"d; e; f",2\n', {}),
    ],
    ids=[
        "headless",
        "question-mark",
        "years",
        "years-alone",
        "one-column",
        "dash",
        "thousands",
        "decimals",
        "separator-in-quotes",
    ],
)
def test_header_and_missing_words(tmp_path: Path, lines: str, found: dict[str, Any]) -> None:
    (tmp_path / "own.csv").write_text(lines, encoding="utf-8")
    assert differences(detect(tmp_path / "own.csv").read) == found


def test_a_packed_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as packed:
        frame().to_csv(packed, sep="\t", index=False)
    assert len(read_csv(path, detect(path).read)[0]) == 60


@pytest.mark.parametrize("text", ["", "\n", "a", "a,b", "\ufeffa;b", '"', "a\tb\n1"])
def test_next_to_nothing_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.csv").write_text(text, encoding="utf-8")
    assert isinstance(detect(tmp_path / "own.csv").read, ReadParams)


@settings(max_examples=50)
@given(
    values=st.lists(st.floats(-1e9, 1e9).map(lambda value: round(value, 2)), min_size=3, max_size=9),
    marks=st.sampled_from([(",", ""), (",", "."), (".", ","), (",", " ")]),
)
def test_numbers_written_any_way_are_the_same_numbers(values: list[float], marks: tuple[str, str]) -> None:
    table = pd.DataFrame({"x": [written(value, *marks) for value in values]}, dtype="str")
    back = plain(table, ReadParams(decimal=marks[0], thousands=marks[1]))
    assert numbers(back["x"], "x", "own.csv").tolist() == values


def test_a_column_of_words_keeps_its_commas() -> None:
    table = pd.DataFrame({"x": ["a,b", "1,5", "c,d", ""]}, dtype="str")
    assert plain(table, ReadParams(decimal=","))["x"].tolist() == ["a,b", "1,5", "c,d", ""]


def test_a_text_that_is_not_in_the_encoding_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_bytes("a,b\nä,1\n".encode("cp1252"))
    with pytest.raises(SourceError, match="is not a CSV file in utf-16"):
        read_csv(tmp_path / "own.csv", ReadParams(encoding="utf-16"))


AMOUNTS: dict[str, tuple[list[str], list[float]]] = {
    "dollars": (["$1,234.50", "$9", "-$3.25", "$ (7.00)", "($7.00)"], [1234.5, 9, -3.25, np.nan, -7]),
    "percent": (["12 %", "7.5%", "-1%", " 3 %"], [12, 7.5, -1, 3]),
    "euro": (["1.234,50 €", "9,00 €", "-3,25 €"], [1234.5, 9, -3.25]),
    "francs": (["CHF 1'234.50", "CHF 9.00", "CHF -3.25"], [1234.5, 9, -3.25]),
    "rupees": (["₹12,34,567", "₹9,999", "₹50"], [1234567, 9999, 50]),
    "minus behind": (["1.234,56-", "9,00", "3,25-"], [-1234.56, 9, -3.25]),
    "brackets": (["(1,234.56)", "9.00", "(3.25)"], [-1234.56, 9, -3.25]),
    "some without": (["0", "$4.99", "$0.99", "0"], [0, 4.99, 0.99, 0]),
}


@pytest.mark.parametrize("name", AMOUNTS)
def test_amounts_are_numbers(tmp_path: Path, name: str) -> None:
    cells, values = AMOUNTS[name]
    kept = [(cell, value) for cell, value in zip(cells, values, strict=True) if not np.isnan(value)]
    path = tmp_path / "own.csv"
    pd.DataFrame({"amount": [cell for cell, _ in kept] * 20, "word": ["a", "b"] * (10 * len(kept))}).to_csv(
        path, sep=";", index=False
    )
    found = detect(path)
    assert found.read.amounts
    assert ("is 1234.5" in found.said[-1]) == (name in ("dollars", "euro", "francs"))
    assert "amounts are taken as the number alone" in " ".join(found.said)
    back, _ = read_csv(path, found.read)
    assert numbers(back["amount"], "amount", "own.csv").tolist() == [value for _, value in kept] * 20


@pytest.mark.parametrize(
    "cells",
    [
        ["$5", "€7", "$9"],
        ["12 %", "0.12", "0.5"],
        ["(1)", "(2)", "(3)"],
        ["+5", "-3", "7"],
        ["2024-05-31", "2024-06-01", "2024-06-02"],
        ["-5-", "5", "7"],
    ],
)
def test_what_is_written_in_several_units_is_no_amount(tmp_path: Path, cells: list[str]) -> None:
    path = tmp_path / "own.csv"
    pd.DataFrame({"amount": cells * 20, "word": ["a", "b", "c"] * 20}).to_csv(path, index=False)
    assert not detect(path).read.amounts
    back, _ = read_csv(path, ReadParams(amounts=True))
    assert back["amount"].tolist() == cells * 20

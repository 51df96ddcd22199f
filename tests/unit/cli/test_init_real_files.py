"""`redoubt init` on files as people really have them: taken rightly, or refused in one sentence; nothing in silence."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.data import sources
from redoubt.params.load import load
from redoubt.params.task import Task

ROWS = 200
PLACE = np.arange(ROWS)
Make = Callable[[Path], object]


def frame() -> pd.DataFrame:
    """Two informative numbers, a category, a class."""
    rng = np.random.default_rng(0)
    y = PLACE % 2
    return pd.DataFrame(
        {
            "age": (30 + 20 * y + rng.normal(0, 6, ROWS)).round(2),
            "spend": (100 - 40 * y + rng.normal(0, 15, ROWS)).round(2),
            "plan": rng.choice(["basic", "plus"], ROWS),
            "left": np.array(["no", "yes"])[y],
        }
    )


def csv(**columns: object) -> Make:
    """A plain CSV file with these columns more, or instead."""
    return lambda path: frame().assign(**columns).to_csv(path, index=False)


def text(change: Callable[[str], str], encoding: str = "utf-8", **how: str) -> Make:
    """A CSV file whose text was changed."""
    return lambda path: path.write_bytes(change(frame().to_csv(index=False, **how)).encode(encoding))  # type: ignore[call-overload]


def lined(change: Callable[[int, str], str]) -> Make:
    """A CSV file whose lines were changed, each by its number."""
    return text(lambda whole: "\n".join(change(n, line) for n, line in enumerate(whole.splitlines())) + "\n")


def sums(table: pd.DataFrame) -> pd.DataFrame:
    """A row of totals, for below the table."""
    return table[["age", "spend"]].sum().round(2).to_frame().T


def german(mark: str) -> Make:
    """Semicolons, decimal commas, this mark between thousands."""
    values = [f"{40_000 + 137.25 * (n * 7919 % ROWS):,.2f}".replace(",", mark).replace(".", ",") for n in PLACE]
    return lambda path: frame().assign(income=values).to_csv(path, index=False, sep=";", decimal=",")


def few_thousands(path: Path) -> object:
    """German prices, one in twenty of which is above a thousand."""
    prices = [f"{n * 37 % 900 + 1},50" if n % 20 else f"1.{n * 37 % 900:03d},25" for n in PLACE]
    return frame().assign(income=prices).to_csv(path, index=False, sep=";", decimal=",")


def lines(change: Callable[[list[str]], list[str]]) -> Make:
    """JSON lines, changed."""
    return lambda path: path.write_text(
        "\n".join(change(frame().to_json(orient="records", lines=True).splitlines())), encoding="utf-8"
    )


def nested(rows: list[str]) -> list[str]:
    records = [json.loads(row) for row in rows]
    return [
        json.dumps({**record, "address": {"zip": n % 7}, "tags": ["a"] * (n % 3)}) for n, record in enumerate(records)
    ]


def workbook(rows: Callable[[list[list[object]]], list[list[object]]], *sheets: str) -> Make:
    """An Excel file with its rows changed, and more sheets."""

    def make(path: Path) -> None:
        from openpyxl import Workbook

        book = Workbook()
        for row in rows([list(frame().columns), *frame().to_numpy().tolist()]):
            book.active.append(row)
        for sheet in sheets:
            book.create_sheet(sheet)
        book.save(path)

    return make


def packed(*names: str) -> Make:
    """An archive of tables, or of images."""

    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, frame().to_csv(index=False))

    return make


SIGNED = [f"{n * 37 % ROWS - 100}" for n in PLACE]
TAKEN: dict[str, tuple[str, Make, str]] = {
    "typeset-thousands": ("own.csv", german("\u202f"), "numbers are written with ' ' between thousands, ','"),
    "unbroken-thousands": ("own.csv", german("\u00a0"), "numbers are written with ' ' between thousands, ','"),
    "apostrophes": (
        "own.csv",
        csv(income=[f"{v:,.1f}".replace(",", "\u2019") for v in 40_000 + 37 * (PLACE * 7919 % ROWS)]),
        'numbers are written with "\'" between thousands',
    ),
    "broken-header": (
        "own.csv",
        lambda path: frame().rename(columns={"age": "age\n(years)"}).to_csv(path, index=False),
        r"names in the header are normalized (blanks, Unicode form): 'age\n(years)' is 'age (years)'",
    ),
    "two-marks-of-order": ("own.csv", text(lambda whole: "\ufeff\ufeff" + whole), r"'\ufeffage' is 'age'"),
    "array-of-json": (
        "own.json",
        lambda path: path.write_text(frame().to_json(orient="records"), encoding="utf-8"),
        "read as a JSON array",
    ),
    "nested-json": ("own.jsonl", lines(nested), "it holds lists, records or bytes"),
    "rows-without-a-cell": (
        "own.xlsx",
        workbook(lambda rows: [*rows[:50], [None] * 4, *rows[50:]]),
        "1 rows without a cell are left out",
    ),
    "sheets": ("own.xlsx", workbook(list, "More", "Notes"), "only the first sheet, 'Sheet', is read"),
    "foreign-letters": (
        "own.csv",
        text(lambda whole: whole.replace("plus", "größer"), encoding="cp1252"),
        "taken for cp1252: it then reads 'größer'",
    ),
    "typeset-minus": ("own.csv", csv(x=[v.replace("-", "\u2212") for v in SIGNED]), "write -5 with a plain hyphen"),
    "minus-behind": ("own.csv", csv(x=[v[1:] + "-" if v[0] == "-" else v for v in SIGNED]), "-' is -"),
    "brackets": ("own.csv", csv(x=[f"({v[1:]})" if v[0] == "-" else v for v in SIGNED]), ")' is -"),
    "currency": ("own.csv", csv(x=[f"EUR {n % 60},50" for n in PLACE]), "an amount of money"),
    "other-marks-than-the-rest": (
        "own.csv",
        csv(x=[f"{n % 90 + 1}\u00a0{n * 7 % 900 + 100},5" for n in PLACE]),
        "1 234,5",
    ),
    "row-of-totals": (
        "own.csv",
        text(lambda whole: whole + "Total,15000,,\n"),
        "numbers but for 1 of its cells, such as 'Total' in the last row, of totals?",
    ),
    "remark-below": (
        "own.csv",
        text(lambda whole: whole + "\nExported by ACME on 2024-01-01\n"),
        "in the last row, of",
    ),
    "totals-beside-a-word": (
        "own.csv",
        lambda path: pd.concat([frame(), sums(frame()).assign(plan="Grand total")]).to_csv(path, index=False),
        "the last row seems to hold totals ('Grand total' in 'plan', 'age', 'spend' the sum of all above): remove it",
    ),
    "totals-alone": (
        "own.csv",
        lambda path: pd.concat([frame(), sums(frame())]).to_csv(path, index=False),
        "the last row seems to hold totals ('age', 'spend' the sum of all above): remove it",
    ),
    "line-of-units": (
        "own.csv",
        lined(lambda number, line: line + "\nyears,EUR,," * (not number)),
        "row 0 (counted from 0 below the header) keeps 2 of 4 columns from being numbers ('years' in 'age', 'EUR' in"
        " 'spend': units, or a second header?): remove that line",
    ),
    "header-repeated": (
        "own.csv",
        lined(lambda number, line: line + "\nage,spend,plan,left" * (number == 50)),
        "row 50 (counted from 0 below the header) keeps 2 of 4 columns from being numbers (it repeats the names of the",
    ),
    "separators-at-the-end": ("own.csv", lined(lambda _, line: line + ","), "it is empty"),
    "codes": ("own.csv", csv(x=[f"{n // 2 % 8:03d}" for n in PLACE]), "categorical: [plan, x]"),
    "serial-dates": ("own.csv", csv(order_date=45_000 + PLACE // 2 * 7 % 99), "from 2023-03-15 to 2023-06-21"),
    "long-texts": ("own.csv", csv(x=["x" * 2000 + str(n % 3) for n in PLACE]), "texts of more than 1,000 letters"),
    "not-finite": (
        "own.csv",
        csv(x=[{3: "inf", 7: "1e400"}.get(n, str(n / 7)) for n in PLACE]),
        "2 of its cells are no",
    ),
    "beyond-32-bits": (
        "own.csv",
        csv(x=[{3: "1e39"}.get(n, str(n / 7)) for n in PLACE]),
        "1 of its cells are no number",
    ),
    "failed-formulas": (
        "own.csv",
        csv(x=["#DIV/0!" if n % 9 == 0 else str(n // 2 * 37 % 101 / 4) for n in PLACE]),
        "'#DIV/0!' stands for an empty cell",
    ),
    "words-among-numbers": (
        "own.xlsx",
        workbook(
            lambda rows: [
                [*row, head if head else n // 3 % 4]
                for n, (row, head) in enumerate(zip(rows, ["x", "?", *[""] * (ROWS - 1)], strict=True))
            ]
        ),
        "columns with words among other cells are taken as words: 'x'",
    ),
    "sentinel": (
        "own.csv",
        csv(size=[-999 if n % 9 == 0 else n // 2 * 37 % 101 / 4 for n in PLACE]),
        "'size' is -999.0 in 23 cells, far from all others (0 to 25): say --missing -999.0 if that stands for an empty",
    ),
    "classes-in-capitals": (
        "own.csv",
        csv(left=["NO" if n % 10 == 0 else word for n, word in enumerate(frame()["left"])]),
        "classes of 'left' that look the same count as different: 'NO' and 'no'",
    ),
    "classes-with-a-point": (
        "own.csv",
        csv(left=[("1", "2", "1.0", "2.0")[n % 4] for n in PLACE]),
        "classes of 'left' that look the same count as different: '1' and '1.0', '2' and '2.0'",
    ),
    "few-thousands": (
        "own.csv",
        few_thousands,
        "numbers are written with '.' between thousands, ',' before decimals",
    ),
    "durations": (
        "own.parquet",
        lambda path: frame().assign(x=pd.to_timedelta(PLACE * 61 % 997, unit="s")).to_parquet(path),
        "a duration: write it as a number, such as seconds",
    ),
    "copies": (
        "own.csv",
        lambda path: pd.concat([frame()[:40]] * 5).to_csv(path, index=False),
        "200 of 200 rows are the same as another in all columns that are used",
    ),
    "class-of-one-row": (
        "own.csv",
        csv(left=["maybe", *frame()["left"][1:]]),
        "1 of 3 classes have fewer than 10 rows (",
    ),
}


def own() -> Task:
    return load().task("own")


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_taken_is_said(said: Callable[..., str], case: str) -> None:
    name, make, says = TAKEN[case]
    found = said(name, make, "--target", "left")
    assert says in found
    raw = sources.fetch(own(), seed=0)
    assert len(raw) >= ROWS
    used = {*own().features, *own().categorical}
    taken = ("codes", "failed-formulas", "words-among-numbers", "minus-behind", "brackets")
    assert ("x" in used) == (case in taken)
    assert ("income" in used) == (case in ("typeset-thousands", "unbroken-thousands", "apostrophes", "few-thousands"))


def test_codes_keep_their_zeros(said: Callable[..., str]) -> None:
    said("own.csv", TAKEN["codes"][1], "--target", "left")
    assert own().categorical == ("plan", "x")
    assert sources.fetch(own(), seed=0).schema.columns[-1].categories[0] == "000"


def test_numbers_that_are_left_out_stay_out_where_no_other_is_used(said: Callable[..., str]) -> None:
    """Without a word on features all columns of numbers would be used."""
    table = frame()[["plan", "left"]].assign(number=PLACE)
    found = said("own.csv", lambda path: table.to_csv(path, index=False), "--target", "left")
    assert "it counts the rows" in found
    assert "no column of numbers is used: an attacker can change nothing" in found
    assert [column.name for column in sources.fetch(own(), seed=0).schema.columns] == ["plan"]


def test_a_number_that_stands_for_an_empty_cell_is_one_when_said(said: Callable[..., str]) -> None:
    found = said("own.csv", TAKEN["sentinel"][1], "--target", "left", "--missing", "-999.0")
    assert "'size' has 23 empty cells" in found


ODD_NAMES = {"age": " age\u00a0", "left": "gro\u0308\u00dfe"}
WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "own.csv": lambda table, path: table.to_csv(path, index=False),
    "own.parquet": lambda table, path: table.to_parquet(path),
    "own.feather": lambda table, path: table.to_feather(path),
    "own.jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    "own.xlsx": lambda table, path: table.to_excel(path, index=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_name_means_itself_in_another_unicode_form(said: Callable[..., str], name: str) -> None:
    odd = frame().rename(columns=ODD_NAMES)
    found = said(name, lambda path: WRITERS[name](odd, path), "--target", "gr\u00f6\u00dfe")
    assert "names in the header are normalized (blanks, Unicode form)" in found
    assert (own().target, own().features) == ("gr\u00f6\u00dfe", ("age", "spend"))
    assert len(sources.fetch(own(), seed=0)) == ROWS


@pytest.mark.parametrize("name", WRITERS)
def test_names_that_are_the_same_in_their_normal_form_are_refused(said: Callable[..., str], name: str) -> None:
    twice = frame().assign(**{"age ": PLACE})
    assert "names column 'age' twice" in said(
        name, lambda path: WRITERS[name](twice, path), "--target", "left", status=2
    )


REFUSED: dict[str, tuple[str, Make, str]] = {
    "separator-at-the-end": (
        "own.csv",
        lined(lambda number, line: line + "," * bool(number)),
        "it ends in a separator that the header does not end in",
    ),
    "twice": ("own.csv", text(lambda whole: whole.replace("spend", "age", 1)), "the header names column 'age' twice"),
    "page": ("own.csv", lambda path: path.write_text("<html><table></table></html>"), "it is a page of HTML"),
    "workbook-called-csv": ("own.csv", workbook(list), "it is a ZIP archive, as Excel's .xlsx is"),
    "not-packed": ("own.csv.gz", text(str), "cannot be unpacked: Not a gzipped file"),
    "broken-json": ("own.jsonl", lines(lambda rows: [*rows[:5], rows[5][:-1], *rows[6:]]), "line 6: Expecting ',' del"),
    "numbers-of-json": ("own.jsonl", lines(lambda _: ["1", "2"]), "record 0 is '1'; expected an object"),
    "two-tables": ("own.zip", packed("train.csv", "test.csv"), "holds 2 tables (train.csv, test.csv)"),
    "images-in-an-archive": ("own.zip", packed("cat/1.png"), "unpack it, and name the folder with its images"),
    "no-target": ("own.csv", csv(left=""), "--target left: the column is empty in all 200 rows"),
    "one-class": ("own.csv", csv(left="no"), "--target left: the column is always 'no'; expected at least two classes"),
    "identifier": ("own.csv", csv(left=[f"c{n}" for n in PLACE]), "all 200 values differ: an identifier or free text"),
    "numbers-not-finite": (
        "own.csv",
        csv(left=["1e400", *map(str, PLACE[1:] / 7)]),
        "1 cells are no number that 32 bits",
    ),
    "two-rows": ("own.csv", lambda path: frame()[:2].to_csv(path, index=False), "the table has 2 rows, too few"),
    "header-alone": ("own.csv", lambda path: frame()[:0].to_csv(path, index=False), "the table has 0 rows, too few"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_in_one_sentence(said: Callable[..., str], case: str) -> None:
    name, make, says = REFUSED[case]
    assert says in said(name, make, "--target", "left", status=2)
    assert "own" not in load().tasks

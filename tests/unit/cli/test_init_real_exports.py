"""`redoubt init` on what programs export: lines that are no rows, encodings without a mark, words for numbers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from redoubt.cli.init.related import giving_away
from redoubt.data import sources
from redoubt.params.load import load

ROWS = 200
PLACE = np.arange(ROWS)
Make = Callable[[Path], object]


def frame(**columns: object) -> pd.DataFrame:
    """Two informative numbers, a category, a class, and these columns more, or instead."""
    rng = np.random.default_rng(0)
    y = PLACE % 2
    own = {
        "age": (30 + 20 * y + rng.normal(0, 6, ROWS)).round(2),
        "spend": (100 - 40 * y + rng.normal(0, 15, ROWS)).round(2),
        "plan": rng.choice(["basic", "plus"], ROWS),
        "left": np.array(["no", "yes"])[y],
    }
    return pd.DataFrame({**own, **columns})


def csv(**columns: object) -> Make:
    """A plain CSV file."""
    return lambda path: frame(**columns).to_csv(path, index=False)


def text(change: Callable[[str], str], encoding: str = "utf-8", sep: str = ",") -> Make:
    """A CSV file whose text was changed."""
    return lambda path: path.write_bytes(change(frame().to_csv(index=False, sep=sep)).encode(encoding))


def row_names(whole: str) -> str:
    header, *rows = whole.splitlines()
    return "\n".join([header, *(f"{n},{row}" for n, row in enumerate(rows, start=1))])


def titled(path: Path) -> None:
    """A sheet whose header is in its third row."""
    table = pd.concat(
        [pd.DataFrame([["Report", *[None] * 3], [None] * 4, list(frame().columns)]), pd.DataFrame(frame().to_numpy())]
    )
    table.to_excel(path, index=False, header=False)


def money(path: Path) -> None:
    """A sheet with words for amounts, some empty."""
    price = [None if n % 20 == 0 else f"${1000 + n * 37 % 977:,.2f}" for n in PLACE]
    frame(price=price, rate=[f"{n * 7 % 50} %" for n in PLACE]).to_excel(path, index=False)


def wrapped(table: pd.DataFrame) -> dict[str, object]:
    return {"count": len(table), "results": table.to_dict("records")}


def days(form: str) -> list[str]:
    return pd.date_range("2020-01-01", periods=ROWS).strftime(form).tolist()


TAKEN: dict[str, tuple[str, Make, str]] = {
    "word-to-excel": ("own.csv", text(lambda whole: "sep=;\n" + whole, sep=";"), "left out: 'sep=;'"),
    "title": ("own.csv", text(lambda whole: "Report 2024;;;\n" + whole, sep=";"), "left out: 'Report 2024;;;'"),
    "title-of-one-cell": (
        "own.csv",
        text(lambda whole: "Report 2024\nof all customers\n\n" + whole),
        "the first 3 lines are above the names of the columns, and left out: 'Report 2024'",
    ),
    "title-in-a-workbook": ("own.xlsx", titled, "the first 2 rows of the sheet are above the names of the columns"),
    "remarks": ("own.csv", text(lambda whole: "# logger 2\n# unit: C\n" + whole), "left out: '# logger 2'"),
    "line-of-datev": (
        "own.csv",
        text(lambda whole: '"EXTF";700;21;"x";12;2024\n' + whole, sep=";"),
        'the first line is above the names of the columns, and left out: \'"EXTF"',
    ),
    "utf-16-unmarked": ("own.csv", text(str, "utf-16-le"), "taken for utf-16-le"),
    "utf-16-the-other-way": ("own.csv", text(str, "utf-16-be"), "taken for utf-16-be"),
    "utf-32": ("own.csv", text(str, "utf-32"), "taken for utf-32"),
    "blanks": ("own.txt", lambda path: path.write_text(frame().to_string(index=False)), "cells are separated by ' '"),
    "row-names-of-r": ("own.txt", text(row_names), "Unnamed: 0: it has no name: an index"),
    "data-of-uci": ("own.data", csv(), "features: [age, spend]"),
    "rows-of-separators": ("own.csv", text(lambda whole: whole + ",,,\n" * 30), "30 rows without a cell are left out"),
    "remark-alone": (
        "own.csv",
        text(lambda whole: whole + "Exported by ACME\n(200 rows)\n"),
        "row 200 (counted from 0 below the header) keeps 1 of 4 columns from being numbers ('Exported by ACME' in",
    ),
    "below-zero-alone": (
        "own.csv",
        csv(size=[-200 if n % 9 == 0 else 800 + n * 37 % 1001 for n in PLACE]),
        "'size' is -200 in 23 cells, the others not below 0 (",
    ),
    "time-of-day": ("own.csv", csv(x=[f"{n % 24:02d}.{n % 60:02d}.00" for n in PLACE]), "like a time of day"),
    "duration": ("own.csv", csv(x=[f"{n % 24}:{n * 7 % 60:02d}:11" for n in PLACE]), "a time of day or a duration"),
    "months-as-words": ("own.csv", csv(x=days("%d-%b-%Y")), "a date with its month as a word: write it like"),
    "months-first": ("own.csv", csv(x=days("%B %d, %Y")), "a date with its month as a word: write it like"),
    "days-as-digits": (
        "own.csv",
        csv(x=days("%Y%m%d")),
        "dates such as 20200101, it seems: write them like 2024-05-31",
    ),
    "telling-holes": (
        "own.csv",
        csv(x=["" if n % 2 == 0 else ("price", "moved", "service")[n % 3] for n in PLACE]),
        "whether its cells are empty tells the target",
    ),
    "amounts-in-a-workbook": ("own.xlsx", money, "features: [age, spend, price, rate]"),
    "wrapped-json": (
        "own.json",
        lambda path: path.write_text(json.dumps(wrapped(frame()), indent=1)),
        "read as the records in 'results' of a JSON object",
    ),
    "json-of-columns": ("own.json", lambda path: frame().to_json(path), "read as a JSON object of columns"),
    "json-of-lists": (
        "own.json",
        lambda path: path.write_text(json.dumps(frame().to_dict("list"))),
        "read as a JSON object of columns",
    ),
    "customers": ("own.csv", csv(customer_id=PLACE * 7 % 67), "an identifier, by its name: 67 different values"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_taken_is_said(said: Callable[..., str], case: str) -> None:
    name, make, says = TAKEN[case]
    assert says in said(name, make, "--target", "left")
    task = load().task("own")
    raw = sources.fetch(task, seed=0)
    assert raw.table is not None
    assert ("age" in task.features) == (case != "remark-alone")
    if "age" in task.features:
        assert np.array_equal(raw.table["age"].dropna(), frame()["age"])


def test_decimals_that_float32_cuts_far_below_the_spread_are_kept(said: Callable[..., str]) -> None:
    longitude = -73.97 + PLACE * 7919 % ROWS / 3e7 * 1e4 + PLACE * 1e-9
    assert "features: [age, spend, longitude]" in said("own.csv", csv(longitude=longitude), "--target", "left")


def test_a_target_that_two_columns_make_is_said_to_be(said: Callable[..., str]) -> None:
    rng = np.random.default_rng(1)
    casual, registered = rng.integers(10, 900, ROWS), rng.integers(100, 5000, ROWS)
    made = csv(casual=casual, registered=registered, cnt=casual + registered)
    assert "the target follows from other columns, cnt == casual + registered" in said(
        "own.csv", made, "--target", "cnt"
    )
    assert giving_away(pd.DataFrame({"casual": casual, "open": casual - 5, "cnt": registered}), "cnt") == ()


def test_a_sentinel_is_an_empty_cell_however_it_is_written(said: Callable[..., str]) -> None:
    sizes = ["-200" if n % 9 == 0 else "-200,0" if n % 9 == 1 else f"{800 + n * 37 % 1001},5" for n in PLACE]

    def make(path: Path) -> None:
        frame(size=sizes).to_csv(path, index=False, sep=";", decimal=",")

    assert "say --missing -200 -200.0" in said("own.csv", make, "--target", "left")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("  own:", "  older:"))
    Path("data/own/own.csv").unlink()
    assert "'size' has 46 empty cells" in said("own.csv", make, "--target", "left", "--missing", "-200", "-200.0")


def test_photos_are_turned_upright(said: Callable[..., str]) -> None:
    def make(folder: Path) -> None:
        for place in range(24):
            file = folder / ("cat", "dog")[place % 2] / f"{place}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            exif = Image.Exif()
            exif[0x0112] = 6
            image = Image.fromarray(np.repeat(np.linspace(0, 255, 16, dtype=np.uint8)[:, None], 8, axis=1))
            image.save(file, exif=exif)

    assert "24 images are turned upright, as their EXIF data say" in said("photos", make)
    x, _ = sources.fetch(load().task("own"), seed=0).images
    assert x.shape[1:3] == (8, 16)
    assert (x[:, :, 0] > x[:, :, -1]).all()


REFUSED: dict[str, tuple[str, Make, str]] = {
    "two-encodings": (
        "own.csv",
        lambda path: path.write_bytes(
            frame(plan="Köln").to_csv(index=False).encode() + "1,2,Köln,no\n".encode("cp1252")
        ),
        "is in UTF-8 but for line 202, which holds the byte 0xf6",
    ),
    "nothing-to-learn-from": (
        "own.csv",
        lambda path: frame(code=[f"c{n}" for n in PLACE])[["left", "code"]].to_csv(path, index=False),
        "no column of 'own.csv' but the target can be used",
    ),
    "names-in-a-later-line": (
        "own.csv",
        text(lambda whole: "X1,X2,X3,X4\n" + whole),
        "if the names are there, remove the lines above it, or say --skip 1",
    ),
    "one-column": (
        "own.txt",
        lambda path: path.write_text("age^plan^left\n" + "7^basic^no\n" * ROWS),
        "the file has one column: if its cells are separated otherwise",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_in_one_sentence(said: Callable[..., str], case: str) -> None:
    name, make, says = REFUSED[case]
    assert says in said(name, make, "--target", "left", status=2)
    assert "own" not in load().tasks


def test_lines_are_passed_over_when_said(said: Callable[..., str]) -> None:
    make = text(lambda whole: "X1,X2,X3,X4\n" + whole)
    assert "read: {skip: 1}" in said("own.csv", make, "--target", "left", "--skip", "1")
    assert len(sources.fetch(load().task("own"), seed=0)) == ROWS


def test_arrays_that_are_not_used_are_said_to_be(said: Callable[..., str]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (ROWS, 8, 8), dtype=np.uint8), PLACE % 2
    assert "the arrays ids are not used" in said("own.npz", lambda path: np.savez(path, x=x, y=y, ids=PLACE))


def test_a_training_set_alone_is_taken(said: Callable[..., str]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (ROWS, 8, 8), dtype=np.uint8), PLACE % 2
    found = said("own.npz", lambda path: np.savez(path, x_train=x, y_train=y))
    assert "images and classes are read from 'x_train', 'y_train'" in found


@pytest.mark.parametrize(("names", "such"), [(("test", "train"), "photos/train"), (("cat", "dog"), "photos/cat")])
def test_folders_of_folders_are_told_apart(said: Callable[..., str], names: tuple[str, str], such: str) -> None:
    def make(folder: Path) -> None:
        for place in range(8):
            file = folder / names[place % 2] / f"s{place % 3}" / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8)).save(file)

    assert f"whose folders are the classes, such as {such}; if '{names[0]}' is a class" in said(
        "photos", make, status=2
    )


def test_where_words_are_all_that_is_used_the_key_that_lets_them_be_switched_is_said(said: Callable[..., str]) -> None:
    make = csv(age="old", spend=["a" if n % 3 else "b" for n in PLACE])
    assert "unless categories that he can switch are named under 'mutable'" in said("own.csv", make, "--target", "left")

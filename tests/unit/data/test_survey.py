"""What a source holds and how each column of it is used is said, so that nothing vanishes without a word."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.ingest import SHOWN, describe
from redoubt.core.store import read_json
from redoubt.data import sources
from redoubt.data.shared.dataset import COLUMNS, read, save
from redoubt.data.shared.survey import Found, Survey
from redoubt.params.load import Params

ROWS = 40
PLACE = np.arange(ROWS)
BASE = {"age": 20 + PLACE * 7 % 40, "left": np.array(["no", "yes"])[PLACE % 2]}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def surveyed(params: Params, columns: dict[str, Any], **changes: Any) -> Survey:
    pd.DataFrame(columns).to_csv("own.csv", index=False)
    own = {"source": "own.csv", "target": "left", "features": (), "categorical": ()}
    return sources.fetch(params.tasks["diagnosis"].model_copy(update=own | changes), 1).survey


def only(survey: Survey, name: str) -> Found:
    return next(column for column in survey.columns if column.name == name)


TEXTS: dict[str, tuple[list[str], str, str]] = {
    "thousands": ([f"{1000 + 13 * i:,.2f}" for i in range(ROWS)], "a number with thousands separators", "write 1234.5"),
    "percent": ([f"{i} %" for i in range(ROWS)], "a percentage", "write it as a plain number"),
    "money": ([f"${i}.50" for i in range(ROWS)], "an amount of money", "the number alone"),
    "comma": ([f"{i},5" for i in range(ROWS)], "a number with a decimal comma", "write 1.5 for 1,5"),
    "unit": ([f"{i} kg" for i in range(ROWS)], "a number with a unit", "the number alone"),
    "flag": (["TRUE", "FALSE"] * (ROWS // 2), "yes or no", "under 'categorical', or write 1 and 0"),
    "date": ([f"2024-01-{1 + i % 28:02d}" for i in range(ROWS)], "a date", "under 'dates'"),
    "german-date": ([f"{1 + i % 28:02d}.01.2024" for i in range(ROWS)], "a date", "under 'dates'"),
    "names": ([f"person {i}" for i in range(ROWS)], "an identifier or free text: all values differ", "leave it out"),
    "words": (["red", "green", "blue", "grey"] * (ROWS // 4), "words, 4 different", "name it under 'categorical'"),
    "empty": ([""] * ROWS, "empty", "leave it out"),
    "same": (["Ulm"] * ROWS, "always the same word", "categorical"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_column_of_text_is_left_out_with_its_reason(params: Params, case: str) -> None:
    cells, holds, fix = TEXTS[case]
    found = only(surveyed(params, BASE | {"more": cells}), "more")
    assert (found.holds, found.used) == (holds, "left out")
    assert fix in found.why


def test_text_in_a_declared_feature_is_told_what_it_looks_like(params: Params) -> None:
    with pytest.raises(sources.SourceError, match="they look like a percentage: write it as a plain number"):
        surveyed(params, BASE | {"more": TEXTS["percent"][0]}, features=("more",))


def test_columns_that_are_used(params: Params) -> None:
    columns = BASE | {"visits": PLACE % 5, "plan": ["a", "b"] * (ROWS // 2), "note": ["x"] * ROWS}
    survey = surveyed(params, columns, features=("age", "visits"), categorical=("plan",), integer=("visits",))
    assert [(each.name, each.used) for each in survey.columns] == [
        ("age", "number"),
        ("left", "target"),
        ("visits", "integer"),
        ("plan", "category"),
        ("note", "left out"),
    ]
    assert only(survey, "age").shows == "20 to 59"
    assert only(survey, "plan").shows == "a 20, b 20"
    assert only(survey, "note").why == "params.yaml does not name it"
    assert survey.notes == ()


def test_an_index_that_was_exported_is_no_feature(params: Params) -> None:
    pd.DataFrame(BASE).to_csv("own.csv")
    own = {"source": "own.csv", "target": "left", "features": (), "categorical": ()}
    task = params.tasks["diagnosis"].model_copy(update=own)
    raw = sources.fetch(task, 1)
    assert raw.schema.input_names == ["age"]
    assert "it has no name" in only(raw.survey, "Unnamed: 0").why
    pd.DataFrame(BASE | {"": [None] * ROWS}).to_csv("own.csv", index=False)
    assert only(sources.fetch(task, 1).survey, "Unnamed: 2").why == "it is empty"
    pd.DataFrame(BASE).to_csv("own.csv")
    raw = sources.fetch(task.model_copy(update={"features": ("Unnamed: 0",)}), 1)
    assert raw.schema.input_names == ["Unnamed: 0"]


def test_numbers_among_empty_cells_are_numbers(params: Params) -> None:
    cells = [f"{place / 4}" if place % 3 == 0 else "" for place in range(ROWS)]
    found = only(surveyed(params, BASE | {"more": cells}, features=("age",)), "more")
    assert (found.holds, found.shows) == ("numbers, 26 empty", "0.0, 0.75, 1.5")


LABELS = {
    "case": ["no", "NO", "yes", "yes"],
    "dot": ["no", "no", "yes.", "yes"],
    "numbers": ["1", "1.0", "2", "2.0"],
    "wide": ["no", "\uff4e\uff4f", "yes", "yes"],
}
NOTED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    **{
        f"labels-{name}": ({"left": np.array(words)[PLACE % 4]}, {}, "classes of 'left' that look the same count as")
        for name, words in LABELS.items()
    },
    "blank": (
        {"left": np.array(["no", "no", "yes ", "yes"])[PLACE % 4]},
        {},
        "column 'left': 10 cells are normalized (blanks: 'yes ' is 'yes')",
    ),
    "composed": (
        {"plan": np.array(["S\u00e3o", "Sa\u0303o"])[PLACE % 2]},
        {"categorical": ("plan",)},
        r"column 'plan': 20 cells are normalized (Unicode NFC: 'Sa\u0303o' is 'S\xe3o')",
    ),
    "categories": ({"plan": np.array(["a", "A"])[PLACE % 2]}, {"categorical": ("plan",)}, "values of 'plan' that look"),
    "row-number": ({"id": PLACE + 7}, {}, "column 'id' only rises or only falls from row to row"),
    "falling": ({"id": -1.5 * PLACE}, {}, "column 'id' only rises or only falls"),
    "constant": ({"flat": 3}, {}, "column 'flat' is always the same"),
    "copy": (
        {"left": PLACE % 2, "copy": (PLACE % 2).astype(str)},
        {"categorical": ("copy",)},
        "is a copy of the target",
    ),
    "empty": ({"age": np.where(PLACE % 8 == 0, np.nan, PLACE % 9)}, {}, "5 of 40 rows have an empty cell (age 5)"),
    "case-of-names": ({"Age": PLACE % 3}, {}, "columns 'age', 'Age' differ only in upper and lower case"),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_the_owner_should_know(params: Params, case: str) -> None:
    columns, changes, says = NOTED[case]
    notes = surveyed(params, BASE | columns, **changes).notes
    assert any(says in note for note in notes), notes


def test_rare_classes_and_identifiers(params: Params) -> None:
    place = np.arange(200)
    columns = {"age": place * 7 % 40, "left": np.where(place == 0, "maybe", np.array(["no", "yes"])[place % 2])}
    notes = surveyed(params, columns | {"code": [f"c{i % 60}" for i in place]}, categorical=("code",)).notes
    assert any("rare classes, below 2.0% of 200 rows" in note and "'maybe' 1" in note for note in notes)
    assert any("column 'code' has 60 different values" in note for note in notes)
    with pytest.raises(sources.SourceError, match="'code' has too many different values .*: 2,000 came, at most 1,000"):
        wide = {"age": range(2000), "left": ["a", "b"] * 1000, "code": [f"c{i}" for i in range(2000)]}
        surveyed(params, wide, categorical=("code",))


def test_an_ordinary_table_is_not_nagged(params: Params) -> None:
    for name in ("evolution", "diagnosis", "digits"):
        survey = sources.fetch(params.tasks[name], 20).survey
        assert survey.notes == ()
        assert len(survey.columns) in (6, 31, 2)


def test_the_survey_is_kept_beside_the_data(params: Params, tmp_path: Path) -> None:
    raw = sources.fetch(params.tasks["digits"], 20)
    for name in ("first", "second"):
        save(tmp_path / name, raw)
    kept = (tmp_path / "first" / COLUMNS).read_bytes()
    assert kept == (tmp_path / "second" / COLUMNS).read_bytes()
    assert read_json(tmp_path / "first" / COLUMNS)["columns"][1]["name"] == "digit"
    assert len(read(tmp_path / "first")) == len(raw)


def test_what_is_read_back_is_what_was_ingested(params: Params, tmp_path: Path) -> None:
    text = "age,plan,left\n" + "".join(f'{i},"a\rb",no\n{i},"x,""y",yes\n' for i in range(20))
    Path("own.csv").write_bytes(text.encode())
    own = {"source": "own.csv", "target": "left", "features": (), "categorical": ("plan",)}
    raw = sources.fetch(params.tasks["diagnosis"].model_copy(update=own), 1)
    save(tmp_path / "raw", raw)
    back = read(tmp_path / "raw").table
    assert raw.table is not None
    assert back is not None
    assert back.equals(raw.table)


def test_ingest_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [
        Found("pay [b]", "a percentage", "1 %", "left out", "write it as a number"),
        Found("y", "2", "", "target"),
    ]
    describe("own", 40, Survey(tuple(columns), ("mind [the] gap",)))
    said = capsys.readouterr().out
    assert all(words in said for words in ("own: 40 rows", "pay [b]", "because", "warning: mind [the] gap"))
    assert "warning: column 'pay [b]' is left out: write it as a number" in said
    assert max(map(len, said.splitlines())) <= 120
    many = [Found(f"s{i}", "numbers", "", "number") for i in range(2000)]
    describe("own", 40, Survey((*many, *columns)))
    said = capsys.readouterr().out
    assert len(said.splitlines()) < SHOWN + 10
    assert all(words in said for words in ("pay [b]", "target", f"and {2002 - SHOWN:,} more columns"))


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (np.array([b"cat", b"dog"]), ("cat", "dog")),
        (np.array([0.0, 1.0]), ("0", "1")),
        (np.array([0.5, 1.0]), ("0.5", "1.0")),
        (np.array([True, False]), ("False", "True")),
    ],
    ids=["bytes", "whole-floats", "halves", "flags"],
)
def test_labels_of_images(params: Params, y: np.ndarray, labels: tuple[str, ...]) -> None:
    np.savez("own.npz", x=np.zeros((2, 4, 4), np.uint8), y=y)
    task = params.tasks["digits"].model_copy(update={"source": "own.npz"})
    assert sources.fetch(task, 1).schema.labels == labels


def test_codes_beside_a_gap_stay_whole(params: Params) -> None:
    codes = np.where(PLACE == 3, np.nan, PLACE % 2 + 1)
    pd.DataFrame({"age": BASE["age"], "left": codes}).to_parquet("own.parquet")
    own = {"source": "own.parquet", "target": "left", "features": (), "categorical": ()}
    assert sources.fetch(params.tasks["diagnosis"].model_copy(update=own), 1).schema.labels == ("1", "2")


MISTAKES = {
    "nan": ({"y": np.array([0, np.nan])}, "y holds 1 values that are no class, the first in row 1: nan"),
    "16-bits": ({"x": np.full((2, 8, 8), 4095, np.uint16)}, "largest value is 4095: divide by"),
    "no-pixels": ({"x": np.zeros((2, 0, 8), np.uint8)}, r"x has shape \(2, 0, 8\)"),
    "no-images": ({"x": np.zeros((0, 8, 8)), "y": np.zeros(0)}, r"x has shape \(0, 8, 8\)"),
    "values": ({"x": np.zeros((1001, 2, 2), np.uint8), "y": np.arange(1001)}, "too many classes: 1,001 came"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_images_get_one_sentence_that_says_what_to_do(params: Params, case: str) -> None:
    arrays, says = MISTAKES[case]
    np.savez("own.npz", **({"x": np.zeros((2, 8, 8), np.uint8), "y": np.zeros(2)} | arrays))
    with pytest.raises(sources.SourceError, match=says):
        sources.fetch(params.tasks["digits"].model_copy(update={"source": "own.npz"}), 1)


def test_a_folder_is_called_a_folder(params: Params) -> None:
    Path("shapes").mkdir()
    with pytest.raises(sources.SourceError, match="source 'shapes' is a folder; expected a file that ends in"):
        sources.fetch(params.tasks["digits"].model_copy(update={"source": "shapes"}), 1)

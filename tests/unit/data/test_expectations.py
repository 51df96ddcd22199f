import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from redoubt.bundle.base.io import digest
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.store import dumps
from redoubt.data import sources
from redoubt.data.expectations import validate
from redoubt.data.own_rules import OwnRuleError
from redoubt.data.shared.dataset import Raw
from redoubt.data.verdict import ValidationError
from redoubt.params.load import Params
from redoubt.params.settings.own_rules import OwnRule
from redoubt.params.task import Task

ROWS = 120
COLUMNS = (Column(name="age", kind="number"), Column(name="city", kind="category", categories=("Bonn", "Ulm")))


@pytest.fixture(scope="module")
def task(params: Params) -> Task:
    return params.tasks["diagnosis"].model_copy(update={"name": "own", "source": "own.csv"})


def own_table(**columns: Any) -> Raw:
    rows = np.arange(ROWS)
    frame = {"age": rows + 0.5, "city": np.where(rows % 3, "Ulm", "Bonn"), "grade": np.where(rows % 2, "a", "b")}
    table = pd.DataFrame({name: pd.Series(cells) for name, cells in (frame | columns).items()})
    labels = tuple(sorted(table["grade"].dropna().unique()))
    schema = Schema(task="own", kind="classification", target="grade", columns=COLUMNS, shape=(3,), labels=labels)
    return Raw(schema, "own.csv", "own.csv", table=table)


def own_images(change: float = 1.0, **fields: Any) -> Raw:
    x = (np.random.default_rng(1).integers(0, 256, (ROWS, 4, 4, 1)) * change).astype(np.uint8)
    schema = Schema(task="own", kind="image", target="digit", shape=(4, 4, 1), labels=("0", "1"))
    return Raw(schema, "own.npz", "own.npz", **({"x": x, "y": np.arange(ROWS) % 2, "levels": 255} | fields))


def replaced(cells: dict[int, Any], column: str) -> Raw:
    table = own_table().table
    assert table is not None
    values = list(table[column])
    for row, value in cells.items():
        values[row] = value
    return own_table(**{column: values})


@pytest.mark.parametrize("name", ["evolution", "diagnosis", "digits"])
def test_bundled_sets_pass(name: str, params: Params) -> None:
    verdict = validate(sources.fetch(params.tasks[name], seed=20), params.tasks[name])
    verdict.require(Path("index.html"))
    assert verdict.passed
    assert all(rule["passed"] for rule in verdict.report["rules"])


@pytest.mark.parametrize("name", ["mnist", "pokemon_cp", "types"])
def test_real_sets_pass(name: str, params: Params, mirror: Path) -> None:
    validate(sources.fetch(params.tasks[name], seed=20), params.tasks[name]).require(Path("index.html"))


def test_good_data_pass(task: Task) -> None:
    assert validate(own_table(), task).passed
    assert validate(own_images(), task).passed


TWINS = own_table(age=np.arange(ROWS) // 4 * 1.0, city=["Ulm"] * ROWS)
ONE_CLASS = own_table(grade=["a"] * ROWS)
RARE = own_table(grade=["a"] * (ROWS - 1) + ["rare"])
NAN_IMAGE = own_images(
    x=np.where(np.arange(ROWS)[:, None, None, None] == 7, np.nan, 0.5) * np.ones((1, 4, 4, 1)), levels=1
)

BROKEN = {
    "nan": (replaced({3: np.nan, 9: np.nan}, "age"), "no empty cell", "age", [3, 9], None),
    "empty-category": (replaced({5: np.nan}, "city"), "no empty cell", "city", [5], None),
    "infinity": (replaced({4: -np.inf}, "age"), "finite", "age", [4], "-inf"),
    "beyond-32-bits": (replaced({4: 1e39}, "age"), "finite", "age", [4], 1e39),
    "text": (replaced({4: "old"}, "age"), "numbers", "age", [], None),
    "unknown-category": (replaced({6: "Rom"}, "city"), "known categories", "city", [6], "Rom"),
    "duplicates": (TWINS, "duplicates", "(content digest)", [0, 1], None),
    "one-class": (ONE_CLASS, "more than one class", "grade", [], None),
    "rare-class": (RARE, "enough of each class for the folds", "(rows of its class)", [ROWS - 1], 1.0),
    "unbalanced": (RARE, "class balance", "(share of its class)", [ROWS - 1], 1 / ROWS),
    "too-few-rows": (own_table(age=[1.0], city=["Ulm"], grade=["a"]), "enough rows", None, [], None),
    "pixel-range": (own_images(levels=16), "pixel range", "(brightest pixel)", [0], None),
    "nearly-black": (own_images(1 / 255), "full range used", "(brightest pixel)", [], None),
    "blank": (own_images(0.0), "brightness", "(mean pixel)", [], None),
    "same-images": (own_images(0.0), "duplicates", "(content digest)", [0, 1], None),
    "nan-pixel": (NAN_IMAGE, "no broken pixel", "(darkest pixel)", [7], None),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_name_the_rule_the_rows_and_the_mend(case: str, task: Task) -> None:
    raw, rule, column, rows, value = BROKEN[case]
    verdict = validate(raw, task)
    failed = [found for found in verdict.report["rules"] if not found["passed"]]
    found = next(found for found in failed if (found["rule"], found["column"]) == (rule, column))
    assert [row["row"] for row in found["rows"]][: len(rows)] == rows
    if value is not None:
        assert found["rows"][0]["value"] == value
    with pytest.raises(ValidationError) as error:
        verdict.require(Path("index.html"))
    for words in (rule, *(f"row {row}" for row in rows), found["fix"], "index.html"):
        assert words in str(error.value)


def test_a_missing_column_is_one_of_the_findings(task: Task) -> None:
    raw = own_table()
    assert raw.table is not None
    verdict = validate(replace(raw, table=raw.table.drop(columns="age")), task)
    failed = {(rule["rule"], rule["column"]): rule for rule in verdict.report["rules"] if not rule["passed"]}
    assert ("columns", None) in failed
    assert "could not be checked" in failed["no empty cell", "age"]["observed"]


def test_declared_tolerances_are_respected(task: Task) -> None:
    loose = task.model_copy(
        update={"checks": task.checks.model_copy(update={"max_missing": 0.02, "max_duplicates": 1.0})}
    )
    assert validate(replaced({3: np.nan, 9: np.nan}, "age"), loose).passed
    assert not validate(replaced({3: np.nan, 9: np.nan, 11: np.nan}, "age"), loose).passed
    assert validate(TWINS, loose).passed


def test_rows_with_empty_cells_and_the_own_test_set_do_not_count_for_the_folds(task: Task) -> None:
    loose = task.model_copy(update={"checks": task.checks.model_copy(update={"max_missing": 1.0})})
    scarce = replace(replaced(dict.fromkeys(range(0, ROWS - 10, 2), np.nan), "age"), test_from=ROWS - 2)
    found = {rule["rule"]: rule for rule in validate(scarce, loose).report["rules"]}
    assert found["enough of each class for the folds"]["rows"][0] == {"row": 0, "value": 4.0}


@pytest.mark.parametrize("raw", [BROKEN["nan"][0], own_images()], ids=["table", "images"])
def test_the_page_loads_nothing_and_tells_no_time(raw: Raw, task: Task) -> None:
    page = validate(raw, task).page
    assert not re.search(r"<script|<link|<img(?![^>]*src=\"data:)|https?://|url\(", page)
    assert not re.search(r"20\d\d-?\d\d-?\d\d|[0-9a-f]{8}-[0-9a-f]{4}-", re.sub('data:image[^"]*', "", page))
    assert "Success Percent" in page


PROGRAM = """
import sys
from redoubt.bundle.base.io import digest
from redoubt.data.expectations import validate
from redoubt.core.store import dumps
from redoubt.data.sources import fetch
from redoubt.params.load import load
task = load(sys.argv[1]).tasks["evolution"].model_copy(update={"features": ("cp", "hp")})
verdict = validate(fetch(task, 1), task)
print(verdict.passed, digest((verdict.page + dumps(verdict.report)).encode()))
"""


def test_two_processes_agree_byte_for_byte(project: Path, params: Params) -> None:
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(project / "params.yaml")],
        env={"PYTHONPATH": str(project / "src"), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    task = params.tasks["evolution"].model_copy(update={"features": ("cp", "hp")})
    here = validate(sources.fetch(task, 1), task)
    assert not here.passed
    assert there == f"False {digest((here.page + dumps(here.report)).encode())}\n"


def test_the_report_is_plain_json(task: Task) -> None:
    assert '"rule": "no empty cell"' in dumps(validate(BROKEN["nan"][0], task).report)


def wide_table(columns: int = 120) -> Raw:
    names = [f"f{place}" for place in range(columns)]
    cells = np.random.default_rng(2).normal(size=(ROWS, columns))
    words = pd.DataFrame({"city": ["Ulm"] * ROWS, "grade": np.where(np.arange(ROWS) % 2, "a", "b")}, dtype="str")
    table = pd.concat([pd.DataFrame(cells, columns=names), words], axis=1)
    kinds = [Column(name=name, kind="number") for name in names]
    kinds.append(Column(name="city", kind="category", categories=("Bonn", "Ulm")))
    schema = Schema(
        task="own", kind="classification", target="grade", columns=tuple(kinds), shape=(columns + 2,), labels=("a", "b")
    )
    return Raw(schema, "own.csv", "own.csv", table=table)


def test_a_wide_table_is_checked_by_few_rules_whatever_its_width(task: Task) -> None:
    verdict = validate(wide_table(), task)
    assert verdict.passed
    assert len(verdict.report["rules"]) < 20


@pytest.mark.parametrize(
    ("column", "row", "value", "rule"),
    [
        ("f7", 5, np.nan, "no empty cell"),
        ("f7", 6, -np.inf, "finite"),
        ("f0", 7, 1e39, "finite"),
        ("city", 8, "Rom", "known categories"),
        ("grade", 9, None, "no empty cell"),
    ],
)
def test_a_wide_table_names_the_row_and_the_column_too(
    column: str, row: int, value: Any, rule: str, task: Task
) -> None:
    raw = wide_table()
    assert raw.table is not None
    raw.table.loc[[row, row + 20, row + 40], column] = value
    verdict = validate(raw, task)
    failed = [found for found in verdict.report["rules"] if not found["passed"]]
    assert {(found["rule"], found["column"]) for found in failed} >= {(rule, column)}
    with pytest.raises(ValidationError, match=f"column {column}: ") as error:
        verdict.require(Path("index.html"))
    assert f"row {row}: " in str(error.value)


def own(type_: str, **kwargs: Any) -> OwnRule:
    return OwnRule(type=type_, arguments=kwargs)


def test_a_rule_of_the_users_names_row_column_rule_and_value(task: Task) -> None:
    rules = [
        own("expect_column_values_to_be_between", column="age", min_value=0, max_value=110),
        own("expect_column_values_to_be_between", column="age", min_value=0.0, max_value=110.0),
        # The same as one that follows from the task.
        own("expect_column_values_to_be_in_set", column="grade", value_set=["a", "b"]),
        own("expect_table_column_count_to_equal", value=3),
    ]
    verdict = validate(own_table(), task, rules)
    with pytest.raises(ValidationError) as error:
        verdict.require(Path("index.html"))
    failed = [found for found in verdict.report["rules"] if not found["passed"]]
    assert [(found["rule"], found["column"]) for found in failed] == [("your own rule", "age")]
    for words in (
        "column 'age': your own rule: expected column_values_to_be_between (min_value 0, max_value 110)",
        "row 110: 110.5",
        "expectations/own.json",
    ):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (own("expect_nothing", column="age"), "rule 1: Great Expectations knows no 'expect_nothing'"),
        (own("expect_column_values_to_be_between", colum="age", min_value=1), "column: field required"),
        (own("expect_column_values_to_be_in_set", column="age"), "value_set: field required"),
    ],
)
def test_a_rule_that_cannot_be_checked_is_refused(rule: OwnRule, words: str, task: Task) -> None:
    with pytest.raises(OwnRuleError, match=re.escape(words)):
        validate(own_table(), task, [rule])

import json
from datetime import date, datetime
from typing import Any

import numpy as np
import pytest

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.column import Column, Missing
from redoubt.bundle.dates import PARTS, Dated, moment
from redoubt.bundle.schema import Schema

SINCE = Dated(name="since", parts=PARTS, start=date(2020, 1, 31))
COLUMNS = tuple(Column(name=name, kind="integer", immutable=True) for name in SINCE.columns)
SCHEMA = Schema(
    task="own",
    kind="regression",
    target="y",
    columns=(*COLUMNS, Column(name="age", kind="number")),
    shape=(7,),
    dates=(SINCE,),
)
FRIDAY = [2024.0, 5.0, 31.0, 5.0, 17.0, 1582.0]

MOMENTS: dict[str, datetime | None] = {
    "2024-05-31": datetime(2024, 5, 31),
    " 2024-05-31 ": datetime(2024, 5, 31),
    "2024-05": datetime(2024, 5, 1),
    "2024-05-31T17:20": datetime(2024, 5, 31, 17, 20),
    "2024-05-31 17:20:01.5": datetime(2024, 5, 31, 17, 20, 1, 500_000),
    "2024-05-31T17:20:00Z": datetime(2024, 5, 31, 17, 20),
    "2024-06-01T01:20:00+08:00": datetime(2024, 5, 31, 17, 20),
    "31.05.2024": None,
    "05/31/2024": None,
    "2024-13-01": None,
    "2024": None,
    "0001-01-01T00:00+05:00": None,
    "": None,
}


@pytest.mark.parametrize("text", MOMENTS)
def test_what_is_a_date(text: str) -> None:
    assert moment(text) == MOMENTS[text]


@pytest.mark.parametrize("value", [20240531, 2024.5, True, None, ["2024-05-31"]])
def test_only_text_is_a_date(value: object) -> None:
    assert moment(value) is None


def test_a_date_stands_for_its_parts() -> None:
    by_date = SCHEMA.encode([{"age": 3.5, "since": "2024-05-31T17:20"}])
    by_parts = SCHEMA.encode([{"age": 3.5, **dict(zip(SINCE.columns, map(int, FRIDAY), strict=True))}])
    assert by_date.tolist() == by_parts.tolist() == [[*FRIDAY, 3.5]]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "german": ({"since": "31.5.2024"}, "input 0: column 'since' is '31.5.2024'; expected a date such as 2024-05-31"),
    "number": ({"since": 45_000}, "column 'since' is 45000; expected a date"),
    "twice": ({"since": "2024-05-31", "since_year": 2024}, "'since' gives the column 'since_year' already"),
    "empty": (
        {"since": None},
        "column 'since' is null; expected a date such as .* the task declares no `missing` policy for its parts",
    ),
    "blank": ({"since": " "}, "column 'since' is ' ', which is empty; expected a date such as"),
    "empty part": ({"since_year": None}, "column 'since_month' is missing"),
    "none": ({}, "column 'since' is missing; expected since, age"),
    "part": ({"since_year": 2024}, "column 'since_month' is missing; expected since_year, since_month, since_day"),
    "unknown": ({"since": "2024-05-31", "ages": 3}, "unknown column 'ages'; expected since, age"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_date_is_refused(name: str) -> None:
    record, sentence = REFUSED[name]
    with pytest.raises(InputError, match=sentence):
        SCHEMA.encode([{"age": 1.0, **record}])


def test_an_empty_date_counts_as_its_parts_say() -> None:
    filled = tuple(each.model_copy(update={"missing": Missing(how="median", value=7.0)}) for each in COLUMNS)
    schema = SCHEMA.model_copy(update={"columns": (*filled, SCHEMA.columns[-1])})
    for record in ({"since": None}, {"since": " "}, {}):
        assert schema.encode([{"age": 1.0, **record}]).tolist() == [[7.0] * 6 + [1.0]]


def test_a_date_of_which_one_part_has_no_policy_is_refused_by_its_own_name() -> None:
    filled = tuple(each.model_copy(update={"missing": Missing(how="median", value=7.0)}) for each in COLUMNS[:-1])
    schema = SCHEMA.model_copy(update={"columns": (*filled, *SCHEMA.columns[-2:])})
    with pytest.raises(InputError, match="column 'since' is null; .* no `missing` policy for 'since_days'$"):
        schema.encode([{"age": 1.0, "since": None}])


def test_no_attacker_changes_a_date() -> None:
    assert SCHEMA.mutable.tolist() == [False] * 6 + [True]


def test_a_schema_without_dates_has_the_bytes_it_always_had() -> None:
    plain = SCHEMA.model_copy(update={"dates": ()})
    assert "dates" not in plain.model_dump_json()
    assert Schema.model_validate_json(SCHEMA.model_dump_json()) == SCHEMA
    assert Schema.model_validate(json.loads(json.dumps(SCHEMA.model_dump()))) == SCHEMA


def test_a_part_that_is_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match="'since_year' is a part of a date and no column"):
        Schema.model_validate({**SCHEMA.model_dump(), "columns": [SCHEMA.columns[-1].model_dump()], "shape": [1]})


def test_one_more_day_is_one_more() -> None:
    rows = SCHEMA.encode([{"age": 0.0, "since": f"2024-02-{day:02d}"} for day in range(1, 30)])
    assert np.diff(rows[:, 5]).tolist() == [1.0] * 28
    assert rows[:, 3].tolist() == [float((day + 2) % 7 + 1) for day in range(1, 30)]

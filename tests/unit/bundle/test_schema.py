from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from tests.support.tiny import IMAGE, NUMBER, SCHEMAS, TABLE

SCHEMA = SCHEMAS[TABLE]
RECORD: dict[str, Any] = {"weight": 1200.0, "age": 0.5, "colour": "green"}
LARGEST = float(np.finfo(np.float32).max)

numbers = st.floats(-LARGEST, LARGEST, width=32) | st.integers(-(10**6), 10**6)
records = st.fixed_dictionaries({"weight": numbers, "age": numbers, "colour": st.sampled_from(["red", "green"])})


@given(st.lists(records, max_size=5))
def test_records_become_rows_with_categories_one_hot(given_records: list[dict[str, Any]]) -> None:
    x = SCHEMA.encode(given_records)
    assert (x.dtype, x.shape) == (np.float32, (len(given_records), 4))
    for row, record in zip(x, given_records, strict=True):
        assert row[:2].tolist() == [np.float32(record["weight"]), np.float32(record["age"])]
        assert dict(zip(("red", "green"), row[2:].tolist(), strict=True))[record["colour"]] == row[2:].sum() == 1.0


def test_a_record_may_come_in_any_order_and_hold_numpy_numbers() -> None:
    shuffled = {"colour": "green", "age": np.float32(0.5), "weight": np.int64(1200)}
    assert np.array_equal(SCHEMA.encode([shuffled]), SCHEMA.encode([RECORD]))


def test_names_and_kinds_follow_the_order_of_the_inputs() -> None:
    assert SCHEMA.input_names == ["weight", "age", "colour=red", "colour=green"]
    assert SCHEMA.numeric.tolist() == [True, True, False, False]
    assert SCHEMA.mutable.tolist() == SCHEMA.numeric.tolist()
    assert {name: schema.outputs for name, schema in SCHEMAS.items()} == {IMAGE: 3, TABLE: 2, NUMBER: 1}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"weight": 1, "age": 1}, "column 'colour' is missing; expected weight, age, colour"),
    "unknown": ({**RECORD, "color": "red"}, "unknown column 'color'; expected weight, age, colour"),
    "category": (
        {**RECORD, "colour": "Green"},
        "column 'colour' is 'Green'; expected one of 'red', 'green' \\(did you mean",
    ),
    "list-for-a-category": (
        {**RECORD, "colour": ["red"]},
        "column 'colour' is \\['red'\\], not a text; expected one of",
    ),
    "number-for-a-category": (
        {**RECORD, "colour": 3},
        "column 'colour' is 3, not a text; expected one of 'red', 'green'",
    ),
    "text": ({**RECORD, "age": "1"}, "column 'age' is '1'; expected a finite number"),
    "flag": ({**RECORD, "age": True}, "column 'age' is True; expected a finite number"),
    "nothing": ({**RECORD, "age": None}, "column 'age' is null; expected a finite number: the task declares no"),
    "nan": ({**RECORD, "age": float("nan")}, "column 'age' is nan; expected a finite number"),
    "infinity": ({**RECORD, "age": float("-inf")}, "column 'age' is -inf; expected a finite number"),
    "beyond-float32": ({**RECORD, "age": 1e39}, "column 'age' is 1e\\+39; expected a finite number"),
    "beyond-float64": ({**RECORD, "age": 10**400}, "column 'age' is 1000+; expected a finite number"),
    "list-for-a-number": ({**RECORD, "age": [1.0]}, "column 'age' is \\[1.0\\]; expected a finite number"),
}


def test_two_spellings_that_look_alike_are_one() -> None:
    schema = SCHEMA.model_copy(
        update={"columns": (Column(name="city", kind="category", categories=("S\xe3o",)),), "shape": (1,)}
    )
    assert schema.encode([{"city": "Sa\u0303o"}]).tolist() == [[1.0]]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_record_is_refused_with_its_row_and_column(name: str) -> None:
    record, says = WRONG[name]
    with pytest.raises(InputError, match=f"^input 1: {says}"):
        SCHEMA.encode([RECORD, record])


@pytest.mark.parametrize("spelled", [("False", "True"), ("FALSE", "TRUE"), ("false", "true", "unknown")])
def test_a_flag_is_the_category_that_is_spelled_so(spelled: tuple[str, ...]) -> None:
    column = Column(name="active", kind="category", categories=spelled)
    schema = SCHEMA.model_copy(update={"columns": (column,), "shape": (len(spelled),)})
    found = schema.encode([{"active": True}, {"active": spelled[1]}, {"active": False}])
    assert found.argmax(axis=1).tolist() == [1, 1, 0]


def test_a_flag_is_no_other_category() -> None:
    for categories in (("no", "yes"), ("True", "true")):
        schema = SCHEMA.model_copy(
            update={"columns": (Column(name="active", kind="category", categories=categories),), "shape": (2,)}
        )
        with pytest.raises(InputError, match="'active' is True, not a text; expected one of"):
            schema.encode([{"active": True}])


BOUND = Schema(
    task="shop",
    kind="regression",
    target="spend",
    columns=(
        Column(name="age", kind="integer", immutable=True, limits=(0, 120)),
        Column(name="visits", kind="integer"),
        Column(name="share", kind="number", limits=(0, 0.1)),
        Column(name="plan", kind="category", categories=("a", "b"), immutable=True),
    ),
    shape=(5,),
)
VISIT: dict[str, Any] = {"age": 40, "visits": 17, "share": 0.05, "plan": "a"}


def test_what_binds_an_attacker_is_known_by_input() -> None:
    assert BOUND.input_names == ["age", "visits", "share", "plan=a", "plan=b"]
    assert BOUND.numeric.tolist() == [True, True, True, False, False]
    assert BOUND.integer.tolist() == [True, True, False, False, False]
    assert BOUND.mutable.tolist() == [False, True, True, False, False]
    none = [np.nan, np.nan]
    assert np.array_equal(BOUND.limits, np.float32([[0, 120], none, [0, 0.1], none, none]), equal_nan=True)
    assert Schema.model_validate_json(BOUND.model_dump_json()) == BOUND


def test_the_example_of_each_column_makes_a_record() -> None:
    assert {column.name: column.example for column in BOUND.columns} == {"age": 0, "visits": 0, "share": 0, "plan": "a"}


@pytest.mark.parametrize(
    ("kind", "limits", "nearest"),
    [
        ("number", (10, 20), 10),
        ("number", (-20, -10.5), -10.5),
        ("integer", (-3, 3), 0),
        ("integer", (0.5, 3), 1),
        ("integer", (-3, -0.5), -1),
    ],
)
def test_an_example_is_the_valid_number_nearest_to_0(
    kind: Literal["number", "integer"], limits: tuple[float, float], nearest: float
) -> None:
    column = Column(name="a", kind=kind, limits=limits)
    schema = Schema(task="own", kind="regression", target="b", columns=(column,), shape=(1,))
    assert schema.encode([{"a": column.example}]).tolist() == [[nearest]]


@pytest.mark.parametrize(
    "change",
    [{"visits": 17.0}, {"visits": np.float32(17)}, {"visits": -3}, {"age": 0}, {"age": 120.0}, {"visits": 10**30}]
    + [{"share": 0.1}, {"share": float(np.float32(0.1))}],
    ids=str,
)
def test_whole_numbers_and_numbers_up_to_the_limit_are_taken(change: dict[str, Any]) -> None:
    """Also the limit as the network holds it, which may be larger by a rounding: an attack can end there."""
    assert BOUND.encode([{**VISIT, **change}]).shape == (1, 5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"visits": 17.3}, "column 'visits' is 17.3; expected a whole number"),
        ({"visits": float("nan")}, "column 'visits' is nan; expected a finite number"),
        ({"visits": True}, "column 'visits' is True; expected a finite number"),
        ({"age": 121}, "column 'age' is 121; expected a number from 0 to 120"),
        ({"age": -1}, "column 'age' is -1; expected a number from 0 to 120"),
        ({"share": 0.1001}, "column 'share' is 0.1001; expected a number from 0 to 0.1"),
    ],
    ids=str,
)
def test_a_record_that_is_not_real_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"^input 0: {says}"):
        BOUND.encode([{**VISIT, **change}])


@pytest.mark.parametrize("change", [{"shape": []}, {"kind": "picture"}, {"extra": 1}])
def test_a_schema_refuses_what_it_does_not_know(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Schema.model_validate({**SCHEMA.model_dump(), **change})


def test_a_schema_survives_json() -> None:
    assert all(Schema.model_validate_json(schema.model_dump_json()) == schema for schema in SCHEMAS.values())
    assert Column(name="a", kind="number").categories == ()

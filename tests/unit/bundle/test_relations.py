"""The language of relations: what it reads, what it refuses, where a relation holds."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.bundle.column import Column
from redoubt.bundle.relations.expression import evaluate
from redoubt.bundle.relations.relation import parse
from redoubt.bundle.relations.table import Relations, check_columns
from redoubt.bundle.schema import Schema

X = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([2.0, 2.0, 2.0]), "open total": np.array([0.0, 4.0, 9.0])}


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("a <= b", [True, True, False]),
        ("a >= b", [False, True, True]),
        ("a == b", [False, True, False]),
        ("a + b <= 4", [True, True, False]),
        ("a * b == 2 ** a", [True, True, False]),
        ("`open total` / b >= -a + 1", [True, True, True]),
        ("sqrt(`open total`) == a", [False, True, True]),
        ("max(a, b) - min(a, b) <= abs(a - b)", [True, True, True]),
        ("b <= a * 1", [False, True, True]),
        ("a / `open total` <= 1", [False, True, True]),
        ("a < b", [True, False, False]),
        ("max(a, 1) > b", [False, False, True]),
        ("2 * a < `open total` + 1", [False, True, True]),
        ("`open total` in [9, 0]", [True, False, True]),
        ("a in (-1.5, 3, +2.0)", [False, True, True]),
    ],
)
def test_where_a_relation_holds(line: str, holds: list[bool]) -> None:
    (relation,) = parse(line)
    assert relation.holds(X).tolist() == holds
    assert pickle.loads(pickle.dumps(relation)).holds(X).tolist() == holds


def test_a_chain_is_one_relation_per_comparison() -> None:
    assert [each.holds(X).tolist() for each in parse("1.5 <= a <= b")] == [[False, True, True], [True, True, False]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a =< b", "cannot be read"),
        ("", "cannot be read"),
        ("open total <= 3", "put other names in backticks"),
        ("a + b", "is no comparison"),
        ("a < b / 2", r"is strict, and not of whole numbers joined by \+ - \* alone: write <= or >="),
        ("a < b + 0.5", "is strict, and not of whole numbers"),
        ("sqrt(a) > b", "is strict, and not of whole numbers"),
        ("a != b", "is no comparison"),
        ("1 <= 2", "names no column"),
        ("__import__('os').system('x') == a", r"it says '__import__"),
        ("a.real <= b", "it says 'a.real'"),
        ("a[0] <= b", "it says"),
        ("len(a) <= b", r"known are columns, numbers, \+ - "),
        ("min(a) <= b", r"it says 'min\(a\)'"),
        ("(lambda: a)() <= b", "it says"),
        ("True <= a", "it says 'True'"),
        ("a <= 1e999", "it says"),
        ("a <= " + "9" * 900, "it says"),
        ("a % 2 == 0", "it says 'a % 2'"),
        ("a <= " + "-" * 700 + "b", "parts; at most"),
        ("a <= " + "(" * 400 + "b" + ")" * 400, "cannot be read"),
        ("a <= b\0", "cannot be read"),
        ("a in [1]", "lists 1 values; expected 2 to 100 that float32 tells apart"),
        ("a in [1, 1.00000001]", "lists 2 values; expected 2 to 100 that float32 tells apart"),
        ("a in [" + "1," * 101 + "2]", "lists 102 values"),
        ("a in [1, b]", "'b' is no number that float32 holds"),
        ("a in [1, True]", "'True' is no number"),
        ("a in [1, 1e39]", "is no number that float32 holds"),
        ("a in [1, __import__('os')]", "is no number that float32 holds"),
        ("a + b in [1, 2]", r"expected a column and a list of numbers, such as 'term in \[36, 60\]'"),
        ("a in b", "expected a column and a list of numbers"),
        ("a not in [1, 2]", "is no comparison"),
        ("0 <= a in [1, 2]", "is no comparison"),
        ("a <= " + "b + " * 300 + "b", "characters; at most 1000"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse(line)
    assert "\n" not in str(caught.value)


def test_a_relation_between_what_no_attack_changes_is_refused() -> None:
    with pytest.raises(ValueError, match="between immutable columns only, which no attack changes"):
        check_columns("a <= b", ["a", "b", "c"], [], ["a", "b"], [])
    with pytest.raises(ValueError, match="names the category 'plan'; relations are between numbers"):
        check_columns("a <= plan", ["a"], ["plan"], [], [])
    assert check_columns("a <= z", ["a"], [], [], []) == ("z",)
    assert check_columns("a < b", ["a", "b"], [], [], ["a", "b"]) == ()
    with pytest.raises(
        ValueError, match="relation 'a < b' is strict, and 'b' is not of whole numbers \\('integer'\\): write <="
    ):
        check_columns("a < b", ["a", "b"], [], [], ["a"])


def test_values_are_of_a_number_and_fit_whole_numbers() -> None:
    assert check_columns("a in [1, 2]", ["a"], [], [], ["a"]) == ()
    assert check_columns("z in [1, 2]", ["a"], [], [], []) == ("z",)
    with pytest.raises(ValueError, match="lists 0.5, and 'a' is of whole numbers"):
        check_columns("a in [0.5, 1]", ["a"], [], [], ["a"])
    with pytest.raises(ValueError, match="names the category 'a'"):
        check_columns("a in [1, 2]", [], ["a"], [], [])
    relations = Relations.of(["b in [3, 1, 2]", "a <= b"], {"a": 4, "b": 7})
    assert {place: values.tolist() for place, values in relations.allowed.items()} == {7: [1, 2, 3]}


def test_a_value_that_float32_rounds_is_still_one_of_them() -> None:
    (relation,) = parse("a in [0.1, 1e6, 0]")
    held = np.float32([0.1, 0.1001, 1e6, 0, 1e-30, np.nan, np.inf]).astype(np.float64)
    assert relation.holds({"a": held}).tolist() == [True, False, True, True, False, False, False]
    assert (relation.solved("a"), relation.columns) == (None, ("a",))


@given(
    a=st.floats(1e-3, 1e6),
    b=st.floats(1e-3, 1e6),
    line=st.sampled_from(["y == a / b", "y == a * b", "y == a + b", "y == a - b", "y == sqrt(a) / b ** 2"]),
)
def test_a_column_that_is_computed_and_rounded_still_fits(a: float, b: float, line: str) -> None:
    (relation,) = parse(line)
    exact = evaluate(relation.right, {"a": np.array([a]), "b": np.array([b])})[0]
    rounded = {name: np.float32([each]).astype(np.float64) for name, each in (("a", a), ("b", b), ("y", exact[0]))}
    assert relation.holds(rounded).all()
    if line != "y == a - b" and np.isfinite(rounded["y"]).all() and rounded["y"][0] > 1e-30:
        assert not relation.holds({**rounded, "y": rounded["y"] * 1.00001}).any()


@given(values=st.lists(st.floats(0.01, 1e4), min_size=3, max_size=3))
@pytest.mark.parametrize("line", ["y == a / b", "2 - y == a * b", "a / y == b", "a - (y + 1) * b <= 0", "b * -y == a"])
def test_solving_for_a_column_makes_the_sides_equal(line: str, values: list[float]) -> None:
    (relation,) = parse(line)
    x = {name: np.array([each]) for name, each in zip("yab", values, strict=True)}
    for name in "yab":
        goal = relation.solved(name)
        assert goal is not None
        x_solved = {**x, name: np.float32(evaluate(goal, x)[0]).astype(np.float64)}
        assert relation.holds(x_solved).all() or not np.isfinite(x_solved[name]).all()


def test_a_column_under_a_power_is_not_solved_for() -> None:
    assert parse("y == a ** 2")[0].solved("a") is None
    assert parse("y == a + a")[0].solved("a") is None
    assert parse("y == a ** 2")[0].alone == ("y",)


def test_a_schema_knows_where_its_relations_are() -> None:
    columns = (
        Column(name="plan", kind="category", categories=("x", "y")),
        Column(name="a", kind="number"),
        Column(name="b", kind="number"),
    )
    plain = Schema(task="t", kind="regression", target="y", columns=columns, shape=(4,))
    assert plain.related is None
    assert "relations" not in plain.model_dump()
    schema = Schema(task="t", kind="regression", target="y", columns=columns, shape=(4,), relations=("a <= b",))
    assert isinstance(schema.related, Relations)
    assert (schema.related.lines, schema.related.places) == (("a <= b",), {"a": 2, "b": 3})
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
    with pytest.raises(ValueError, match="names 'c'; expected one of a, b"):
        Schema(task="t", kind="regression", target="y", columns=columns, shape=(4,), relations=("a <= c",))

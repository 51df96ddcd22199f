"""Words have one normal form, and a value means the category that it says."""

import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.column import Column, Missing
from redoubt.bundle.schema import Schema
from redoubt.bundle.words import meant, normal, one_of, unlike

BLANKS = " \t\n\r\xa0\u2003\u202f\u3000\u200b\ufeff"


@given(st.text())
def test_a_normal_form_is_its_own(word: str) -> None:
    form = normal(word)
    assert normal(form) == form
    assert unicodedata.is_normalized("NFC", form)
    assert form == form.strip()
    assert "  " not in form


@given(st.text(st.sampled_from("abßé"), min_size=1), st.text(BLANKS), st.text(BLANKS))
def test_blanks_around_a_word_and_its_unicode_form_make_no_other_word(word: str, before: str, after: str) -> None:
    assert normal(before + unicodedata.normalize("NFD", word) + after) == unicodedata.normalize("NFC", word)


@pytest.mark.parametrize(
    ("word", "form"),
    [("a  b", "a b"), ("a\xa0b", "a b"), ("a\r\nb", "a b"), ("Pro ", "Pro"), ("\ufeffPro", "Pro"), (" \xa0", "")],
)
def test_what_becomes_of_blanks(word: str, form: str) -> None:
    assert normal(word) == form


CATEGORIES = ("Pro", "basic", "São Tomé", "3", "2.5", "007", "True", "9007199254740993")


@pytest.mark.parametrize(
    ("value", "category"),
    [
        ("Pro", "Pro"),
        (" Pro\xa0", "Pro"),
        ("Sa\u0303o  Tome\u0301", "São Tomé"),
        ("3", "3"),
        (3, "3"),
        (3.0, "3"),
        ("3.0", "3"),
        (" 3 ", "3"),
        (2.5, "2.5"),
        (np.int64(3), "3"),
        (True, "True"),
        ("007", "007"),
        ("9007199254740993", "9007199254740993"),
        (7, None),
        ("7", None),
        ("9007199254740992", None),
        (9007199254740992, None),
        ("pro", None),
        (1, None),
        (False, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (None, None),
        (["Pro"], None),
    ],
    ids=repr,
)
def test_what_a_value_means(value: Any, category: str | None) -> None:
    assert meant(value, CATEGORIES) == category


def test_a_bundle_from_before_is_asked_as_it_always_was_and_without_its_blank() -> None:
    old = ("Pro ", "basic", "Pro  max", "Pro max", " ")
    assert [meant(word, old) for word in ("Pro ", "Pro", " basic", "Pro  max", "Pro max")] == [
        "Pro ",
        "Pro ",
        "basic",
        "Pro  max",
        "Pro max",
    ]
    assert meant("Pro   max", old) is None, "two of them have this normal form"
    schema = schema_of(old)
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
    assert schema.encode([{"plan": "Pro"}, {"plan": " "}]).argmax(axis=1).tolist() == [0, 4]


def schema_of(categories: tuple[str, ...], **more: Any) -> Schema:
    column = Column(name="plan", kind="category", categories=categories, **more)
    return Schema(task="own", kind="regression", target="y", columns=(column,), shape=(len(categories),))


def test_a_blank_word_is_an_empty_cell() -> None:
    filled = schema_of(("basic", "missing"), missing=Missing(how="category", value="missing"))
    assert filled.encode([{"plan": " \xa0"}, {"plan": ""}]).argmax(axis=1).tolist() == [1, 1]
    with pytest.raises(InputError, match="'plan' is ' ', which is empty; expected one of basic, other: the task decl"):
        schema_of(("basic", "other"), other="other").encode([{"plan": " "}])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("Mew", "'Mew'; expected one of Eevee, Weedle"),
        ("eevee", "'eevee'; expected one of 'Eevee', 'Weedle' (did you mean 'Eevee'?)"),
        (3, "3, not a text; expected one of 'Eevee', 'Weedle'"),
    ],
    ids=repr,
)
def test_what_is_said_of_another_word(value: Any, says: str) -> None:
    assert unlike(value, ("Eevee", "Weedle")) == says


def test_categories_are_quoted_where_they_would_run_together() -> None:
    assert one_of(("Pro ", "basic")) == "one of 'Pro ', 'basic'"
    assert one_of(("New York", "Rome")) == "one of 'New York', 'Rome'"
    assert one_of(("Sa\u0303o", "b")) == "one of 'Sa\\u0303o', 'b'"
    assert one_of(tuple(f"c{n}" for n in range(500))).endswith("c18, c19 and 480 more")

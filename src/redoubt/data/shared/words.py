"""Columns of words as they are kept: empty cells NaN, the others in their normal form, and what that changed."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import pandas as pd

from redoubt.bundle.words import normal


def words(cells: "pd.Series[Any]") -> "pd.Series[str]":
    """A column as text in its normal form, empty cells NaN; a cell of blanks is empty."""
    text = _text(cells)
    kept = {word: normal(str(word)) for word in text.dropna().unique()}
    if any(form != word for word, form in kept.items()):
        text = text.map(kept, na_action="ignore").astype("str").mask(text.isna())
    return text.mask(text == "")


def changed(cells: "pd.Series[Any]") -> str:
    """What `words` does to a column, in words; empty if it changes no cell that it keeps."""
    text = _text(cells)
    counts = text.value_counts(sort=False)
    other = {str(word): int(count) for word, count in counts.items() if normal(str(word)) not in ("", str(word))}
    if not other:
        return ""
    return f"'{cells.name}': {sum(other.values()):,} cells are normalized ({_kinds(list(other))})"


def renamed(names: Sequence[str]) -> str:
    """What becomes of the names of classes, in words; empty if each is in its normal form."""
    other = [name for name in names if normal(name) != name]
    return f"{len(other):,} names of classes are normalized ({_kinds(other)})" if other else ""


def _text(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    if pd.api.types.is_float_dtype(cells) and (cells.dropna() % 1 == 0).all():
        # An empty cell makes pandas hold the codes 1 and 2 as 1.0 and 2.0.
        cells = cells.astype("Int64")
    return cells.astype("str").mask(cells.isna())


def _kinds(other: list[str]) -> str:
    """What is normalized about these words, with an example."""
    form = next((word for word in other if not unicodedata.is_normalized("NFC", word)), None)
    blank = next((word for word in other if unicodedata.is_normalized("NFC", word)), None)
    said = [] if blank is None else [f"blanks: {blank[:40]!r} is {normal(blank)[:40]!r}"]
    said += [] if form is None else [f"Unicode NFC: {form[:40]!a} is {normal(form)[:40]!a}"]
    return "; ".join(said)

"""The words of a table, its categories and classes: their normal form, and which category a value means."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

# Of more categories a message names so many.
SHOWN = 20
# Without width, hence never meant: zero-width space, word joiner, byte order mark.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))
# A number that a word may be written as; 007 is none, but a code.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


def normal(word: str) -> str:
    """A word as it is kept: in Unicode NFC, with no blank at its ends and single plain blanks inside.

    Any white space counts as a blank, also the non-breaking one and a line's end; what has no width is taken out.
    """
    # Most words are plain: looking is several times as fast as making them anew.
    if word.isascii() and word.isprintable() and "  " not in word and word == word.strip():
        return word
    return " ".join(unicodedata.normalize("NFC", word.translate(_INVISIBLE)).split())


def meant(value: Any, categories: Sequence[str]) -> str | None:
    """The category that a value means; None if it means none, or might mean several.

    Args:
        value: a word, equal to the category or in normal form equal to its normal form; a number or a word of one,
            equal to the number that the category is (3 and "3.0" for "3"); a flag, True for "True", "TRUE" or "true".
        categories: as the bundle holds them: those of an old one may not be in normal form.
    """
    if isinstance(value, str) and value in categories:
        return value
    if isinstance(value, bool):
        return _only(each for each in categories if each.casefold() == str(value).casefold())
    if isinstance(value, str):
        word = normal(value)
        same = [each for each in categories if normal(each) == word]
        if same or not _NUMBER.fullmatch(word):
            return _only(same)
        value = word
    elif not isinstance(value, Real):
        return None
    # By its digits: two codes of 17 digits may be one float.
    number = Decimal(str(value))
    return _only(each for each in categories if _NUMBER.fullmatch(each) and Decimal(each) == number)


def _only(found: Iterable[str]) -> str | None:
    every = list(found)
    return every[0] if len(every) == 1 else None


def unlike(value: Any, categories: Sequence[str]) -> str:
    """What came and what was expected, with a category that differs from it in case alone."""
    if not isinstance(value, str):
        return f"{value!r}, not a text; expected {one_of(categories, quoted=True)}"
    folded = _folded(value)
    near = next((each for each in categories if _folded(each) == folded), None)
    hint = "" if near is None else f" (did you mean {near!r}?)"
    return f"{value!r}; expected {one_of(categories, quoted=near is not None)}{hint}"


def one_of(categories: Sequence[str], quoted: bool = False) -> str:
    """Categories in a message, each in quotes where one could not be told apart or delimited without."""
    quoted = quoted or any(each != normal(each) or set(" ,;'\"") & set(each) for each in categories)
    shown = [_quoted(each) if quoted else each for each in categories[:SHOWN]]
    more = f" and {len(categories) - SHOWN:,} more" if len(categories) > SHOWN else ""
    return f"one of {', '.join(shown)}{more}"


def _quoted(word: str) -> str:
    """A word in quotes; one whose letters are composed otherwise than usual by their codes, to be told apart."""
    return repr(word) if unicodedata.is_normalized("NFC", word) else ascii(word)


def _folded(word: str) -> str:
    return unicodedata.normalize("NFKC", normal(word)).casefold()

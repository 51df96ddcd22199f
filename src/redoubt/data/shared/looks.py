"""What a column of text looks like to a reader, and what its owner can do so that it is learned from."""

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

# Ways to write that a number is missing; in a column of categories only the empty cell is.
MISSING = ("", "na", "n/a", "nan", "null", "none")

_SAMPLE = 5_000
_FLAGS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"on", "off"}, {"ja", "nein"})
DATE = r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([ T]\d{1,2}:.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
_MONTH = r"(?i:jan|feb|mar|m[äa]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[^\W\d_]*"
MONEY = (
    r"(?:(?:US|C|A|R)?\$|[€£¥₹₽₩₺₫₪]|EUR|USD|GBP|CHF|JPY|CNY|RMB|INR|CAD|AUD|BRL|SEK|NOK|DKK|PLN|CZK|HUF"
    r"|kr\.?|zł|Kč|Ft|Fr\.|Rs\.?)"
)
# Blanks, also those that do not break, and apostrophes, between thousands.
_MARK = "[ \u00a0\u202f\u2009'\u2019]"
# Name of the kind, pattern of every cell, pattern in some cell, what to do.
_KINDS = (
    ("a percentage", r"[-+]?[\d.,]+\s*%", "%", "write it as a plain number, 0.12 or 12"),
    (
        "an amount of money",
        rf"[-+]?\s*{MONEY}\s*[-+]?[\d.,'\u2019]+|[-+]?[\d.,'\u2019]+\s*{MONEY}",
        "",
        "write the number alone",
    ),
    (
        "a number with thousands separators",
        r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?|[-+]?\d{1,3}(\.\d+)?",
        ",",
        "write 1234.5 for 1,234.5",
    ),
    (
        "a number with thousands separators",
        rf"[-+]?\d{{1,3}}({_MARK}\d{{3}})*([.,]\d+)?",
        rf"\d{_MARK}\d",
        "write 1234.5 for 1 234,5 or 1'234.5",
    ),
    ("a number with a decimal comma", r"[-+]?[\d.]+(,\d+)?", ",", "write 1.5 for 1,5"),
    ("a number with a typeset minus", r"[-+\u2212]?[\d.,]+", "^\u2212", "write -5 with a plain hyphen"),
    ("a number with its minus behind it", r"[\d.,]+-?", r"^[\d.,]+-$", "write -5 for 5-"),
    ("a number with its minus as brackets", r"[\d.,]+|\([\d.,]+\)", r"^\([\d.,]+\)$", "write -5 for (5)"),
    (
        "a time of day or a duration",
        r"\d{1,3}:[0-5]\d(:[0-5]\d([.,]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?|([01]?\d|2[0-3])\.[0-5]\d\.[0-5]\d",
        "",
        "write it as a number, such as hours",
    ),
    (
        "a date with its month as a word",
        rf"\d{{1,2}}[-. ]+{_MONTH}[-,. ]+\d{{2,4}}( .*)?|{_MONTH}[. ]+\d{{1,2}}(st|nd|rd|th)?,? +\d{{4}}( .*)?",
        "",
        "write it like 2024-05-31",
    ),
    ("a date", DATE, "", "name its parts under 'dates'"),
    ("a number with a unit", r"[-+]?[\d.,]+\s*[^\W\d_]{1,3}", "", "write the number alone"),
)


@dataclass(frozen=True)
class Looks:
    """What a column of text looks like, and what to do about it."""

    like: str
    fix: str


# By the kind of a column's type.
_TYPED = {
    "M": Looks("a date", "name its parts under 'dates'"),
    "m": Looks("a duration", "write it as a number, such as seconds"),
}


def is_number(text: str) -> bool:
    """Whether pandas would read a word as a number."""
    return bool(re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", text))


def looks_like(cells: "pd.Series[Any]") -> Looks:
    """What the first cells of a column of text, empty ones aside, look like to a reader."""
    text = cells.dropna().head(_SAMPLE).astype("str").str.strip()
    text = text[~text.str.casefold().isin(MISSING)]
    if text.empty:
        return Looks("empty", "leave it out")
    if cells.dtype.kind in _TYPED:
        return _TYPED[cells.dtype.kind]
    distinct = text.unique()
    if {word.casefold() for word in distinct} in _FLAGS:
        return Looks("yes or no", "name it under 'categorical', or write 1 and 0")
    for like, pattern, holds, fix in _KINDS:
        # A stray cell or two hides no kind.
        if text.str.contains(holds).any() and text.str.fullmatch(pattern).mean() > 0.9:
            return Looks(like, fix)
    if len(distinct) == len(text) and len(text) >= 20:
        return Looks("an identifier or free text: all values differ", "leave it out")
    count = cells.astype("str").nunique()
    return Looks(f"words, {count:,} different" if count > 1 else "always the same word", "name it under 'categorical'")

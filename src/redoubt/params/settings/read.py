"""How a table of text is written."""

import codecs
from typing import Annotated, Literal

from pydantic import Field, model_validator

from redoubt.params.settings.base import Strict


class ReadParams(Strict):
    """How a table of text is written; the defaults are those of a CSV file.

    Attributes:
        separator: one character between cells.
        decimal: the decimal mark.
        thousands: the mark between groups of three digits; empty for none.
        amounts: whether a currency or a percent sign may stand beside numbers, and their minus behind them or as
            brackets: '$1,234.50', '12 %', '5-' and '(5)' are 1234.5, 12, -5 and -5.
        encoding: of the text, by a name that Python knows.
        skip: lines above the header, such as a title.
        header: whether the first row names the columns; else they are column_1, column_2, ...
        missing: words that stand for an empty cell, in every column.
    """

    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    amounts: bool = False
    encoding: str = "utf-8"
    skip: Annotated[int, Field(ge=0, le=1000)] = 0
    header: bool = True
    missing: Annotated[tuple[str, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _can_be_read(self) -> "ReadParams":
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ValueError(
                f"encoding is {self.encoding[:40]!r}, which Python does not know; try utf-8 or cp1252"
            ) from None
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        if self.separator in '"\r\n':
            raise ValueError(f"separator is {self.separator!r}, which quotes a cell or ends a line")
        return self

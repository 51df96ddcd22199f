"""A table as CSV, as MLflow's clients send it: a line of column names, and a line for each record."""

import csv
import io
import re
from typing import Any

from bentoml.exceptions import InvalidArgument

from redoubt.bundle.schema import Schema
from serving.schema import NUMBER

# Python makes no integer of more digits than it can do quickly; a float's are enough.
WHOLE = re.compile(r" *[+-]?[0-9]{1,400} *")


def records(body: bytes, schema: Schema) -> list[dict[str, Any]]:
    """Each line by column: numbers where the columns hold some, texts elsewhere, and None of an empty cell.

    Args:
        body: UTF-8.
        schema: of a table; what does not fit it is left for `Champion.read` to say.

    Raises:
        InvalidArgument: not UTF-8, not CSV, a column twice, or a line of another length.
    """
    try:
        # Of its lines only a line feed, a carriage return or both are an end.
        names, *rows = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgument(f"the body is not CSV: {error}") from None
    except ValueError:
        raise InvalidArgument("the body is not CSV: it has no line of column names") from None
    if len(set(names)) < len(names):
        raise InvalidArgument("the CSV names a column twice; expected each once")
    numbers = {column.name for column in schema.columns if column.kind != "category"}
    rows = [row for row in rows if row]
    for index, row in enumerate(rows):
        if len(row) != len(names):
            raise InvalidArgument(f"input {index} has {len(row)} values; expected {len(names)}")
    return [
        {name: _number(cell) if name in numbers else cell or None for name, cell in zip(names, row, strict=True)}
        for row in rows
    ]


def _number(cell: str) -> float | int | str | None:
    """As JSON would have it; what is no number there stays a text."""
    if not NUMBER.fullmatch(cell):
        return cell or None
    return int(cell) if WHOLE.fullmatch(cell) else float(cell)

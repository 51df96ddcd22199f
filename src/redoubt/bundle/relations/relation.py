"""One relation between columns, as a line of text: `installment == loan / term`, `open_accounts <= total_accounts`."""

import ast
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.relations.expression import Values, check, columns, evaluate, is_whole, solved

# By how many roundings of every column to float32 the sides may differ: one for the data, more for what is computed.
ROOM = 4.0
LONGEST = 1000
QUOTED = re.compile(r"`([^`]*)`")
EXAMPLES = "expected two expressions and ==, <= or >= between them, such as 'open <= total' or 'rate == loan / term'"
COMPARISONS = (ast.Eq, ast.LtE, ast.GtE, ast.Lt, ast.Gt)
# What Python's parser raises for a text that it cannot read: too deep a nesting and a null byte are among them.
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Relation:
    """What holds in every valid row: two sides are equal, or the left one is not the larger.

    Attributes:
        text: the line that says it.
        equal: whether both sides are the same.
        left: an expression of columns.
        right: likewise.
        strict: whether it was said as `<`: of whole numbers `a < b` is `a <= b - 1`, which no rounding blurs.
    """

    text: str
    equal: bool
    left: ast.expr
    right: ast.expr
    strict: bool = False

    def __repr__(self) -> str:
        """The line alone: trees have no equal representation."""
        return f"Relation({self.text!r})"

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Every column named, once."""
        return tuple(dict.fromkeys([*columns(self.left), *columns(self.right)]))

    def holds(self, x: Mapping[str, Values], room: float = ROOM) -> NDArray[np.bool_]:
        """Where it does, `(rows,)`; where a side has no finite value it does not.

        Args:
            x: values by column, `(rows,)`.
            room: how many roundings of the columns to float32 may keep the sides apart.
        """
        (left, off_left), (right, off_right) = evaluate(self.left, x), evaluate(self.right, x)
        with np.errstate(all="ignore"):
            gap, slack = left - right, (0.0 if self.strict else room) * (off_left + off_right)
            near: NDArray[np.bool_] = (np.abs(gap) if self.equal else gap) <= slack
        return near & np.isfinite(gap) & np.isfinite(slack)

    def solved(self, name: str) -> ast.expr | None:
        """What a column must be for the sides to be equal; None if it occurs more than once or cannot be told."""
        at_left, at_right = columns(self.left).count(name), columns(self.right).count(name)
        if at_left + at_right != 1:
            return None
        return solved(name, *((self.left, self.right) if at_left else (self.right, self.left)))

    @property
    def alone(self) -> tuple[str, ...]:
        """Columns that are a side by themselves: those that a relation is read as being about."""
        return tuple(side.id for side in (self.left, self.right) if isinstance(side, ast.Name))


def parse(text: str) -> tuple[Relation, ...]:
    """Read one line: one relation per comparison, so that `0 <= a <= b` is two.

    Args:
        text: Python's arithmetic over columns; a name that is no word of Python's stands in backticks.

    Raises:
        ValueError: says what cannot be read, and what can.
    """
    if len(text) > LONGEST:
        raise ValueError(f"relation '{text[:50]}...' has {len(text)} characters; at most {LONGEST}")
    quoted: list[str] = []

    def placeholder(found: re.Match[str]) -> str:
        quoted.append(found[1])
        return f"_column_{len(quoted) - 1}_"

    try:
        with warnings.catch_warnings():
            # Of a number that a name follows Python only warns.
            warnings.simplefilter("error")
            tree = ast.parse(QUOTED.sub(placeholder, text).strip(), mode="eval").body
    except (*UNREADABLE, Warning):
        raise ValueError(f"relation '{text}' cannot be read: {EXAMPLES}; put other names in backticks") from None
    if not isinstance(tree, ast.Compare) or not all(isinstance(how, COMPARISONS) for how in tree.ops):
        raise ValueError(f"relation '{text}' is no comparison that is known: {EXAMPLES}")
    sides = [_named(side, quoted) for side in (tree.left, *tree.comparators)]
    try:
        for side in sides:
            check(side)
    except ValueError as error:
        raise ValueError(f"relation '{text}': {error}") from None
    pairs = zip(sides[:-1], tree.ops, sides[1:], strict=True)
    return tuple(_relation(text, left, type(how), right) for left, how, right in pairs)


def _relation(text: str, left: ast.expr, how: type[ast.cmpop], right: ast.expr) -> Relation:
    if how in (ast.GtE, ast.Gt):
        left, right = right, left
    if not columns(left) and not columns(right):
        raise ValueError(f"relation '{text}' names no column: {EXAMPLES}")
    if how not in (ast.Lt, ast.Gt):
        return Relation(text, how is ast.Eq, left, right)
    if not (is_whole(left) and is_whole(right)):
        raise ValueError(f"relation '{text}' is strict, and not of whole numbers joined by + - * alone: write <= or >=")
    return Relation(text, False, left, ast.BinOp(right, ast.Sub(), ast.Constant(1)), strict=True)


def _named(side: ast.expr, quoted: list[str]) -> ast.expr:
    """The expression with its columns' own names, blanks and all."""
    names = {f"_column_{place}_": name for place, name in enumerate(quoted)}
    for part in ast.walk(side):
        if isinstance(part, ast.Name):
            part.id = names.get(part.id, part.id)
    return side

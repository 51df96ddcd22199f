"""One relation of a table, as a line of text: `installment == loan / term`, `open <= total`, `term in [36, 60]`."""

import ast
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.relations.expression import LARGEST, Values, check, columns, evaluate, is_whole, solved

# By how many roundings of every column to float32 the sides may differ: one for the data, more for what is computed.
ROOM = 4.0
LONGEST = 1000
QUOTED = re.compile(r"`([^`]*)`")
EXAMPLES = (
    "expected two expressions and ==, <= or >= between them, such as 'open <= total' or 'rate == loan / term', or a"
    " column and its values, such as 'term in [36, 60]'"
)
COMPARISONS = (ast.Eq, ast.LtE, ast.GtE, ast.Lt, ast.Gt)
# Values that a column may be said to take, so that going through all of them costs little.
MOST_VALUES = 100
# What Python's parser raises for a text that it cannot read: too deep a nesting and a null byte are among them.
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Relation:
    """What holds in every valid row: two sides are equal, the left one is not the larger, or it is one of some values.

    Attributes:
        text: the line that says it.
        equal: whether both sides are the same.
        left: an expression of columns.
        right: likewise.
        strict: whether it was said as `<`: of whole numbers `a < b` is `a <= b - 1`, which no rounding blurs.
        values: that the left side, a column, may take, rising; none of a comparison, whose right side counts.
    """

    text: str
    equal: bool
    left: ast.expr
    right: ast.expr
    strict: bool = False
    values: tuple[float, ...] = ()

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
        if self.values:
            return self._is_one(x, room)
        (left, off_left), (right, off_right) = evaluate(self.left, x), evaluate(self.right, x)
        with np.errstate(all="ignore"):
            gap, slack = left - right, (0.0 if self.strict else room) * (off_left + off_right)
            near: NDArray[np.bool_] = (np.abs(gap) if self.equal else gap) <= slack
        return near & np.isfinite(gap) & np.isfinite(slack)

    def _is_one(self, x: Mapping[str, Values], room: float) -> NDArray[np.bool_]:
        value, off = evaluate(self.left, x)
        gap = np.abs(np.asarray(value)[..., None] - np.array(self.values)).min(axis=-1)
        with np.errstate(invalid="ignore"):
            near: NDArray[np.bool_] = gap <= room * off
        return near & np.isfinite(gap)

    def solved(self, name: str) -> ast.expr | None:
        """What a column must be for the sides to be equal; None if it occurs more than once or cannot be told."""
        if self.values:
            return None
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
    is_known = isinstance(tree, ast.Compare) and all(isinstance(how, COMPARISONS) for how in tree.ops)
    if not isinstance(tree, ast.Compare) or not (is_known or [type(how) for how in tree.ops] == [ast.In]):
        raise ValueError(f"relation '{text}' is no comparison that is known: {EXAMPLES}")
    sides = [_named(side, quoted) for side in (tree.left, *tree.comparators)]
    if isinstance(tree.ops[0], ast.In):
        return (_membership(text, *sides),)
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


def _membership(text: str, left: ast.expr, right: ast.expr) -> Relation:
    if not isinstance(left, ast.Name) or not isinstance(right, (ast.List, ast.Tuple)):
        raise ValueError(f"relation '{text}': expected a column and a list of numbers, such as 'term in [36, 60]'")
    values: list[float] = []
    for part in right.elts:
        try:
            value = ast.literal_eval(part)
        except ValueError:
            value = None
        # A bool is an int, but none here.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
            raise ValueError(f"relation '{text}': '{ast.unparse(part)}' is no number that float32 holds")
        values.append(float(value))
    if not 2 <= len({np.float32(value) for value in values}) == len(values) <= MOST_VALUES:
        raise ValueError(
            f"relation '{text}' lists {len(values)} values; expected 2 to {MOST_VALUES} that float32 tells apart (what"
            " never changes is 'immutable')"
        )
    return Relation(text, False, left, right, values=tuple(sorted(values)))


def _named(side: ast.expr, quoted: list[str]) -> ast.expr:
    """The expression with its columns' own names, blanks and all."""
    names = {f"_column_{place}_": name for place, name in enumerate(quoted)}
    for part in ast.walk(side):
        if isinstance(part, ast.Name):
            part.id = names.get(part.id, part.id)
    return side

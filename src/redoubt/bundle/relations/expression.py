"""Expressions over columns: a part of Python's grammar, with what rounding the columns to float32 can change of them.

Nothing is ever run: the tree that Python's own parser makes is walked by the functions below, and whatever they do not
know is refused.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
# Half the distance from 1 to the next float32: what rounding to it may change of a number, as a share.
UNIT = 2.0**-24
# Parts of one relation, so that no expression is too deep to walk.
MOST_PARTS = 200
LARGEST = float(np.finfo(np.float32).max)

OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
SIGNS = (ast.UAdd, ast.USub)
FUNCTIONS: Mapping[str, Callable[..., Any]] = {"abs": np.abs, "min": np.minimum, "max": np.maximum, "sqrt": np.sqrt}


def check(node: ast.expr) -> None:
    """Refuse what is no expression of columns and numbers.

    Raises:
        ValueError: names the part, and what is known.
    """
    parts = list(ast.walk(node))
    if len(parts) > MOST_PARTS:
        raise ValueError(f"it has {len(parts)} parts; at most {MOST_PARTS}")
    called = {id(part.func) for part in parts if isinstance(part, ast.Call)}
    for part in parts:
        if isinstance(part, ast.expr) and id(part) not in called and not _known(part):
            raise ValueError(f"it says '{ast.unparse(part)}'; known are columns, numbers, + - * / **, {_names()}")


def _known(part: ast.expr) -> bool:
    if isinstance(part, ast.Constant):
        # A bool is an int, but none here.
        number = isinstance(part.value, (int, float)) and not isinstance(part.value, bool)
        return number and abs(part.value) <= LARGEST  # type: ignore[arg-type]
    if isinstance(part, ast.BinOp):
        return isinstance(part.op, OPERATORS)
    if isinstance(part, ast.UnaryOp):
        return isinstance(part.op, SIGNS)
    if isinstance(part, ast.Call):
        name = part.func.id if isinstance(part.func, ast.Name) else ""
        count = 2 if name in ("min", "max") else 1
        return name in FUNCTIONS and len(part.args) == count and not part.keywords
    return isinstance(part, ast.Name)


def _names() -> str:
    return "abs(a), min(a, b), max(a, b), sqrt(a)"


def columns(node: ast.expr) -> list[str]:
    """Every column that is named, as often as it is."""
    if isinstance(node, ast.Name):
        return [node.id]
    return [name for part in _operands(node) for name in columns(part)]


def is_whole(node: ast.expr) -> bool:
    """Whether it is a whole number wherever all its columns are."""
    if isinstance(node, ast.Constant):
        return float(node.value).is_integer()  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.Pow)):
        return False
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sqrt"
    return not called and all(is_whole(part) for part in _operands(node))


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    return node.args if isinstance(node, ast.Call) else []


def evaluate(node: ast.expr, x: Mapping[str, Values]) -> tuple[Values, Values]:
    """An expression's value, and how far it may be off if each column is rounded to float32, to first order.

    Args:
        node: that `check` lets pass.
        x: values by column, `(rows,)`; infinite or NaN where an operation has no result.

    Returns:
        Both `(rows,)`, or of no axis if no column occurs.
    """
    if isinstance(node, ast.Name):
        value = np.asarray(x[node.id], np.float64)
        return value, UNIT * np.abs(value)
    if isinstance(node, ast.Constant):
        return np.float64(node.value), np.float64(0.0)  # type: ignore[arg-type,return-value]
    parts = [evaluate(part, x) for part in _operands(node)]
    with np.errstate(all="ignore"):
        if isinstance(node, ast.BinOp):
            return _binary(node.op, *parts)
        if isinstance(node, ast.UnaryOp):
            return (-parts[0][0] if isinstance(node.op, ast.USub) else parts[0][0]), parts[0][1]
        return _called(node, parts)


def _binary(how: ast.operator, left: tuple[Values, Values], right: tuple[Values, Values]) -> tuple[Values, Values]:
    (a, off_a), (b, off_b) = left, right
    if isinstance(how, ast.Add):
        return a + b, off_a + off_b
    if isinstance(how, ast.Sub):
        return a - b, off_a + off_b
    if isinstance(how, ast.Mult):
        return a * b, np.abs(a) * off_b + np.abs(b) * off_a
    if isinstance(how, ast.Div):
        return a / b, off_a / np.abs(b) + np.abs(a) * off_b / np.square(b)
    value = np.power(a, b)
    base = np.where(off_a > 0, np.abs(b * np.power(a, b - 1)) * off_a, 0.0)
    exponent = np.where(off_b > 0, np.abs(value * np.log(np.abs(a))) * off_b, 0.0)
    return value, base + exponent


def _called(node: ast.expr, parts: list[tuple[Values, Values]]) -> tuple[Values, Values]:
    name = node.func.id  # type: ignore[attr-defined]
    value = FUNCTIONS[name](*(each[0] for each in parts))
    if name == "sqrt":
        off = parts[0][1]
        return value, np.where(off > 0, off / (2 * value), 0.0)
    return value, parts[0][1] if len(parts) == 1 else np.maximum(parts[0][1], parts[1][1])


def solved(name: str, side: ast.expr, other: ast.expr) -> ast.expr | None:
    """What a column must be for two sides to be equal, as an expression of the other columns.

    Args:
        name: a column that occurs once in `side` and nowhere in `other`.
        side: is taken apart.
        other: the other side.

    Returns:
        None where it stands under a power or a function, which are not inverted.
    """
    while not isinstance(side, ast.Name):
        if isinstance(side, ast.UnaryOp):
            other = ast.UnaryOp(side.op, other)
            side = side.operand
        elif isinstance(side, ast.BinOp) and not isinstance(side.op, ast.Pow):
            at_left = name in columns(side.left)
            rest = side.right if at_left else side.left
            other = _moved(side.op, rest, other, at_left=at_left)
            side = side.left if at_left else side.right
        else:
            return None
    return other


def _moved(how: ast.operator, rest: ast.expr, other: ast.expr, *, at_left: bool) -> ast.expr:
    """The other side once an operation with `rest` is undone on this one."""
    if isinstance(how, ast.Add):
        return ast.BinOp(other, ast.Sub(), rest)
    if isinstance(how, ast.Mult):
        return ast.BinOp(other, ast.Div(), rest)
    back: ast.operator = ast.Add() if isinstance(how, ast.Sub) else ast.Mult()
    return ast.BinOp(other, back, rest) if at_left else ast.BinOp(rest, how, other)

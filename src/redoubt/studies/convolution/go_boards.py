"""Stones, groups and liberties of Go, and boards on which one move captures."""

import numpy as np
from numpy.typing import NDArray

Board = NDArray[np.int8]
Point = tuple[int, int]
EMPTY, MINE, THEIRS = 0, 1, -1
# Few enough stones leave a group in atari now and then, and many enough make the others look like one.
STONES = (14, 34)


def neighbours(point: Point, side: int) -> list[Point]:
    """The two to four points beside one."""
    row, column = point
    beside = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return [(r, c) for r, c in beside if 0 <= r < side and 0 <= c < side]


def group(board: Board, point: Point) -> tuple[set[Point], set[Point]]:
    """The stones connected with the one at a point, and their liberties, the empty points beside them."""
    stones, liberties, rest = {point}, set(), [point]
    while rest:
        for beside in neighbours(rest.pop(), len(board)):
            if board[beside] == EMPTY:
                liberties.add(beside)
            elif board[beside] == board[point] and beside not in stones:
                stones.add(beside)
                rest.append(beside)
    return stones, liberties


def groups(board: Board) -> list[tuple[int, set[Point], set[Point]]]:
    """Colour, stones and liberties of every group."""
    found: list[tuple[int, set[Point], set[Point]]] = []
    seen: set[Point] = set()
    for row, column in np.argwhere(board != EMPTY).tolist():
        if (row, column) not in seen:
            stones, liberties = group(board, (row, column))
            seen |= stones
            found.append((int(board[row, column]), stones, liberties))
    return found


def play(board: Board, point: Point) -> Board:
    """The board after my stone at an empty point: groups of theirs without a liberty are taken off."""
    after = board.copy()
    after[point] = MINE
    for colour, stones, liberties in groups(after):
        if colour == THEIRS and not liberties:
            for stone in stones:
                after[stone] = EMPTY
    return after


def problem(rng: np.random.Generator, side: int) -> tuple[Board, Point]:
    """A legal board on which exactly one move captures, and that move: the last liberty of groups in atari."""
    while True:
        board = np.zeros((side, side), np.int8)
        count = int(rng.integers(*STONES))
        board.flat[rng.permutation(side * side)[:count]] = np.where(rng.random(count) < 0.5, MINE, THEIRS)
        all_groups = groups(board)
        if not all(liberties for _, _, liberties in all_groups):
            continue
        moves = {next(iter(free)) for colour, _, free in all_groups if colour == THEIRS and len(free) == 1}
        if len(moves) == 1:
            return board, moves.pop()


def planes(board: Board) -> NDArray[np.float32]:
    """Mine, theirs and empty, one of them 1 at each point; all are 0 in the padding, which shows where the edge is."""
    return np.stack([board == MINE, board == THEIRS, board == EMPTY], axis=-1).astype(np.float32)

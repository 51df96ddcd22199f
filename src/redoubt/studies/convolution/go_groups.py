"""Go's chains of stones, their liberties and captures."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

Board = NDArray[np.int64]
Point = tuple[int, int]
BLACK, WHITE = 1, -1
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))
SIDE = 9


def group_at(board: Board, start: Point) -> tuple[set[Point], set[Point]]:
    """The chain of stones that the one at `start` belongs to, and its liberties: the empty points beside it."""
    stones, liberties, waiting = {start}, set(), [start]
    while waiting:
        y, x = waiting.pop()
        for near in ((y + dy, x + dx) for dy, dx in MOVES):
            if not (0 <= near[0] < len(board) and 0 <= near[1] < len(board)):
                continue
            if board[near] == 0:
                liberties.add(near)
            elif board[near] == board[start] and near not in stones:
                stones.add(near)
                waiting.append(near)
    return stones, liberties


def groups(board: Board, colour: int) -> list[tuple[set[Point], set[Point]]]:
    """All chains of a colour."""
    found: list[tuple[set[Point], set[Point]]] = []
    for y, x in np.argwhere(board == colour).tolist():
        if not any((y, x) in stones for stones, _ in found):
            found.append(group_at(board, (y, x)))
    return found


def captures(board: Board) -> set[Point]:
    """Where Black takes something: the last liberty of each white chain that has only one."""
    return {next(iter(liberties)) for _, liberties in groups(board, WHITE) if len(liberties) == 1}


def random_board(rng: np.random.Generator) -> Board:
    """Stones at random, those without a liberty taken off as the rules want."""
    board = rng.choice([0, BLACK, WHITE], size=(SIDE, SIDE), p=[0.4, 0.36, 0.24])
    for colour in (WHITE, BLACK):
        for stones, liberties in groups(board, colour):
            if not liberties:
                board[tuple(np.array(sorted(stones)).T)] = 0
    return board


def bare(axis: Axes, title: str) -> None:
    """Leave an axis nothing but its title."""
    axis.grid(visible=False)
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=9)


def draw_board(axis: Axes, board: Board) -> None:
    """Draw a board, its captures crossed."""
    axis.set_facecolor("#f3e3c3")
    end = len(board) - 1
    axis.hlines(range(end + 1), 0, end, color="#1f2937", lw=0.6)
    axis.vlines(range(end + 1), 0, end, color="#1f2937", lw=0.6)
    size = 620.0 / len(board) ** 2 * 9
    for colour, fill in ((BLACK, "#1f2937"), (WHITE, "white")):
        y, x = np.nonzero(board == colour)
        axis.scatter(x, y, s=size, color=fill, edgecolors="#1f2937", linewidths=0.8, zorder=3)
    points = np.array(sorted(captures(board))).reshape(-1, 2)
    axis.scatter(points[:, 1], points[:, 0], s=size / 2, marker="x", color="#b91c1c", linewidths=2, zorder=4)
    bare(axis, "")
    axis.set(aspect="equal", xlim=(-0.7, end + 0.7), ylim=(end + 0.7, -0.7))

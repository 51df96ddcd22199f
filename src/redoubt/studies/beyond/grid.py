"""A small reinforcement example: Q-learning on a grid with a pit, against who knows the rules."""

import numpy as np
from numpy.typing import NDArray

from redoubt.studies.contract import Doubles

SIDE = 5
START, GOAL, PITS = (4, 0), (4, 4), ((4, 1), (4, 2), (4, 3))
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
STEP, FALL, ARRIVE = -1.0, -20.0, 10.0
EXPLORE, RATE, LONGEST = 0.2, 0.5, 200
Cell = tuple[int, int]


def act(cell: Cell, move: int) -> tuple[Cell, float, bool]:
    """Where a move leads, its reward, and whether that ends the walk; walls hold."""
    down, right = MOVES[move]
    after = min(max(cell[0] + down, 0), SIDE - 1), min(max(cell[1] + right, 0), SIDE - 1)
    reward = FALL if after in PITS else ARRIVE if after == GOAL else STEP
    return after, reward, after in PITS or after == GOAL


def value_iteration() -> Doubles:
    """The best sum of rewards from every cell, by who knows the rules."""
    values = np.zeros((SIDE, SIDE))
    for _ in range(SIDE * SIDE):
        for cell in np.ndindex(SIDE, SIDE):
            if cell not in PITS and cell != GOAL:
                outcomes = [act((cell[0], cell[1]), move) for move in range(len(MOVES))]
                values[cell] = max(reward + (0.0 if ended else values[after]) for after, reward, ended in outcomes)
    return values


def q_learning(episodes: int, seed: int) -> tuple[Doubles, Doubles, NDArray[np.int64]]:
    """Learn by trying.

    Returns:
        The table of values `(SIDE, SIDE, moves)`; after each walk the sum of rewards of a greedy one, and the moves
        tried until then, both `(episodes,)`.
    """
    rng, table = np.random.default_rng(seed), np.zeros((SIDE, SIDE, len(MOVES)))
    returns, tried, moves = np.zeros(episodes), np.zeros(episodes, np.int64), 0
    for episode in range(episodes):
        cell, ended, length = START, False, 0
        while not ended and length < LONGEST:
            move = int(rng.integers(len(MOVES))) if rng.random() < EXPLORE else int(table[cell].argmax())
            after, reward, ended = act(cell, move)
            target = reward + (0.0 if ended else table[after].max())
            table[cell][move] += RATE * (target - table[cell][move])
            cell, length = after, length + 1
        moves += length
        returns[episode], tried[episode] = greedy(table), moves
    return table, returns, tried


def greedy(table: Doubles) -> float:
    """Sum of rewards of the walk that always takes the best move."""
    cell, total, ended = START, 0.0, False
    for _ in range(LONGEST):
        cell, reward, ended = act(cell, int(table[cell].argmax()))
        total += reward
        if ended:
            break
    return total


def reinforcement(episodes: int, runs: int, seed: int) -> tuple[dict[str, float], Doubles]:
    """The best return there is and the learned one, the moves tried until it stays, and the returns by walk."""
    best = float(value_iteration()[START])
    learned = [q_learning(episodes, seed + run)[1:] for run in range(runs)]
    settled = []
    for returns, tried in learned:
        below = np.flatnonzero(returns < best)
        settled.append(float(tried[below[-1]]) if len(below) else 0.0)
    found = {
        "grid/best": best,
        "grid/learned": float(np.mean([returns[-1] for returns, _ in learned])),
        "grid/first_walk": float(np.mean([returns[0] for returns, _ in learned])),
        "grid/moves_tried": float(np.mean(settled)),
    }
    return found, np.mean([returns for returns, _ in learned], axis=0)

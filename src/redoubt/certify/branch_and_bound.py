"""Branch and bound over unstable ReLUs (arXiv 2103.06624): a box is proven, or a point of it refutes it."""

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from redoubt.certify.affine import Doubles
from redoubt.certify.crown import Ascent, bound, optimize, true_values
from redoubt.certify.leaf import minimize
from redoubt.certify.reduce import OnBox

Verdict = Literal["proven", "adversarial", "undecided"]
# Branches bounded by one product, and the optimizer's steps that each is given.
WIDTH, STEPS = 64, 12
# Branches kept in memory; with more open a box is undecided.
MOST = 20_000
# Points of each round that are asked for what the network says there.
ASKED = 4


@dataclass(frozen=True)
class Limit:
    """When branch and bound gives up on an example.

    Attributes:
        seconds: that it may take; how far it gets in them differs between machines.
        rounds: of splitting; the same everywhere.
    """

    seconds: float = float("inf")
    rounds: float = float("inf")


@dataclass(frozen=True, eq=False)
class _Branches:
    """Parts of the box, each with what is to be bounded there.

    Attributes:
        row: which of the rows, `(branches,)`.
        value: its lower bound so far, `(branches,)`.
        splits: as `crown.bound` has them, `(branches, relus)`.
        slopes: as far as they were optimized, likewise.
        betas: likewise.
        gap: what each ReLU's relaxation costs, likewise.
        corner: where the relaxation is lowest, of a leaf the network itself, `(branches, free inputs)`.
    """

    row: NDArray[np.intp]
    value: Doubles
    splits: Doubles
    slopes: Doubles
    betas: Doubles
    gap: Doubles
    corner: Doubles

    def take(self, chosen: NDArray[np.intp]) -> "_Branches":
        return _Branches(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def joined(self, other: "_Branches") -> "_Branches":
        names = self.__dataclass_fields__
        return _Branches(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))


def decide(on_box: OnBox, slopes: Doubles, goal: float, limit: Limit) -> tuple[Verdict, Doubles | None]:
    """Prove every row above a goal over the whole box, or find a point where one is below 0.

    Args:
        on_box: the reduced network with its rows.
        slopes: of each row's bound, to begin with, `(rows, relus)`.
        goal: to be exceeded by every row.
        limit: when to give up.

    Returns:
        The verdict, and the flat input that refutes the proof.
    """
    branches, until, rounds = _whole(on_box, slopes), time.monotonic() + limit.seconds, 0
    while True:
        verdict, point = _settled(on_box, branches, goal)
        if verdict is not None:
            return verdict, point
        branches = branches.take(np.flatnonzero(~(branches.value > goal)))
        if not len(branches.row):
            return "proven", None
        if len(branches.row) > MOST or rounds >= limit.rounds or time.monotonic() >= until:
            return "undecided", None
        rounds += 1
        order = np.argsort(branches.value, kind="stable")
        now, later = branches.take(order[:WIDTH]), branches.take(order[WIDTH:])
        leaf = np.all(now.splits != 0.0, axis=1)
        solved = _solved(on_box, now.take(np.flatnonzero(leaf)))
        halves = _bounded(on_box, _split(on_box, now.take(np.flatnonzero(~leaf))), goal)
        branches = halves.joined(solved).joined(later)


def _whole(on_box: OnBox, slopes: Doubles) -> _Branches:
    """The box in one piece, a branch for each row."""
    none = np.zeros((len(on_box.rows), on_box.reduced.relus))
    found = bound(on_box.reduced, on_box.rows, on_box.offset, slopes, none, none)
    return _Branches(np.arange(len(none)), found.value, none, slopes, none, found.gap, found.corner)


def _bounded(on_box: OnBox, branches: _Branches, goal: float) -> _Branches:
    rows, offset = on_box.rows[branches.row], on_box.offset[branches.row]
    start = Ascent(branches.slopes, branches.betas)
    found, ascent = optimize(on_box.reduced, rows, offset, branches.splits, start, STEPS, goal)
    # A part is no harder than the whole: what was proven of that holds.
    value = np.maximum(found.value, branches.value)
    return _Branches(branches.row, value, branches.splits, ascent.slopes, ascent.betas, found.gap, found.corner)


def _split(on_box: OnBox, branches: _Branches) -> _Branches:
    """Each branch in two, at the ReLU whose relaxation costs most; where none costs anything, at the widest."""
    if not len(branches.row):
        return branches
    widest = np.where(branches.splits == 0.0, on_box.reduced.widths, -1.0)
    score = np.where(branches.gap.max(axis=1, keepdims=True) > 0.0, branches.gap, widest)
    at, count = score.argmax(axis=1), len(branches.row)
    both = branches.joined(branches)
    both.splits[np.arange(count), at] = 1.0
    both.splits[count + np.arange(count), at] = -1.0
    return both


def _solved(on_box: OnBox, leaves: _Branches) -> _Branches:
    """Leaves, where the network is linear, with the multipliers and the point that a linear program finds.

    The program's tolerance does not matter: its multipliers prove what `bound` makes of them.
    """
    for place, (row, splits) in enumerate(zip(leaves.row, leaves.splits, strict=True)):
        leaves.betas[place], leaves.corner[place] = minimize(on_box.reduced, on_box.rows[row], splits)
    rows, offset = on_box.rows[leaves.row], on_box.offset[leaves.row]
    found = bound(on_box.reduced, rows, offset, leaves.slopes, leaves.splits, leaves.betas)
    return replace(leaves, value=np.maximum(found.value, leaves.value))


def _settled(on_box: OnBox, branches: _Branches, goal: float) -> tuple[Verdict | None, Doubles | None]:
    """Whether a point at which a relaxation is lowest shows that not every row exceeds the goal."""
    values = true_values(on_box.reduced, on_box.rows[branches.row], on_box.offset[branches.row], branches.corner)
    likely = np.argsort(values, kind="stable")[:ASKED]
    likely = likely[values[likely] <= goal]
    if not len(likely):
        return None, None
    points = on_box.points(branches.corner[likely])
    wrong = np.flatnonzero(on_box.is_adversarial(points))
    return ("adversarial", points[wrong[0]]) if len(wrong) else ("undecided", None)

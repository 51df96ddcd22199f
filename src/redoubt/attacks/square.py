"""Square attack (arXiv 1912.00049): random search with squares that shrink, on scores alone."""

import abc
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.geometry import must_stay_integer, round_integers
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.core.repair import keep_relations
from redoubt.attacks.query import Flags, QueryAttack, QueryResult, Tally
from redoubt.core.types import Floats, Ints

TINY = 1e-12
# Shares of the iterations after each of which the squares' area halves, as the paper's authors run it.
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
# `(count) -> numbers uniform in [0, 1), (examples, count)`.
Draw = Callable[[int], Floats]


@dataclass(frozen=True, kw_only=True)
class Square(QueryAttack):
    """Change one random square after another; a change stays unless it lowers the margin.

    Images `(height, width, channels)` are changed in squares, all channels at once. Inputs of any other shape, such
    as a table's, have no neighbours: there a square is as many features, drawn at random, each with its own sign.

    Attributes:
        queries: per example, >= 1: one for the input, one for the first perturbation, one per iteration.
        p_init: share of an input that the first squares cover, in (0, 1].
    """

    p_init: float = 0.8

    def query(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> QueryResult:
        """See `QueryAttack.query`."""
        tally, rows = Tally(problem, x, y, seed), np.arange(len(x))
        rows = rows[~tally.is_adversarial(tally.ask(x, rows), rows)]
        search = _search(problem, x[rows], eps)
        margin = np.full(len(rows), -np.inf, np.float32)
        for step in range(self.queries - 1):
            if not len(rows):
                break
            places, values = search.propose(_drawer(seed, step, rows, len(x)), self._share(step))
            kept = search.write(places, values)
            candidates = search.x_adv.reshape(-1, *x.shape[1:])
            candidates = keep_relations(x[rows], candidates, eps, problem.norm, problem.bounds)
            outputs = tally.ask(candidates, rows)
            reached, adversarial = tally.margin(outputs, rows), tally.is_adversarial(outputs, rows)
            worse = ~(reached >= margin) & ~adversarial
            search.write(places[worse], kept[worse], np.flatnonzero(worse))
            margin = np.where(worse, margin, reached)
            if adversarial.any():
                tally.x_adv[rows[adversarial]] = candidates[adversarial]
                rows, margin, search = rows[~adversarial], margin[~adversarial], search.take(~adversarial)
        left = search.x_adv.reshape(-1, *x.shape[1:])
        tally.x_adv[rows] = keep_relations(x[rows], left, eps, problem.norm, problem.bounds)
        return tally.closed()

    def _share(self, step: int) -> float | None:
        """What a square covers; None of the first perturbation, which covers everything."""
        return self.p_init * 0.5 ** int(np.searchsorted(HALVINGS, step / self.queries)) if step else None


def _drawer(seed: int, step: int, rows: Ints, count: int) -> Draw:
    # Drawn for all examples, so that an example's luck does not depend on which others still stand.
    return lambda width: np.random.default_rng([seed, step]).random((count, width), np.float32)[rows]


class _Layout(Protocol):
    """What a square is; places are indices of flat inputs `(examples, cells, groups)`, groups an image's channels."""

    def stripes(self, draw: Draw) -> Floats:
        """First signs in L-inf, `(examples, inputs)`."""
        ...

    def tiles(self, draw: Draw) -> Floats:
        """First direction in L2, `(examples, inputs)`, of any length."""
        ...

    def square(self, draw: Draw, share: float) -> tuple[Ints, Floats]:
        """L-inf: places and signs, which broadcast to the places."""
        ...

    def exchange(self, draw: Draw, share: float) -> tuple[Ints, Ints, Floats]:
        """L2: places to fill, places to empty, and the direction to fill with, of length 1 per group."""
        ...


@dataclass(frozen=True)
class _Image:
    height: int
    width: int
    channels: int

    def stripes(self, draw: Draw) -> Floats:
        """Vertical stripes one pixel wide."""
        signs = _signs(draw(self.width * self.channels))
        return np.tile(signs, (1, self.height))

    def tiles(self, draw: Draw) -> Floats:
        """Five bumps along the shorter side, as many more as fit along the other."""
        side = max(min(self.height, self.width) // 5, 1)
        high, wide = math.ceil(self.height / side), math.ceil(self.width / side)
        signs = _signs(draw(high * wide * self.channels)).reshape(-1, high, wide, self.channels)
        signs = signs.repeat(side, axis=1).repeat(side, axis=2)
        tiles = signs * np.tile(_bump(side), (high, wide))[..., None]
        return tiles[:, : self.height, : self.width].reshape(len(tiles), -1)

    def square(self, draw: Draw, share: float) -> tuple[Ints, Floats]:
        """A window, with one sign per channel."""
        drawn = draw(2 + self.channels)
        side = self._side(share, smallest=1)
        return self._window(drawn[:, :2], side), _signs(drawn[:, 2:])[:, None]

    def exchange(self, draw: Draw, share: float) -> tuple[Ints, Ints, Floats]:
        """Two windows of odd side, and two bumps of opposite sign, one above or beside the other."""
        drawn = draw(5 + self.channels)
        side = min(self._side(share, smallest=3) // 2 * 2 + 1, self.height, self.width)
        upright = drawn[:, 4, None, None] < 0.5
        bump = np.where(upright, _bump(side), _bump(side).T).reshape(len(drawn), -1, 1)
        windows = self._window(drawn[:, :2], side), self._window(drawn[:, 2:4], side)
        return *windows, bump * _signs(drawn[:, 5:])[:, None]

    def _side(self, share: float, smallest: int) -> int:
        side = max(round(math.sqrt(share * self.height * self.width)), smallest)
        return min(side, self.height, self.width)

    def _window(self, drawn: Floats, side: int) -> Ints:
        corner = (drawn * [self.height - side + 1, self.width - side + 1]).astype(np.int64)
        grid = np.arange(side)[:, None] * self.width + np.arange(side)
        cells = (corner @ [self.width, 1])[:, None] + grid.ravel()
        return cells[..., None] * self.channels + np.arange(self.channels)


@dataclass(frozen=True, eq=False)
class _Table:
    inputs: int
    movable: Ints

    def stripes(self, draw: Draw) -> Floats:
        """A sign per feature."""
        return _signs(draw(self.inputs))

    def tiles(self, draw: Draw) -> Floats:
        """Any direction."""
        return 2 * draw(self.inputs) - 1

    def square(self, draw: Draw, share: float) -> tuple[Ints, Floats]:
        """Some features, each with a sign."""
        places, drawn = self._some(draw, share, smallest=1)
        return places, _signs(drawn)

    def exchange(self, draw: Draw, share: float) -> tuple[Ints, Ints, Floats]:
        """Some features, turned in a random direction; among two or more of them nothing need be emptied."""
        places, drawn = self._some(draw, share, smallest=2)
        direction = 2 * drawn - 1
        return places, places[:, :0], direction / (_lengths(direction) + TINY)

    def _some(self, draw: Draw, share: float, smallest: int) -> tuple[Ints, Floats]:
        """Distinct features that can change, and a further number for each, both `(examples, features, 1)`."""
        total = len(self.movable)
        count = min(max(round(share * total), smallest), total)
        drawn = draw(total + count)
        order = np.argsort(drawn[:, :total], axis=1)[:, :count]
        return self.movable[order][..., None], drawn[:, total:, None]


@dataclass(frozen=True, eq=False)
class _Search(abc.ABC):
    """The examples that are still robust, flat, `(examples, inputs)`; `x_adv` is written in place."""

    layout: _Layout
    x_adv: Floats

    @abc.abstractmethod
    def propose(self, draw: Draw, share: float | None) -> tuple[Ints, Floats]:
        """Places, and the values to try there; those of everything where the share is None."""

    @abc.abstractmethod
    def take(self, keep: Flags) -> Self:
        """The search for some of the examples."""

    def write(self, places: Ints, values: Floats, rows: Ints | None = None) -> Floats:
        """Put values in place, of all examples or of some; returns what was there."""
        at = (np.arange(len(places)) if rows is None else rows)[:, None, None], places
        before = self.x_adv[at]
        # Where places occur twice the last value stays.
        self.x_adv[at] = values
        return before

    def everywhere(self) -> Ints:
        """The places of all inputs."""
        rows, inputs = self.x_adv.shape
        return np.broadcast_to(np.arange(inputs)[:, None], (rows, inputs, 1))


@dataclass(frozen=True, eq=False)
class _Corners(_Search):
    """L-inf: every input at the lowest or the highest value within reach, `(examples, inputs)` each."""

    low: Floats
    high: Floats

    def propose(self, draw: Draw, share: float | None) -> tuple[Ints, Floats]:
        """See `_Search.propose`."""
        if share is None:
            places, signs = self.everywhere(), self.layout.stripes(draw)[..., None]
        else:
            places, signs = self.layout.square(draw, share)
        low, high = _at(self.low, places), _at(self.high, places)
        values = np.where(signs > 0, high, low)
        # A query that changes nothing is a query lost: it is turned round.
        same = (values == _at(self.x_adv, places)).all(axis=(1, 2))
        values[same] = np.where(signs > 0, low, high)[same]
        return places, values

    def take(self, keep: Flags) -> Self:
        """See `_Search.take`."""
        return replace(self, x_adv=self.x_adv[keep], low=self.low[keep], high=self.high[keep])


@dataclass(frozen=True, eq=False)
class _Sphere(_Search):
    """L2: what one square of the perturbation gives up, and what clipping left unused, goes to another.

    Attributes:
        origin: inputs before the attack, `(examples, inputs)`.
        whole: which of them must stay whole numbers, likewise.
        box: lower, upper, scale, and whether it may fall and rise, per flat input, `(5, inputs)`.
        eps: size of the perturbation.
    """

    origin: Floats
    whole: Flags
    box: Floats
    eps: float

    def propose(self, draw: Draw, share: float | None) -> tuple[Ints, Floats]:
        """See `_Search.propose`."""
        scale = self.box[2]
        if share is None:
            start = self.layout.tiles(draw) * (scale > 0)
            start *= self.eps / (np.linalg.norm(start, axis=1, keepdims=True) + TINY)
            return self.everywhere(), self._land(self.everywhere(), start[..., None])
        filled, emptied, direction = self.layout.exchange(draw, share)
        change = (self.x_adv - self.origin) / np.where(scale > 0, scale, 1)
        unused = np.maximum(self.eps**2 - np.einsum("ij,ij->i", change, change), 0)[:, None, None]
        old = _at(change, filled)
        # What the squares have in common must not be counted twice.
        change[np.arange(len(change))[:, None, None], filled] = 0
        freed = np.square(_at(change, emptied)).sum(axis=1, keepdims=True)
        size = np.sqrt(np.square(_lengths(old)) + freed + unused / filled.shape[2])
        new = direction + old / (_lengths(old) + TINY)
        new *= size / (_lengths(new) + TINY)
        places = np.concatenate([emptied, filled], axis=1)
        return places, np.concatenate([_at(self.origin, emptied), self._land(filled, new)], axis=1)

    def take(self, keep: Flags) -> Self:
        """See `_Search.take`."""
        return replace(self, x_adv=self.x_adv[keep], origin=self.origin[keep], whole=self.whole[keep])

    def _land(self, places: Ints, change: Floats) -> Floats:
        """Values in raw units after a change in units of the scale, clipped and whole where they must be."""
        lower, upper, scale, falls, rises = self.box[:, places]
        origin = _at(self.origin, places)
        change = np.where(((change > 0) & (rises == 0)) | ((change < 0) & (falls == 0)), 0.0, change)
        values = np.where(scale > 0, np.clip(origin + change * scale, lower, upper), origin)
        if self.whole.any():
            values = np.where(_at(self.whole, places), origin + np.trunc(values - origin), values)
        return values


def _search(problem: AttackProblem, x: Floats, eps: float) -> _Search:
    bounds, shape = problem.bounds, x.shape[1:]
    flat = x.reshape(len(x), math.prod(shape))
    sides = (bounds.lower, bounds.upper, bounds.scale, bounds.falls, bounds.rises)
    box = np.stack([np.broadcast_to(side, shape).astype(np.float32).ravel() for side in sides])
    movable = box[2] > 0
    layout = _Image(*shape) if len(shape) == 3 else _Table(len(movable), np.flatnonzero(movable))
    if problem.norm == "l2":
        whole = np.broadcast_to(must_stay_integer(x, bounds), x.shape).reshape(flat.shape)
        return _Sphere(layout, flat.copy(), flat, whole, box, eps)
    low, high = bounds.ends(x, eps)
    ends = np.maximum(low, bounds.lower), np.minimum(high, bounds.upper)
    low, high = (
        np.where(movable, round_integers(x, end.astype(np.float32), bounds).reshape(flat.shape), flat) for end in ends
    )
    return _Corners(layout, flat.copy(), low, high)


@functools.lru_cache
def _bump(side: int) -> Floats:
    """Two bumps of opposite sign, one above the other, of length 1 together, `(side, side)`."""
    upper = side // 2
    both = np.concatenate([_half(upper, side), -_half(side - upper, side)])
    return (both / np.linalg.norm(both)).astype(np.float32)


def _half(height: int, width: int) -> NDArray[np.float64]:
    """The sum of concentric squares, each of the inverse square of its distance from the smallest."""
    far = np.maximum(np.abs(np.arange(height) - height // 2)[:, None], np.abs(np.arange(width) - width // 2))
    weights = 1.0 / np.square(np.arange(1, max(height, width) // 2 + 2))
    return np.cumsum(weights[::-1])[::-1][far]


def _at(values: NDArray[Any], places: Ints) -> NDArray[Any]:
    return values[np.arange(len(values))[:, None, None], places]


def _lengths(change: Floats) -> Floats:
    return np.sqrt(np.square(change).sum(axis=1, keepdims=True))


def _signs(drawn: Floats) -> Floats:
    return np.where(drawn < 0.5, np.float32(-1), np.float32(1))

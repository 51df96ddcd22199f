"""Linear bounds by backward substitution (CROWN, arXiv 1811.00866), with free slopes and splits (arXiv 2103.06624).

Of a ReLU whose input p lies between low < 0 < high, the output r is held between two lines: r >= slope * p for any
slope in [0, 1], and r <= high / (high - low) * (p - low). Whatever the slopes, what they prove holds, so that their
optimizer needs no tolerance. A ReLU that a branch holds active (p >= 0) or inactive (p <= 0) is linear there, and beta
>= 0 times the condition may be subtracted from what is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redoubt.certify.affine import Doubles

# Adam's, for slopes and multipliers; the usual ones but for the rate.
RATE, FIRST, SECOND, TINY = 0.3, 0.9, 0.999, 1e-8
# The rate falls to this share of itself by the last step.
LAST = 0.1


@dataclass(frozen=True, eq=False)
class Block:
    """The unstable ReLUs of one layer: their inputs are `weights @ before + offset`, bounded by low < 0 < high.

    Attributes:
        weights: `(relus, variables before)`.
        offset: `(relus,)`.
        low: of their inputs, `(relus,)`.
        high: likewise.
    """

    weights: Doubles
    offset: Doubles
    low: Doubles
    high: Doubles


@dataclass(frozen=True, eq=False)
class Reduced:
    """What is left of a network on one box: variables are the inputs that vary, then the outputs of unstable ReLUs.

    Attributes:
        low: of the inputs that vary, `(inputs,)`.
        high: likewise.
        blocks: first layer to last.
    """

    low: Doubles
    high: Doubles
    blocks: tuple[Block, ...]

    @property
    def sizes(self) -> list[int]:
        """Unstable ReLUs by block."""
        return [len(block.low) for block in self.blocks]

    @property
    def relus(self) -> int:
        """Unstable ReLUs of all blocks."""
        return sum(self.sizes)

    @property
    def widths(self) -> Doubles:
        """How far the two lines of each ReLU's relaxation lie apart at most, `(relus,)`."""
        return np.concatenate([np.zeros(0), *(-b.low * b.high / (b.high - b.low) for b in self.blocks)])


@dataclass(frozen=True, eq=False)
class Bounded:
    """Lower bounds of rows, and where the relaxation attains them.

    Attributes:
        value: `(rows,)`.
        corner: of the inputs that vary, `(rows, inputs)`.
        gap: what each ReLU's relaxation costs there, `(rows, relus)`.
        slope_gradient: of the value by each slope, `(rows, relus)`.
        beta_gradient: of the value by each multiplier, `(rows, relus)`.
    """

    value: Doubles
    corner: Doubles
    gap: Doubles
    slope_gradient: Doubles
    beta_gradient: Doubles


def adaptive_slopes(reduced: Reduced) -> Doubles:
    """Of the smaller area: 1 where more of the interval is active, else 0; `(relus,)`."""
    ends = [(block.high > -block.low).astype(float) for block in reduced.blocks]
    return np.concatenate([np.zeros(0), *ends])


def lower(reduced: Reduced, rows: Doubles, offset: Doubles, slopes: Doubles) -> Doubles:
    """Lower bounds of `rows @ variables + offset` alone, for one set of slopes; see `bound`."""
    for first, block in zip(_firsts(reduced)[::-1], reduced.blocks[::-1], strict=True):
        mine, rows = rows[:, first.start :], rows[:, : first.start]
        upper = block.high / (block.high - block.low)
        negative = np.minimum(mine, 0.0)
        offset = offset - negative @ (upper * block.low)
        onto = np.maximum(mine, 0.0) * slopes[first.relus] + negative * upper
        rows = rows + onto @ block.weights
        offset = offset + onto @ block.offset
    value: Doubles = offset + np.maximum(rows, 0.0) @ reduced.low + np.minimum(rows, 0.0) @ reduced.high
    return value


@dataclass(frozen=True)
class _Place:
    """Where a block's ReLUs stand: among the variables, and among the ReLUs."""

    start: int
    relus: slice


def _firsts(reduced: Reduced) -> list[_Place]:
    places, seen, inputs = [], 0, len(reduced.low)
    for size in reduced.sizes:
        places.append(_Place(inputs + seen, slice(seen, seen + size)))
        seen += size
    return places


def bound(
    reduced: Reduced, rows: Doubles, offset: Doubles, slopes: Doubles, splits: Doubles, betas: Doubles
) -> Bounded:
    """Lower bounds of `rows @ variables + offset` over the box, by row with slopes and splits of its own.

    Args:
        reduced: the network on its box.
        rows: `(rows, variables)`.
        offset: `(rows,)`.
        slopes: in [0, 1], `(rows, relus)`.
        splits: 1 where a branch holds a ReLU active, -1 inactive, 0 neither, `(rows, relus)`.
        betas: multipliers of the splits, >= 0, `(rows, relus)`.
    """
    places, slope = _firsts(reduced), _slopes(splits, slopes)
    upper, high_offset = _upper(reduced, splits)
    above: list[Doubles] = []
    for place, block in zip(places[::-1], reduced.blocks[::-1], strict=True):
        at = place.relus
        mine, rows = rows[:, place.start :], rows[:, : place.start]
        above.insert(0, mine)
        negative = np.minimum(mine, 0.0)
        onto = np.maximum(mine, 0.0) * slope[:, at] + negative * upper[:, at] - splits[:, at] * betas[:, at]
        offset = offset + (negative * high_offset[:, at]).sum(axis=1) + onto @ block.offset
        rows = rows + onto @ block.weights
    corner = np.where(rows >= 0.0, reduced.low, reduced.high)
    value = offset + (rows * corner).sum(axis=1)
    return _attained(reduced, value, corner, above, (slope, upper, high_offset, splits))


def _slopes(splits: Doubles, slopes: Doubles) -> Doubles:
    return np.where(splits == 0.0, slopes, np.maximum(splits, 0.0))


def _upper(reduced: Reduced, splits: Doubles) -> tuple[Doubles, Doubles]:
    """The upper line of each ReLU, its slope and its offset."""
    low = np.concatenate([np.zeros(0), *(block.low for block in reduced.blocks)])
    high = np.concatenate([np.zeros(0), *(block.high for block in reduced.blocks)])
    slope = high / np.where(high > low, high - low, 1.0)
    held = np.maximum(splits, 0.0)
    return np.where(splits == 0.0, slope, held), np.where(splits == 0.0, -slope * low, 0.0)


def _attained(
    reduced: Reduced,
    value: Doubles,
    corner: Doubles,
    above: Sequence[Doubles],
    lines: tuple[Doubles, Doubles, Doubles, Doubles],
) -> Bounded:
    """Walk forward from the corner: what each ReLU reads there, and what it gives in the relaxation."""
    slope, upper, high_offset, splits = lines
    variables, gaps, by_slope, by_beta = corner, [], [], []
    for place, block, mine in zip(_firsts(reduced), reduced.blocks, above, strict=True):
        at = place.relus
        read = variables @ block.weights.T + block.offset
        falls = mine < 0.0
        given = np.where(falls, upper[:, at] * read + high_offset[:, at], slope[:, at] * read)
        true, free = np.maximum(read, 0.0), splits[:, at] == 0.0
        gaps.append(np.where(free, np.abs(mine * (given - true)), 0.0))
        by_slope.append(np.where(falls | ~free, 0.0, mine * read))
        by_beta.append(-splits[:, at] * read)
        variables = np.concatenate([variables, given], axis=1)
    empty = np.zeros((len(value), 0))
    gap, slopes, betas = (np.concatenate([empty, *each], axis=1) for each in (gaps, by_slope, by_beta))
    return Bounded(value, corner, gap, slopes, betas)


def true_values(reduced: Reduced, rows: Doubles, offset: Doubles, inputs: Doubles) -> Doubles:
    """What the rows are, with no relaxation, at one point each of the box, `(rows,)`."""
    variables = inputs
    for block in reduced.blocks:
        given = np.maximum(variables @ block.weights.T + block.offset, 0.0)
        variables = np.concatenate([variables, given], axis=1)
    values: Doubles = (rows * variables).sum(axis=1) + offset
    return values


@dataclass(eq=False)
class Ascent:
    """Slopes and multipliers as far as they are optimized, one row each.

    Attributes:
        slopes: in [0, 1], `(rows, relus)`.
        betas: >= 0, `(rows, relus)`.
    """

    slopes: Doubles
    betas: Doubles


def optimize(
    reduced: Reduced, rows: Doubles, offset: Doubles, splits: Doubles, start: Ascent, steps: int, goal: float
) -> tuple[Bounded, Ascent]:
    """Raise lower bounds by projected Adam on slopes and multipliers.

    Args:
        reduced: the network on its box.
        rows: `(rows, variables)`.
        offset: `(rows,)`.
        splits: see `bound`.
        start: where to begin.
        steps: at most; fewer once every row is above the goal.
        goal: what is to be proven.

    Returns:
        The best bound of each row, and the slopes and multipliers that gave it.
    """
    slopes, betas = start.slopes.copy(), start.betas.copy()
    found = bound(reduced, rows, offset, slopes, splits, betas)
    best, kept = found, Ascent(slopes.copy(), betas.copy())
    moments = [np.zeros_like(slopes) for _ in range(4)]
    for step in range(1, steps + 1):
        if np.all(best.value > goal):
            break
        rate = RATE * LAST ** (step / steps)
        slopes = np.clip(slopes + rate * _adam(moments[:2], found.slope_gradient, step), 0.0, 1.0)
        betas = np.maximum(betas + rate * _adam(moments[2:], found.beta_gradient, step), 0.0)
        found = bound(reduced, rows, offset, slopes, splits, betas)
        better = found.value > best.value
        best = _merged(better, found, best)
        kept = Ascent(np.where(better[:, None], slopes, kept.slopes), np.where(better[:, None], betas, kept.betas))
    return best, kept


def _adam(moments: list[Doubles], gradient: Doubles, step: int) -> Doubles:
    moments[0][:] = FIRST * moments[0] + (1 - FIRST) * gradient
    moments[1][:] = SECOND * moments[1] + (1 - SECOND) * gradient**2
    direction: Doubles = moments[0] / (1 - FIRST**step) / (np.sqrt(moments[1] / (1 - SECOND**step)) + TINY)
    return direction


def _merged(better: NDArray[np.bool_], new: Bounded, old: Bounded) -> Bounded:
    def pick(one: Doubles, other: Doubles) -> Doubles:
        return np.where(better if one.ndim == 1 else better[:, None], one, other)

    return Bounded(*(pick(getattr(new, name), getattr(old, name)) for name in Bounded.__dataclass_fields__))

"""A network on one box of inputs, reduced to what varies there: free inputs and unstable ReLUs, all else folded.

Before the first layer that sums, a box stays exact. A ReLU that is active or inactive throughout the box is linear, and
becomes part of the map around it. Of thousands of inputs and ReLUs a few hundred are left.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from redoubt.certify.affine import Affine, Doubles, PiecewiseLinear
from redoubt.certify.crown import Ascent, Block, Reduced, adaptive_slopes, lower, optimize

# Rows bounded by one product.
AT_ONCE = 2048
BISECTIONS = 50


@dataclass(frozen=True, eq=False)
class Question:
    """What is to be proven: over a box of inputs every output of `asked` stays above 0.

    Attributes:
        network: taken apart.
        x: the example, flat, `(inputs,)`.
        low: lower ends of the box, `(inputs,)`.
        high: upper ends.
        whole: which inputs are whole numbers and stay so, `(inputs,)`; the proof is over all points of the box, what
            refutes it is one that an attacker may send.
        asked: of the network's outputs: the true logit's lead over each other, or a number's distances from both ends.
    """

    network: PiecewiseLinear
    x: Doubles
    low: Doubles
    high: Doubles
    whole: NDArray[np.bool_]
    asked: Affine


class OnBox:
    """A network on a box, with the rows that are to be bounded.

    Attributes:
        reduced: the network.
        rows: `(rows, variables)`.
        offset: `(rows,)`.
    """

    def __init__(self, question: Question, steps: int = 0) -> None:
        """Reduce it.

        Args:
            question: the network, its box, and what is to be bounded.
            steps: of the optimizer, for the bounds of each ReLU's input; 0 takes the slopes of the smaller area.
        """
        network, low, high = question.network, question.low, question.high
        one, other = network.inputs(low), network.inputs(high)
        self._question, self._ends = question, np.where(one > other, [high, low], [low, high])
        bottom, top = np.minimum(one, other), np.maximum(one, other)
        self._free, self._steps = np.flatnonzero(top > bottom), steps
        self.reduced = Reduced(bottom[self._free], top[self._free], ())
        known = _Layer(_selection(len(bottom), self._free), np.where(top > bottom, 0.0, bottom))
        for affine, kept in zip(network.maps, network.kept, strict=False):
            known = self._through_relus(known.mapped(affine), kept)
        last = known.mapped(network.maps[-1]).mapped(question.asked)
        self.rows, self.offset = _dense(last.matrix), last.offset

    def points(self, free: Doubles) -> Doubles:
        """The flat inputs `(rows, inputs)` that an attacker may send, nearest to free inputs `(rows, free inputs)`."""
        # By bisection: what is in front of the first map only rises between these ends.
        low, high = (np.repeat(end[None], len(free), axis=0) for end in self._ends)
        wanted = np.repeat(self._question.network.inputs(low[:1]), len(free), axis=0)
        wanted[:, self._free] = free
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = self._question.network.inputs(middle) < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        first, last = self._ends
        at_end = self._question.network.inputs(last[None]) <= wanted
        found = np.where(at_end, last, np.where(self._question.network.inputs(first[None]) >= wanted, first, high))
        x, whole = self._question.x, self._question.whole
        return np.where(whole, x + np.trunc(found - x), found)

    def is_adversarial(self, points: Doubles) -> NDArray[np.bool_]:
        """Where one of what is asked is below 0, of flat inputs, `(rows,)`."""
        asked = self._question.asked(self._question.network(points))
        return np.asarray((asked < 0.0).any(axis=1))

    def _through_relus(self, before: "_Layer", kept: NDArray[np.intp]) -> "_Layer":
        low, high = _interval(before, self.reduced)
        low[kept], high[kept] = 0.0, np.inf
        crossing = np.flatnonzero((low < 0.0) & (high > 0.0))
        rows, offset = _dense(before.matrix[crossing]), before.offset[crossing]
        if self.reduced.blocks:
            low[crossing] = np.maximum(low[crossing], self._lower(rows, offset))
            high[crossing] = np.minimum(high[crossing], -self._lower(-rows, -offset))
        unstable = np.flatnonzero((low < 0.0) & (high > 0.0))
        mine = np.searchsorted(crossing, unstable)
        block = Block(rows[mine], offset[mine], low[unstable], high[unstable])
        self.reduced = Reduced(self.reduced.low, self.reduced.high, (*self.reduced.blocks, block))
        active = low >= 0.0
        linear = sparse.diags_array(active.astype(float), format="csr") @ before.matrix
        matrix = sparse.hstack([linear, _selection(len(low), unstable)], format="csr")
        return _Layer(matrix, np.where(active, before.offset, 0.0))

    def _lower(self, rows: Doubles, offset: Doubles) -> Doubles:
        """Lower bounds by backward substitution."""
        found, slopes = np.empty(len(rows)), adaptive_slopes(self.reduced)
        for first in range(0, len(rows), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            found[some] = lower(self.reduced, rows[some], offset[some], slopes)
        if not self._steps:
            return found
        # Only of a ReLU that is still unstable is a better bound of use.
        left = np.flatnonzero(found < 0.0)
        for first in range(0, len(left), AT_ONCE):
            at = left[first : first + AT_ONCE]
            none = np.zeros((len(at), self.reduced.relus))
            start = Ascent(np.tile(slopes, (len(at), 1)), none)
            best, _ = optimize(self.reduced, rows[at], offset[at], none, start, self._steps, 0.0)
            found[at] = np.maximum(found[at], best.value)
        return found


class _Layer:
    """The outputs of a layer as an affine map of the variables so far."""

    def __init__(self, matrix: Any, offset: Doubles) -> None:
        self.matrix, self.offset = matrix, offset

    def mapped(self, affine: Affine) -> "_Layer":
        return _Layer(affine.matrix @ self.matrix, affine.matrix @ self.offset + affine.offset)


def _selection(rows: int, chosen: NDArray[np.intp]) -> Any:
    """A matrix with a 1 in each chosen row, one per column."""
    ones = np.ones(len(chosen))
    return sparse.csr_array((ones, (chosen, np.arange(len(chosen)))), shape=(rows, len(chosen)))


def _dense(matrix: Any) -> Doubles:
    found: Doubles = matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
    return found


def _interval(layer: _Layer, reduced: Reduced) -> tuple[Doubles, Doubles]:
    """Bounds of each output by the variables' own: the inputs', and from 0 to the highest of each ReLU."""
    low = np.concatenate([reduced.low, *(np.zeros_like(block.low) for block in reduced.blocks)])
    high = np.concatenate([reduced.high, *(block.high for block in reduced.blocks)])
    centre, radius = 0.5 * (low + high), 0.5 * (high - low)
    middle, reach = layer.matrix @ centre + layer.offset, abs(layer.matrix) @ radius
    return middle - reach, middle + reach

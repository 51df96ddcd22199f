"""Repair of relations between a table's columns, as CAPGD does it after each step (arXiv 2406.00775), and further.

A relation that a step breaks is mended where it can be by one column alone, the one that it is about if possible:
`installment == loan / term` sets the installment, `open <= total` clips what is open, `term in [36, 60]` takes the
nearest that is within reach. Where that column may not go so
far, the step of the relation's own columns is shortened; what is still broken then is a step of the whole row that is
shortened towards the last valid point, and at last not taken.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.distances import distance, must_stay_integer, round_integers
from redoubt.bundle.relations.expression import UNIT, Values, evaluate
from redoubt.bundle.relations.relation import ROOM, Relation
from redoubt.bundle.relations.table import Relations
from redoubt.core.types import Bounds, Floats, Ints, Measure

Flags = NDArray[np.bool_]
# Relations may undo each other's repair; so often it is tried again.
PASSES = 4
# How often a step is halved: of one relation's columns, and of the whole row.
HALVINGS, RETREATS = 8, 4
# How often a perturbation that a repair has made too long (L2) is shortened and repaired again.
SHRINKS = 4
# Less than what a result is checked by, more than float32's rounding.
SLACK, SHORTER = 5e-5, 0.99


@dataclass(frozen=True, eq=False)
class _Ball:
    """Where the perturbations of some examples may end.

    Attributes:
        x: the examples `(rows, inputs)`.
        last: a valid point of each, likewise.
        lower: smallest value within the box and an L-inf eps, likewise; of L2 for one input alone.
        upper: largest value, likewise.
        whole: which inputs must be whole numbers, likewise.
        owed: which relations hold before the perturbation, `(rows, relations)`.
        eps: `(rows, 1)`.
        norm: of eps.
        bounds: of the inputs.
        relations: those of the bounds.
        listed: by input its only values, where it must be one of them.
    """

    x: Floats
    last: Floats
    lower: Floats
    upper: Floats
    whole: Flags
    owed: Flags
    eps: Floats
    norm: Measure
    bounds: Bounds
    relations: Relations
    listed: Mapping[int, Floats]

    def take(self, rows: Ints) -> "_Ball":
        """The ball of some of the examples."""
        return replace(
            self,
            x=self.x[rows],
            last=self.last[rows],
            lower=self.lower[rows],
            upper=self.upper[rows],
            whole=self.whole[rows],
            owed=self.owed[rows],
            eps=self.eps[rows],
        )

    def rounded(self, x_adv: Floats) -> Floats:
        """What must be a whole number as one, and what a rounding keeps from a listed value as that value."""
        found = round_integers(self.x, x_adv, self.bounds) if self.whole.any() else x_adv
        for place, values in self.listed.items():
            value = found[:, place]
            near = values[np.abs(value[:, None] - values).argmin(axis=1)]
            close = np.abs(value - near) <= ROOM * UNIT * np.abs(value)
            found = found.copy() if found is x_adv else found
            found[:, place] = np.where(close, near, value)
        return found

    def broken(self, x_adv: Floats) -> Flags:
        """Which relations that are owed do not hold, `(rows, relations)`."""
        return self.owed & ~self.relations.holds(x_adv)


def keep_relations(
    x: Floats, x_adv: Floats, eps: Any, norm: Measure, bounds: Bounds, *, last: Floats | None = None, whole: bool = True
) -> Floats:
    """Repair perturbations that break a relation; without relations they come back as they are.

    Args:
        x: examples `(rows, inputs)`.
        x_adv: perturbations of them, inside the bounds and within eps.
        eps: one number, or one per example `(rows, 1)`; may be infinite.
        norm: of eps.
        bounds: with their relations.
        last: a valid point per example to go back to; None goes back to x.
        whole: integer inputs that are whole in x must be so, and one of few values one of them, as in a result; not so
            along an attack's path, whose small steps would never come to the next.

    Returns:
        Perturbations that keep what x keeps, inside the bounds, within eps.
    """
    if bounds.relations is None:
        return x_adv
    back = x if last is None else last
    ball = replace(_ball(x, eps, norm, bounds, bounds.relations), last=back)
    if not whole:
        compared = np.array([not each.values for each in bounds.relations.each])
        ball = replace(ball, whole=np.zeros_like(ball.whole), owed=ball.owed & compared, listed={})
    x_adv = ball.rounded(x_adv) if ball.listed else x_adv
    result, rows = x_adv.copy(), np.flatnonzero(ball.broken(x_adv).any(axis=1))
    for retreat in range(RETREATS):
        if not len(rows):
            break
        part = ball.take(rows)
        step = _shortened(back[rows], x_adv[rows], np.float32(0.5**retreat), bounds)
        fixed, valid = _within(part, part.rounded(step))
        result[rows[valid]] = fixed[valid]
        rows = rows[~valid]
    result[rows] = back[rows]
    return result


def _ball(x: Floats, eps: Any, norm: Measure, bounds: Bounds, relations: Relations) -> _Ball:
    sizes = np.broadcast_to(np.asarray(eps, np.float32).reshape(-1, 1), (len(x), 1))
    with np.errstate(invalid="ignore"):
        reach = np.where(bounds.scale > 0, sizes * bounds.scale, np.float32(0.0))
    low, high = bounds.allowed(x, x - reach), bounds.allowed(x, x + reach)
    return _Ball(
        x=x,
        last=x,
        lower=np.minimum(np.maximum(low, bounds.lower), x),
        upper=np.maximum(np.minimum(high, bounds.upper), x),
        whole=np.broadcast_to(must_stay_integer(x, bounds), x.shape),
        owed=relations.holds(x),
        eps=sizes,
        norm=norm,
        bounds=bounds,
        relations=relations,
        listed=relations.allowed,
    )


def _within(ball: _Ball, x_adv: Floats) -> tuple[Floats, Flags]:
    """Repair within eps: what a repair makes too long is shortened, and repaired again."""
    fixed = _repaired(ball, x_adv)
    for _ in range(SHRINKS):
        far = distance(fixed - ball.x, ball.norm, ball.bounds)[:, None]
        long = far > ball.eps * (1 + SLACK)
        if not long.any():
            break
        share = np.where(long & np.isfinite(far), SHORTER * ball.eps / np.maximum(far, 1e-30), 1.0).astype(np.float32)
        x_adv = ball.rounded(np.where(long, _shortened(ball.x, x_adv, share, ball.bounds), x_adv))
        fixed = np.where(long, _repaired(ball, x_adv), fixed)
    far = distance(fixed - ball.x, ball.norm, ball.bounds)
    return fixed, ~ball.broken(fixed).any(axis=1) & (far <= ball.eps[:, 0] * (1 + SLACK))


def _shortened(start: Floats, end: Floats, share: Any, bounds: Bounds) -> Floats:
    """A share of the way from points to others; a category that is another one there is so at once, not by a share."""
    way: Floats = start + share * (end - start)
    return way if bounds.switches is None else np.where(bounds.switches.inputs(end.shape[1]), end, way)


def _repaired(ball: _Ball, x_adv: Floats) -> Floats:
    """Mend one relation after the other, again where one has undone another."""
    fixed = x_adv.copy()
    for _ in range(PASSES):
        undone = False
        for place, relation in enumerate(ball.relations.each):
            values = _values(ball.relations, relation, fixed)
            rows = np.flatnonzero(ball.owed[:, place] & ~relation.holds(values))
            if len(rows):
                undone = True
                fixed[rows] = _mended(ball.take(rows), relation, fixed[rows])
        if not undone:
            break
    return fixed


def _mended(ball: _Ball, relation: Relation, x_adv: Floats) -> Floats:
    """Set one column; where none can be set, first shorten the step of all that the relation names."""
    fixed, done = _solved(ball, relation, x_adv)
    rows = np.flatnonzero(~done)
    if not len(rows):
        return fixed
    part, places = ball.take(rows), [ball.relations.places[name] for name in relation.columns]
    start = part.last[:, places]
    step, best = x_adv[rows][:, places] - start, x_adv[rows]
    best[:, places] = start
    share, width = np.full((len(rows), 1), 0.5, np.float32), 0.5
    for _ in range(HALVINGS):
        tried = x_adv[rows]
        tried[:, places] = start + share * step
        tried, valid = _solved(part, relation, part.rounded(tried))
        best[valid] = tried[valid]
        width /= 2
        share = np.where(valid[:, None], share + np.float32(width), share - np.float32(width))
    fixed[rows] = best
    return fixed


def _solved(ball: _Ball, relation: Relation, x_adv: Floats) -> tuple[Floats, Flags]:
    """Set the first column that alone can make a relation hold; also says where it does then."""
    relations, fixed = ball.relations, x_adv.copy()
    done = relation.holds(_values(relations, relation, fixed))
    for name in (*relation.alone, *(other for other in relation.columns if other not in relation.alone)):
        place, rows = relations.places[name], np.flatnonzero(~done)
        if not len(rows):
            break
        if not (ball.lower[rows, place] < ball.upper[rows, place]).any():
            continue
        values = _values(relations, relation, fixed[rows])
        for value in _candidates(ball, relation, name, values, ball.whole[rows, place]):
            inside = (value >= ball.lower[rows, place]) & (value <= ball.upper[rows, place]) & ~done[rows]
            fits = inside & relation.holds({**values, name: value.astype(np.float64)})
            fixed[rows[fits], place] = value[fits]
            done[rows[fits]] = True
    return fixed, done


def _candidates(
    ball: _Ball, relation: Relation, name: str, values: Mapping[str, Values], whole: Flags
) -> Iterable[Floats]:
    """What a column may be set to so that a relation holds, `(rows,)` each, the best first."""
    goal, allowed = relation.solved(name), ball.listed.get(ball.relations.places[name])
    if relation.values:
        near = np.argsort(np.abs(values[name][:, None] - relation.values), axis=1, kind="stable")
        return np.array(relation.values, np.float32)[near.T]
    if goal is None:
        return ()
    wanted = np.broadcast_to(evaluate(goal, values)[0], len(whole))
    if allowed is not None:
        above = np.searchsorted(allowed, wanted)
        return allowed[np.clip([above - 1, above], 0, len(allowed) - 1)]
    return _written(wanted, whole)


def _written(wanted: Values, whole: Flags) -> list[Floats]:
    """A value in float32, the nearest whole numbers on both sides where it must be one."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not whole.any():
            return [wanted.astype(np.float32)]
        return [np.where(whole, side(wanted), wanted).astype(np.float32) for side in (np.rint, np.floor, np.ceil)]


def _values(relations: Relations, relation: Relation, x: Floats) -> dict[str, Values]:
    return {name: x[:, relations.places[name]].astype(np.float64) for name in relation.columns}

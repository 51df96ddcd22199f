"""What a perturbation of a given size can change of a task's inputs, and what it amounts to in their own units."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from redoubt.bundle.relations.expression import evaluate
from redoubt.bundle.relations.table import Relations
from redoubt.bundle.schema import Schema
from redoubt.core.types import Bounds, Floats, Norm
from redoubt.params.settings.base import NORMS
from redoubt.params.settings.sections import Eps

# A step of exactly one whole number must not fall short of it by the rounding of a standard deviation.
SLACK = 1e-6
NAMED = 5
BYTE = 255


class Immovable(BaseModel):
    """What a threat cannot change of the examples it is tried on.

    Attributes:
        features: that keep their value in every example: categories that are not mutable, immutable ones, those of one
            value only, and whole numbers whose neighbours lie further away than eps.
        of: how many features there are.
        examples: how many cannot be perturbed at all; they count as robust if they are answered right.
        n: how many examples there are.
        smallest: eps from which on something can be perturbed; None if it is this one or there is none.
        importance: share of all features' permutation importance that these features carry, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[str, ...]
    of: int
    examples: int
    n: int
    smallest: float | None = None
    importance: float | None = None

    @property
    def everything(self) -> bool:
        """Whether no example can be perturbed, so that there is no robustness to measure."""
        return self.examples == self.n

    @property
    def carry(self) -> str:
        """The words between these features and a figure of theirs."""
        return "it carries" if len(self.features) == 1 else "they carry"

    def says(self, norm: Norm, eps: float) -> str:
        """Say in one sentence what cannot change, and what that amounts to."""
        within = f"within {NORMS[norm]} {eps:g}"
        if self.everything:
            way = f"; from eps {self.smallest:g} on something can" if self.smallest else "; at no eps could any"
            return f"nothing can be perturbed {within}: none of the {self.of} features can change{way}"
        found = []
        if self.features:
            found.append(f"{len(self.features)} of {self.of} features cannot change {within}: {listed(self.features)}")
        if self.importance is not None:
            found.append(f"{self.carry} {100 * self.importance:.0f} % of the permutation importance")
        if self.examples:
            found.append(f"{self.examples} of {self.n} examples cannot be perturbed at all")
        return "; ".join(found)


def perturbable(x: Floats, bounds: Bounds, eps: float) -> NDArray[np.bool_]:
    """Which values have another valid one within eps, in the shape of x.

    One feature may take the whole of an L2 eps, so that the answer is the same in both norms. A whole number of an
    integer feature moves to whole numbers only, one of few values to another of them, and what follows from features
    that cannot change (`installment == loan / term` with a fixed loan and term) not at all. A mutable category can be
    another one at any eps above 0.

    Args:
        x: inputs `(rows, ...)`, in raw units.
        bounds: the box and the unit of eps.
        eps: >= 0.
    """
    size = eps * np.asarray(bounds.scale, np.float64)
    plain = not np.any(bounds.integer) and not bounds.one_sided and not bounds.listed
    if plain and np.all(size > 0) and np.all(bounds.lower < bounds.upper):
        return np.ones(x.shape, np.bool_)
    up, down = np.minimum(x + size, bounds.upper), np.maximum(x - size, bounds.lower)
    whole = bounds.integer & (x == np.round(x))
    up, down = (np.where(whole, np.floor(up + SLACK), up), np.where(whole, np.ceil(down - SLACK), down))
    free: NDArray[np.bool_] = (size > 0) & (((up > x) & bounds.rises) | ((down < x) & bounds.falls))
    for place, values in bounds.listed.items():
        at = x[:, place, None]
        least, most = (side[:, place, None] for side in bounds.ends(x, eps * (1 + SLACK)))
        other = (values >= np.maximum(least, bounds.lower[place])) & (values <= np.minimum(most, bounds.upper[place]))
        free[:, place] &= (values != at).all(axis=1) | (other & (values != at)).any(axis=1)
    if bounds.relations is not None:
        _fix_what_follows(free, x, bounds.relations)
    switches = bounds.switches_within(eps)
    return free if switches is None else free | switches.inputs(x.shape[1])


def _fix_what_follows(free: NDArray[np.bool_], x: Floats, relations: Relations) -> None:
    """Mark as fixed, in place, the one input of an equality that could change, if the others leave it one value."""
    owed, values = relations.holds(x), relations.values(x)
    equal = [(place, each) for place, each in enumerate(relations.each) if each.equal]
    before = -1
    while before != (before := int(free.sum())):
        for place, relation in equal:
            columns = [relations.places[name] for name in relation.columns]
            alone = owed[:, place] & (free[:, columns].sum(axis=1) == 1)
            for name, column in zip(relation.columns, columns, strict=True):
                goal = relation.solved(name)
                if goal is not None:
                    # Times 0 it could be anything.
                    free[alone & np.isfinite(evaluate(goal, values)[0]), column] = False


def immovable(x: Floats, bounds: Bounds, eps: float, schema: Schema) -> Immovable | None:
    """What cannot be perturbed of some examples; None where everything can.

    Args:
        x: inputs `(rows, ...)`, in raw units.
        bounds: that hold them.
        eps: >= 0.
        schema: names the features; those of an image have no names and are not listed.
    """
    free = perturbable(x, bounds, eps)
    stuck = int(np.count_nonzero(~free.reshape(len(x), -1).any(axis=1)))
    fixed = tuple(place.name for place in places(schema) if not free[:, place.inputs].any())
    if not stuck and not fixed:
        return None
    return Immovable(
        features=fixed,
        of=len(places(schema)) or int(np.prod(x.shape[1:])),
        examples=stuck,
        n=len(x),
        smallest=_smallest(bounds) if stuck == len(x) else None,
    )


def _smallest(bounds: Bounds) -> float | None:
    """The eps that lets the nearest whole number, or listed value, be taken; None if nothing ever can."""
    scale = np.broadcast_to(bounds.scale, np.broadcast_shapes(np.shape(bounds.scale), np.shape(bounds.lower))).copy()
    ever = (scale > 0) & (bounds.lower < bounds.upper)
    for place, values in bounds.listed.items():
        scale[place] /= np.diff(values).min()
    return round(float(np.ceil(1e3 / float(scale[ever].max()) - SLACK) / 1e3), 3) if ever.any() else None


@dataclass(frozen=True)
class Place:
    """Where a column of a table stands among the network's inputs."""

    name: str
    inputs: slice
    integer: bool


def places(schema: Schema) -> list[Place]:
    """Every column of a table, in order; none of an image."""
    found, first = [], 0
    for column in schema.columns:
        found.append(Place(column.name, slice(first, first + column.inputs), column.kind == "integer"))
        first += column.inputs
    return found


def raw_units(schema: Schema, bounds: Bounds, eps: float) -> dict[str, float]:
    """By how much an eps lets each feature of a table change, in its own unit; 0 where it cannot change."""
    scale = np.where(bounds.lower < bounds.upper, bounds.scale, 0.0).astype(np.float64)
    found = {}
    for place in places(schema):
        spread = float(np.max(scale[place.inputs]))
        size = eps * spread if spread > 0 else 0.0
        found[place.name] = float(np.floor(size + SLACK)) if place.integer else size
    return found


def grey_levels(x: Floats) -> int:
    """The whole number that pixels in [0, 1] are shares of: 16 of images with 17 grey levels, 255 of most.

    Args:
        x: images `(rows, ...)`, or features, of which nothing is said.
    """
    values = np.unique(x)
    if not 2 < len(values) < BYTE:
        return BYTE
    return next((n for n in range(2, BYTE) if np.allclose(values * n, np.rint(values * n), atol=1e-4)), BYTE)


def in_raw_units(schema: Schema, bounds: Bounds, norm: Norm, eps: float, levels: int = BYTE) -> str:
    """An eps as a person reads it: "L-inf 0.3 standard deviations = 6.3 of `age`", and what holds at any size.

    Args:
        schema: names the features of a table.
        bounds: that hold them.
        norm: of the threat.
        eps: >= 0.
        levels: that the pixels of images are shares of, see `grey_levels`.
    """
    return _size(schema, bounds, norm, eps, levels) + _switched(schema) + _kept(schema)


def _switched(schema: Schema) -> str:
    """The categories that an attacker may switch beside what an eps allows."""
    switches = schema.switching
    if switches is None:
        return ""
    count = "" if switches.most == len(switches.names) == 1 else f"{switches.most} of "
    return f"; and {count}{listed(switches.names)} switched to another category"


def _kept(schema: Schema) -> str:
    """The relations between columns that no perturbation breaks."""
    return f"; every x_adv keeps {', '.join(f'`{line}`' for line in schema.relations)}" if schema.relations else ""


def _size(schema: Schema, bounds: Bounds, norm: Norm, eps: float, levels: int = BYTE) -> str:
    if not schema.columns:
        # One pixel alone could not change by all of an L2 eps above 1.
        each, spread = (
            (eps, "")
            if norm == "linf"
            else (eps / math.sqrt(math.prod(schema.shape)), " if spread evenly over all pixels")
        )
        return f"{NORMS[norm]} {eps:g} = {number(levels * each)} of {levels}{spread}"
    sizes = [f"{number(size)} of `{name}`" for name, size in raw_units(schema, bounds, eps).items() if size > 0]
    unit = "standard deviations" + (" or declared units" if any(each.unit for each in schema.columns) else "")
    said = f"{NORMS[norm]} {eps:g} {unit} = {listed(sizes) or 'no change of any feature'}"
    return said if norm == "linf" or not sizes else f"{said}, if one changes alone"


def in_both_norms(eps: Eps, schema: Schema, bounds: Bounds) -> str:
    """A task's two sizes, and what an attacker cannot change whatever its size."""
    said = "; ".join(_size(schema, bounds, norm, eps.of(norm)) for norm in NORMS) + _switched(schema) + _kept(schema)
    mutable = () if schema.switching is None else schema.switching.names
    sizes = raw_units(schema, bounds, np.inf)
    fixed = [name for name, size in sizes.items() if not size > 0 and name not in mutable]
    for way, verb in (("up", "raise"), ("down", "lower")):
        names = [column.name for column in schema.columns if column.direction == way]
        said += f"; an attacker can only {verb} {listed(names)}" if names else ""
    return said + (f"; an attacker cannot change {listed(fixed)}" if fixed else "")


def listed(names: "tuple[str, ...] | list[str]") -> str:
    """The first few of many names."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def number(value: float) -> str:
    """Three digits of a number, without an exponent where it has none."""
    return f"{float(f'{value:.3g}'):,.12g}"

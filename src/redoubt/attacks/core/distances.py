"""Arrays of perturbations: how far they go, in units of `Bounds.scale`, and which of their inputs are whole numbers."""

import math

import numpy as np
from numpy.typing import NDArray

from redoubt.core.types import Bounds, Floats, Measure


def distance(change: Floats, norm: Measure, bounds: Bounds) -> NDArray[np.float64]:
    """Size of each example's perturbation, `(examples,)`; infinite where an input changed that must not, or not so.

    A mutable category is no part of it, switches are counted, unless each has a price: that is added to a sum (L1).
    """
    scale = np.broadcast_to(bounds.scale, change.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.where(change == 0, 0.0, np.abs(change.astype(np.float64)) / scale)
    if bounds.one_sided:
        unit[((change > 0) & ~bounds.rises) | ((change < 0) & ~bounds.falls)] = np.inf
    if bounds.switches is not None:
        unit[:, bounds.switches.inputs(change.shape[1])] = 0.0
    flat = unit.reshape(len(change), math.prod(change.shape[1:]))
    if norm == "l1":
        switched = 0.0 if bounds.switches is None else bounds.switches.price(change != 0)
        return flat.sum(axis=1) + switched
    return flat.max(axis=1) if norm == "linf" else np.sqrt(np.square(flat).sum(axis=1))


def round_integers(x: Floats, x_adv: Floats, bounds: Bounds) -> Floats:
    """Integer inputs of `x_adv` rounded toward x where x is whole: no perturbation grows, and none leaves the box."""
    if not np.any(bounds.integer):
        return x_adv
    toward = np.where(x_adv > x, np.floor(x_adv), np.ceil(x_adv))
    return np.where(must_stay_integer(x, bounds), toward, x_adv)


def must_stay_integer(x: Floats, bounds: Bounds) -> NDArray[np.bool_]:
    """Which inputs an attack must leave whole, in the shape of x: integer ones that are whole before it."""
    return bounds.integer & (x == np.round(x))

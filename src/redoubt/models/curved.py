"""A scaler's curves as plain Keras layers, so that attacks, bounds, export and service need to know nothing of them.

A rising curve is a sum of segments, each of which rises from 0 to 1 between two knots and is flat elsewhere. All of a
feature's segments rise together with it, or all fall, with weights of the same sign; interval bounds of such a sum are
exact. The layers are a Dense that has an output for each segment, a ReLU capped at 1, and a Dense that sums.
"""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.core.errors import RedoubtError
from redoubt.data.prepare.curves import Curve
from redoubt.data.prepare.scaling import Scaler

Doubles = NDArray[np.float64]
# Beyond its outermost knots a curve goes on as straight lines, so many times as far as these lie apart.
REACH = 100.0
# What has no curve passes as it is, so many standard deviations in both directions; the place where the two directions
# meet is one that hardly a value is at.
STRAIGHT = Curve((-0.0031415926,), (-0.0031415926,))
FAR = 1000.0
# Weights of the layers, 64 MB.
MOST_WEIGHTS = 2**24


class CurveError(RedoubtError):
    """More curves than the layers can hold; the message says how many fit."""


@dataclass(frozen=True, eq=False)
class _Segments:
    """One feature's: segment i is `clip(gain[i] * z + shift[i], 0, 1)`; their sum by weight + offset the curve."""

    gain: Doubles
    shift: Doubles
    weight: Doubles
    offset: float


def units(scaler: Scaler) -> tuple[Doubles, Doubles]:
    """What is subtracted of each input and what it is divided by, in front of the curves.

    The middle of a skewed feature is as wide as its largest values are not: float32 keeps its digits there.
    """
    centre, width = scaler.mean.astype(np.float64), scaler.std.astype(np.float64)
    for place, curve in enumerate(scaler.curves):
        if curve is not None:
            knots, count = curve.knots, len(curve.knots)
            centre[place], width[place] = knots[count // 2], knots[-(count // 4) - 1] - knots[count // 4]
    return centre, width


def curved(scaler: Scaler, name: str) -> list[keras.layers.Layer]:
    """The layers behind the one that divides by `units`; the last has the given name and as many outputs as inputs.

    Raises:
        CurveError: a table too wide for its curves.
    """
    centre, width = units(scaler)
    found = [
        _segments(STRAIGHT, FAR) if curve is None else _segments(_in_units(curve, *unit), None)
        for curve, *unit in zip(scaler.curves, centre, width, strict=True)
    ]
    inputs, count = len(found), sum(len(each.gain) for each in found)
    if 2 * inputs * count > MOST_WEIGHTS:
        raise CurveError(
            f"'transform' on a table of {inputs:,} network inputs takes {2 * inputs * count:,} weights; expected at "
            f"most {MOST_WEIGHTS:,}: name fewer features there, or learn from fewer columns"
        )
    feature = np.repeat(np.arange(inputs), [len(each.gain) for each in found])
    spread, gathered = np.zeros((inputs, count)), np.zeros((count, inputs))
    spread[feature, np.arange(count)] = np.concatenate([each.gain for each in found])
    gathered[np.arange(count), feature] = np.concatenate([each.weight for each in found])
    return [
        _fixed(spread, np.concatenate([each.shift for each in found]), "segments"),
        keras.layers.ReLU(max_value=1.0, name="within_segments"),
        _fixed(gathered, np.array([each.offset for each in found]), name),
    ]


def _in_units(curve: Curve, centre: float, width: float) -> Curve:
    return Curve(tuple((np.array(curve.knots) - centre) / width), curve.values)


def _segments(curve: Curve, reach: float | None) -> _Segments:
    """Between each two knots, below the first and above the last; those of one knot have slope 1."""
    knots, values = np.array(curve.knots), np.array(curve.values)
    gaps, rises = np.diff(knots), np.diff(values)
    slopes = rises / gaps if len(gaps) else np.ones(1)
    far = REACH * (knots[-1] - knots[0]) if reach is None else reach
    return _Segments(
        gain=np.concatenate([[-1 / far], 1 / gaps, [1 / far]]),
        shift=np.concatenate([[knots[0] / far], -knots[:-1] / gaps, [-knots[-1] / far]]),
        weight=np.concatenate([[-slopes[0] * far], rises, [slopes[-1] * far]]),
        offset=float(values[0]),
    )


def _fixed(kernel: Doubles, bias: Doubles, name: str) -> keras.layers.Dense:
    layer = keras.layers.Dense(kernel.shape[1], trainable=False, name=name)
    layer.build((None, len(kernel)))
    layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return layer

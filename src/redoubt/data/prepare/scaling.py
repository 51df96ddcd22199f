"""Means, deviations and ranges of the training set: the network's first layer, and the box an attack lives in."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from redoubt.bundle.schema import Schema
from redoubt.core.errors import RedoubtError
from redoubt.core.store import plain
from redoubt.core.types import PIXELS, Batch, Bounds, Floats
from redoubt.data.prepare import curves, missing
from redoubt.data.prepare.curves import Curve
from redoubt.data.prepare.precision import LARGEST_STD, SMALLEST_STD
from redoubt.params.settings.base import Transform, unknown


class ScalingError(RedoubtError):
    """Training rows that cannot be scaled in float32; the message names the column and what to do."""


@dataclass(frozen=True)
class Scaler:
    """Statistics of the training rows, in raw units.

    Attributes:
        mean: per network input of a table, per channel of images.
        std: likewise; 1 where nothing varies.
        lower: smallest value, likewise.
        upper: largest value, likewise.
        target_mean: of a regression target, else 0.
        target_std: of a regression target, else 1.
        fill: per network input of a table what takes the place of an empty cell; None where none is filled in.
        curves: per network input of a table what spreads it out in the place of mean and std; none for most tables.
    """

    mean: Floats
    std: Floats
    lower: Floats
    upper: Floats
    target_mean: float
    target_std: float
    fill: Floats | None = None
    curves: tuple[Curve | None, ...] = ()

    def impute(self, batch: Batch) -> Batch:
        """A batch with its empty cells filled in; the same one where none is."""
        return batch if self.fill is None else replace(batch, x=missing.filled(batch.x, self.fill))

    def bounds(self, schema: Schema) -> Bounds:
        """The box of inputs, and the unit of eps: 1 for pixels, a number's declared unit or deviation, 0 if immutable.

        A table's box is declared limits, and the range of the training rows where there are none.
        """
        if schema.kind == "image":
            return PIXELS
        low, high = schema.limits.T
        return Bounds(
            lower=np.where(np.isnan(low), self.lower, low),
            upper=np.where(np.isnan(high), self.upper, high),
            scale=np.where(schema.mutable, self._unit(schema), np.float32(0.0)),
            integer=schema.integer,
            relations=schema.related,
            switches=schema.switching,
            **schema.directions,
        )

    def _unit(self, schema: Schema) -> Floats:
        units = schema.units
        # A step of exactly one whole number, or to the next listed value, must not fall short of it by a rounding.
        apart = schema.integer.copy()
        apart[list(schema.related.allowed) if schema.related else []] = True
        return np.where(np.isnan(units), self.std, units * np.where(apart, 1 + 1e-6, 1.0)).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers; float32 values survive exactly."""
        found = dict(plain(asdict(self)))
        fill, found["curves"] = found.pop("fill"), [each and each.to_json() for each in self.curves]
        # JSON knows no NaN, and a table without policies or curves keeps the bytes that it always had.
        found |= {} if fill is None else {"fill": [None if math.isnan(each) else each for each in fill]}
        return {name: value for name, value in found.items() if name != "curves" or self.curves}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Scaler":
        """The inverse of `to_json`."""
        arrays = {name: np.array(data[name], dtype=np.float32) for name in ("mean", "std", "lower", "upper")}
        fill = np.array(data["fill"], dtype=np.float32) if "fill" in data else None
        mean, std = float(data["target_mean"]), float(data["target_std"])
        found = tuple(each and Curve.from_json(each) for each in data.get("curves", ()))
        return cls(**arrays, target_mean=mean, target_std=std, fill=fill, curves=found)


def fit(batch: Batch, schema: Schema, transform: Mapping[str, Transform] | None = None) -> Scaler:
    """Statistics of a batch, which must hold training rows only.

    Args:
        batch: these rows.
        schema: of the task.
        transform: by column of numbers how it is spread out; the others are brought to mean 0 and deviation 1.

    Raises:
        MissingError: a column that is to be filled in is empty in all of them.
        ScalingError: `transform` names what is no column of numbers.
    """
    fill = missing.fit(batch.x, schema)
    batch = Batch(missing.filled(batch.x, fill), batch.y)
    mean, std, lower, upper = _channels(batch.x) if schema.kind == "image" else _inputs(batch.x, schema)
    target = (0.0, 1.0) if schema.is_classification else (float(batch.y.mean(dtype=float)), _spread(batch.y))
    return Scaler(mean, std, lower, upper, *target, fill=fill, curves=_curves(batch.x, schema, transform or {}))


def _curves(x: Floats, schema: Schema, transform: Mapping[str, Transform]) -> tuple[Curve | None, ...]:
    numbers = [column.name for column in schema.columns if column.kind != "category"]
    for name in transform:
        if name not in numbers:
            raise ScalingError(f"transform: {unknown(name, numbers, 'feature')}")
    wanted = [name in transform for name in schema.input_names]
    found = tuple(curves.fitted(x[:, place]) if asked else None for place, asked in enumerate(wanted))
    return found if any(found) else ()


def require_scalable(scaler: Scaler, schema: Schema) -> None:
    """Refuse statistics by which the network's first layer would not bring its inputs to unit variance.

    `validate` looks at all rows; here only the training rows count, which a single odd row may have left without it.

    Raises:
        ScalingError: names the column and its standard deviation.
    """
    if schema.kind == "image":
        return
    spreads = dict(zip(schema.input_names, scaler.std.tolist(), strict=True))
    spreads |= {} if schema.is_classification else {schema.target: scaler.target_std}
    for name, std in spreads.items():
        if not SMALLEST_STD <= std <= LARGEST_STD:
            raise ScalingError(
                f"column '{name}' has a standard deviation of {std:.3g} on the training rows; expected "
                f"{SMALLEST_STD:g} to {LARGEST_STD:g}: change its unit, look for rows far from all others, "
                "or leave it out"
            )


def said(scaler: Scaler, schema: Schema) -> list[str]:
    """How each feature with a curve is scaled, in words."""
    return [
        f"'{name}' is taken by its rank among the training rows, in {len(curve.knots) - 1} straight pieces"
        for name, curve in zip(schema.input_names, scaler.curves, strict=False)
        if curve is not None
    ]


def _inputs(x: Floats, schema: Schema) -> tuple[Floats, Floats, Floats, Floats]:
    """Categories stay 0 and 1, whatever the training rows hold of them."""
    numeric = schema.numeric
    mean = np.where(numeric, x.mean(axis=0, dtype=float), 0.0).astype(np.float32)
    std = np.where(numeric, [_spread(column) for column in x.T], 1.0).astype(np.float32)
    lower = np.where(numeric, x.min(axis=0), np.float32(0.0))
    upper = np.where(numeric, x.max(axis=0), np.float32(1.0))
    return mean, std, lower, upper


def _channels(x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    channels = [x[..., channel] for channel in range(x.shape[-1])]
    mean = np.array([channel.mean(dtype=float) for channel in channels], dtype=np.float32)
    std = np.array([_spread(channel) for channel in channels], dtype=np.float32)
    return mean, std, np.zeros_like(mean), np.ones_like(mean)


def _spread(values: Floats) -> float:
    """Standard deviation; 1 where nothing varies, so that dividing by it is harmless."""
    spread = np.float32(values.std(dtype=float))
    return float(spread) if values.min() < values.max() and spread > 0 else 1.0

"""The box that somebody's examples live in and the unit of eps: given or inferred, and said in every output."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from redoubt.bundle.column import Column
from redoubt.bundle.relations.table import check_columns
from redoubt.bundle.schema import Schema
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Bounds, Floats, Norm
from redoubt.params.settings.base import NORMS, unknown
from redoubt.perturbable import BYTE, grey_levels, in_raw_units, number

# Ranges that images are kept in, the narrowest first, and what an eps of theirs is if none is asked for.
RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
DEFAULT_PIXELS, DEFAULT_L2, DEFAULT_TABLE = 8 / 255, 0.5, 0.3


class FrameError(RedoubtError):
    """Examples outside of their bounds, or without any; the message says what to give."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What holds every example, and what eps = 1 means.

    Attributes:
        bounds: the box and the unit.
        schema: names the features of a table.
        said: the bounds in words, and where they are from.
        span: width of the box where it is the same for every value; None for a table in standard deviations.
        levels: that the values of an image are shares of, see `grey_levels`.
    """

    bounds: Bounds
    schema: Schema
    said: str
    span: float | None
    levels: int = BYTE

    @property
    def is_image(self) -> bool:
        """Whether an input has a height and a width; a row of values over time has none."""
        return len(self.schema.shape) > 1 and min(self.schema.shape[:2]) > 1

    def says(self, norm: Norm, eps: float) -> str:
        """An eps as a person reads it, such as "L-inf 0.1 = 25.5 of 255"."""
        if self.span is None:
            return in_raw_units(self.schema, self.bounds, norm, eps, self.levels)
        each = eps if norm == "linf" else eps / math.sqrt(math.prod(self.schema.shape))
        spread = "" if norm == "linf" else f" if spread evenly over all {'pixels' if self.is_image else 'features'}"
        share = f"{number(100 * each / self.span)} % of the range"
        if not self.is_image:
            return f"{NORMS[norm]} {eps:g} = {share}{spread}"
        return f"{NORMS[norm]} {eps:g} = {number(self.levels * each / self.span)} of {self.levels}{spread}"

    def warning(self, norm: Norm, eps: float) -> str | None:
        """Why an eps is unlikely to be what was meant; None where it is plausible."""
        said = self.says(norm, eps)
        if self.span is None:
            scale = np.broadcast_to(self.bounds.scale, self.schema.shape)
            wide = (eps * scale > 0.5 * (self.bounds.upper - self.bounds.lower))[scale > 0]
            over = f"{said}: it reaches over half of the range of {int(wide.sum())} of {wide.size} features"
            return over if wide.size and wide.mean() > 0.5 else None
        cells = 1.0 if norm == "linf" else math.sqrt(math.prod(self.schema.shape))
        if eps > 0.5 * self.span * cells:
            fix = f": divide it by 255 if it was meant in grey levels, {eps / BYTE:g}" if self.span <= 2 else ""
            return f"{said} is over half of the range, where an image may lose all that it shows{fix}"
        if self.is_image and eps < self.span / BYTE * (1 - 1e-6):
            fix = f": give {number(eps * self.span)} if it was meant as a share of the range" if self.span > 2 else ""
            return f"{said} is under one grey level, which no image file can hold{fix}"
        return None

    def default_eps(self, norm: Norm) -> float:
        """What is tried where nothing is asked for."""
        if self.span is None:
            return DEFAULT_TABLE if norm == "linf" else DEFAULT_L2
        share = DEFAULT_PIXELS if norm == "linf" else DEFAULT_L2
        return float(f"{share * self.span:.6g}")

    def check(self, x: Floats) -> None:
        """Refuse examples outside.

        Raises:
            FrameError: names the values and the bounds.
        """
        check_finite(x)
        try:
            self.bounds.check(x)
        except ValueError:
            raise FrameError(
                f"the examples span {x.min():g} to {x.max():g}, outside of the bounds {self.said}: give --bounds LO HI"
                " that hold them, or bring them to the unit that the model takes"
            ) from None


def check_finite(x: Floats) -> None:
    """Refuse examples with gaps.

    Raises:
        FrameError: names the first such example.
    """
    broken = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    if broken.any():
        raise FrameError(f"example {int(broken.argmax())} holds NaN or infinity ({int(broken.sum())} do): remove them")


def frame_of(
    x: Floats, bounds: tuple[float, float] | None, features: tuple[str, ...] = (), *, whole: bool = False
) -> Frame:
    """The frame of examples about which nothing else is known.

    Images take the narrowest of the usual ranges that holds them, tables the range of each feature and its standard
    deviation as unit, unless bounds are given: then eps is in the unit of the inputs.

    Args:
        x: `(examples, ...)`.
        bounds: smallest and largest value, if they are given.
        features: names of a table's columns.
        whole: values are whole numbers, and stay so.

    Raises:
        FrameError: reversed bounds, images in no usual range, or examples with NaN or infinity.
    """
    check_finite(x)
    schema = _schema(x, features)
    if bounds is None and x.ndim == 2:
        scale = x.std(axis=0, dtype=float).astype(np.float32)
        lowest, highest = x.min(axis=0), x.max(axis=0)
        box = Bounds(lowest, highest, np.where(lowest < highest, scale, np.float32(0)), np.bool_(whole))
        return Frame(box, schema, "of each feature as in the examples; eps is in standard deviations", None)
    said = "given"
    if bounds is None:
        low, high = float(x.min()), float(x.max())
        found = [(a, b) for a, b in RANGES if a <= low and high <= b]
        if not found:
            raise FrameError(f"the examples span {low:g} to {high:g}, no usual range of images: give --bounds LO HI")
        bounds, said = found[0], "inferred from the examples"
    low, high = bounds
    if not low < high:
        raise FrameError(f"--bounds are {low:g} {high:g}; the first must be below the second")
    lower, upper, scale = (np.full(1, end, np.float32) for end in (low, high, 1.0))
    numbers = ", whole numbers" if whole else ""
    box = Bounds(lower, upper, scale, np.bool_(whole))
    return Frame(
        box, schema, f"{low:g} to {high:g}{numbers}, {said}", high - low, grey_levels((x - low) / (high - low))
    )


def related(frame: Frame, lines: Sequence[str], x: Floats) -> Frame:
    """The frame of a table whose columns are related.

    Args:
        frame: of the examples.
        lines: one relation each, over the names of its features; see `bundle.relations`.
        x: examples `(examples, features)`, which must keep them.

    Raises:
        FrameError: no table, a line that cannot be read or names what is no feature, examples that break it.
    """
    names = [column.name for column in frame.schema.columns]
    if lines and not names:
        raise FrameError("--relation is for tables; these examples have no columns: leave it out")
    for line in lines:
        try:
            strangers = check_columns(line, names, (), (), ())
        except ValueError as error:
            raise FrameError(f"--relation: {error}") from None
        if strangers:
            raise FrameError(f"--relation '{line}': {unknown(strangers[0], names, 'column')}")
    if not lines:
        return frame
    schema = Schema(**{**frame.schema.model_dump(), "relations": tuple(lines)})
    relations = schema.related
    broken = ~relations.holds(x) if relations is not None else np.zeros((len(x), 0), np.bool_)
    if broken.any() and relations is not None:
        worst = int(broken.sum(axis=0).argmax())
        rows = np.flatnonzero(broken[:, worst])
        raise FrameError(
            f"--relation '{relations.each[worst].text}': {len(rows)} of {len(x)} examples break it, the first is"
            f" example {rows[0]}: correct it, or leave such examples out"
        )
    return replace(frame, schema=schema, bounds=replace(frame.bounds, relations=relations))


def _schema(x: Floats, features: tuple[str, ...]) -> Schema:
    shape = x.shape[1:]
    if len(shape) != 1:
        # Three sides, as a schema has them, whatever the inputs have; their product alone matters.
        sides = (*shape, 1, 1)[:2]
        three = (*sides, math.prod(shape) // math.prod(sides) if math.prod(shape) else 1)
        return Schema(task="audit", kind="image", target="answer", shape=three, labels=("0", "1"))
    names = features or tuple(f"input {place}" for place in range(shape[0]))
    columns = tuple(Column(name=name, kind="number") for name in names)
    return Schema(task="audit", kind="regression", target="answer", columns=columns, shape=shape)

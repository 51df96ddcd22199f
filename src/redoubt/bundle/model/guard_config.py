"""What a guard is made of, as data, and the random draws it takes; NumPy only, shared by attack and service."""

import math
from functools import cache
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from redoubt.bundle.base.types import Floats, GuardDraws, Number, Positive, Vote
from redoubt.bundle.model.entropy import Entropy
from redoubt.bundle.schema import Shape

# What the random variants of some inputs need, by the name of the graph's input.
Draws = dict[str, NDArray[Any]]
Unit = Annotated[float, Field(ge=0.0, le=1e38, allow_inf_nan=False)]


def _every(flags: object) -> bool:
    """What is left out of a guard on disk, so that one without it has the bytes and the digest it always had."""
    return not flags


def _usual(vote: Vote) -> bool:
    """As `_every`."""
    return vote == "all"


class GuardConfig(BaseModel):
    """The guard of one model.

    Attributes:
        kind: images get a median window, bit depth and resize-and-pad; tables bit depth and noise.
        shape: of one input.
        bits: bit depth of the squeezed variant; of a table, over each feature's training range.
        draws: random variants per input, of a guard that votes.
        false_positives: share of clean validation inputs the detector may flag.
        threshold: adversarial score above which an input is flagged, >= 0; infinite only until it is calibrated.
        median: side of the median window in pixels (images).
        shrink: smallest side after the random resize, as a share of the full side (images).
        noise: standard deviation of the noise in units of `scale` (tables).
        lower: lower end per feature of the box that training and attacks saw: the declared limit, else the training
            minimum (tables).
        upper: upper end, likewise.
        scale: training standard deviation or declared unit of each feature, 0 for what must not change (tables).
        falls: which features an attacker may lower, empty if all (tables).
        rises: which features an attacker may raise, likewise.
        squeezed: which features have a bit depth, empty if all that may change: levels of equal width would make one of
            nearly all values of a skewed feature (tables).
        output_scale: unit of the score: 1 for classes, the target's standard deviation for a number.
        vote: whether all variants vote, or one alone answers: the plain input, for the network's own answer, or the
            squeezed one. Then the others serve the detector, and there are no random ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["image", "table"]
    shape: Shape
    bits: Annotated[int, Field(ge=1, le=16)]
    draws: GuardDraws
    false_positives: Annotated[float, Field(gt=0.0, lt=0.5)]
    threshold: Annotated[float, Field(ge=0.0)] = math.inf
    median: Annotated[int, Field(ge=0, le=9)] = 0
    shrink: Annotated[float, Field(gt=0.3, le=1.0)] = 1.0
    noise: Unit = 0.0
    lower: tuple[Number, ...] = ()
    upper: tuple[Number, ...] = ()
    scale: tuple[Unit, ...] = ()
    falls: tuple[bool, ...] = Field(default=(), exclude_if=_every)
    rises: tuple[bool, ...] = Field(default=(), exclude_if=_every)
    squeezed: tuple[bool, ...] = Field(default=(), exclude_if=_every)
    output_scale: Positive = 1.0
    vote: Vote = Field(default="all", exclude_if=_usual)

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Self:
        image = self.kind == "image"
        if len(self.shape) != (3 if image else 1):
            raise ValueError(
                f"shape is {list(self.shape)}; expected {'height, width, channels' if image else 'one length'}"
            )
        if image and (self.median < 2 or self.shrink == 1.0):
            raise ValueError(
                f"median is {self.median} and shrink {self.shrink:g}; expected at least 2, and less than 1"
            )
        for name in ("lower", "upper", "scale"):
            values, expected = getattr(self, name), 0 if image else self.shape[0]
            if len(values) != expected:
                raise ValueError(f"{name} holds {len(values)} numbers; expected {expected}, one per feature of a table")
        for name in ("falls", "rises", "squeezed"):
            if len(getattr(self, name)) not in (0, len(self.scale)):
                raise ValueError(f"{name} holds {len(getattr(self, name))} flags; expected {len(self.scale)}, or none")
        for place, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            if low > high:
                raise ValueError(f"lower is {low:g} and upper {high:g} at feature {place}; expected no reversed range")
        return self

    @property
    def fixed_variants(self) -> tuple[str, ...]:
        """The variants that involve no chance, the unperturbed input first."""
        return ("plain", "median", "squeezed") if self.kind == "image" else ("plain", "squeezed")

    @property
    def variants(self) -> tuple[str, ...]:
        """Every variant in the order of the outputs."""
        return (*self.fixed_variants, *self.random_variants)

    @property
    def random_variants(self) -> tuple[str, ...]:
        """The variants that take a draw each."""
        if self.vote != "all":
            return ()
        return tuple(f"random-{index + 1}" for index in range(self.draws))

    @property
    def voting(self) -> tuple[str, ...]:
        """The variants whose mean is the answer, next to each other in `variants`."""
        return self.variants if self.vote == "all" else (self.vote,)

    @property
    def answering(self) -> slice:
        """Where they are in `variants`."""
        first = self.variants.index(self.voting[0])
        return slice(first, first + len(self.voting))

    def beyond(self, x: Floats) -> NDArray[np.float64]:
        """How far each feature of a table lies outside the box that training and attacks saw, in widths of the box.

        Args:
            x: inputs in raw units `(examples, *shape)`.

        Returns:
            Array `(examples, features)`, 0 inside, infinite outside a box without width; of images `(examples, 0)`.
        """
        if self.kind == "image":
            return np.zeros((len(x), 0))
        lower, upper = np.array(self.lower), np.array(self.upper)
        gap = np.maximum(np.maximum(lower - x, x - upper), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gap > 0, gap / (upper - lower), 0.0)

    def draw(self, rng: np.random.Generator | Entropy, rows: int) -> Draws:
        """Draw what the random variants of `rows` inputs need, keyed by the graph's input names.

        Returns:
            For images `index_rows` and `index_columns`, int64 `(examples, draws)`, each a row of `placements`; for
            tables `noise`, float32 `(examples, draws, features)` in raw units. Nothing where no variant is random.
        """
        if self.vote != "all":
            return {}
        if self.kind == "table":
            shape = (rows, self.draws, *self.shape)
            scale = np.asarray(self.scale, dtype=np.float32)
            return {"noise": (rng.standard_normal(shape, dtype=np.float32) * self.noise * scale).astype(np.float32)}
        # Example by example, so that the first examples' draws do not depend on how many come after.
        drawn, tables = rng.random((rows, self.draws, 3)), _offsets(self.shape[:2], self.shrink)
        level = (drawn[..., 0] * len(tables[0][0])).astype(np.int64)
        return {
            name: starts[level] + (drawn[..., place] * counts[level]).astype(np.int64)
            for name, place, (starts, counts) in zip(("index_rows", "index_columns"), (1, 2), tables, strict=True)
        }

    def placements(self, axis: int) -> Floats:
        """Every resize-and-pad along one side as a matrix, `(placements, side, side)` (arXiv 1711.01991).

        An image is resized by bilinear interpolation to a smaller size and placed at an offset among zeros, so
        that `rows @ image @ columns.T` is the random variant.
        """
        side, sizes = self.shape[axis], _sizes(self.shape[:2], self.shrink)[axis]
        return np.stack([_place(side, size, offset) for size in sizes for offset in range(side - size + 1)])


def _sizes(sides: tuple[int, ...], shrink: float) -> tuple[list[int], list[int]]:
    height, width = sides
    heights = list(range(math.ceil(shrink * height), height + 1))
    return heights, [max(1, round(size * width / height)) for size in heights]


# Each draw needs them: made anew they took longer than the draw.
@cache
def _offsets(sides: tuple[int, ...], shrink: float) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    """Per side and size, the number of its first placement and how many it has."""
    counts = [
        np.array([side - size + 1 for size in each]) for side, each in zip(sides, _sizes(sides, shrink), strict=True)
    ]
    return tuple((np.concatenate([[0], np.cumsum(each)[:-1]]), each) for each in counts)


def _place(side: int, size: int, offset: int) -> Floats:
    centre = (np.arange(size) + 0.5) * side / size - 0.5
    centre = np.clip(centre, 0, side - 1)
    low = np.minimum(np.floor(centre).astype(int), max(side - 2, 0))
    share = centre - low
    matrix = np.zeros((side, side), dtype=np.float32)
    matrix[offset + np.arange(size), low] += 1.0 - share
    matrix[offset + np.arange(size), np.minimum(low + 1, side - 1)] += share
    return matrix

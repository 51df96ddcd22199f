"""What every setting is made of: strict types, numbers with their limits, names."""

import difflib
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from redoubt.bundle.base.types import Number, Positive
from redoubt.bundle.relations.relation import parse
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Norm

NORMS: dict[Norm, str] = {"linf": "L-inf", "l2": "L2"}
# What becomes of an empty cell: its row is left out, a statistic of the training rows takes its place (with an input of
# the network that says so, or without), or it is a category of its own.
MissingPolicy = Literal[
    "drop", "median", "mean", "mode", "indicator", "median+indicator", "mean+indicator", "mode+indicator", "category"
]
# How a skewed feature is spread out inside the network: each value counts by its rank among the training rows.
Transform = Literal["quantile"]
Balance = Literal["none", "weights"]
# By what the answer of two classes is decided: the larger logit, or the best balanced accuracy on validation examples.
ThresholdRule = Literal["none", "balanced"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Ends that no sensible run comes near: a figure above them is a slip, or meant to use up somebody's memory or time.
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]
# Of a perturbation: pixels in [0, 1], or standard deviations of a feature on the training rows.
Size = Positive


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError("the first number must be below the second")
    return ends


Range = Annotated[tuple[Number, Number], AfterValidator(_rising)]


class ParamsError(RedoubtError):
    """A params.yaml that cannot be used; the message names the file, the key and the fix."""


def _all_rising(sizes: tuple[float, ...]) -> tuple[float, ...]:
    if list(sizes) != sorted(set(sizes)):
        raise ValueError("the numbers must rise strictly")
    return sizes


Curve = Annotated[tuple[Size, ...], AfterValidator(_all_rising)]


def _is_readable(line: str) -> str:
    parse(line)
    return line


# Of a relation, whose columns may be known from the data alone.
Line = Annotated[str, AfterValidator(_is_readable)]


class Strict(BaseModel):
    """Frozen, strictly typed, refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def unknown(key: str, valid: Sequence[str], noun: str = "key") -> str:
    """What to say of a word that is none of the valid ones, with the nearest that is."""
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"valid {noun}s: {', '.join(valid)}"
    return f"unknown {noun} '{key}'; {hint}"

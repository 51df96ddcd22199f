"""A sweep that adapts: how many trials, and the ranges that they are drawn from."""

from typing import Annotated

from pydantic import AfterValidator, Field

from redoubt.bundle.base.types import Positive
from redoubt.params.settings.base import Count, Strict, Width
from redoubt.params.settings.networks import DEEPEST, Linear, Mlp


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("the first number must not be above the second")
    return ends


Depth = Annotated[int, Field(ge=0, le=DEEPEST)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]


class Ranges(Strict):
    """Lowest and highest value of what is drawn, both included; two equal ones leave nothing to draw.

    Attributes:
        width: units of every hidden layer, drawn by their logarithm.
        depth: hidden layers; 0 is the linear model.
        dropout: behind every hidden layer.
        batch_size: examples per update, drawn by their logarithm.
        learning_rate: of Adam, drawn by its logarithm.
    """

    width: Annotated[tuple[Width, Width], AfterValidator(_in_order)] = (8, 128)
    depth: Annotated[tuple[Depth, Depth], AfterValidator(_in_order)] = (0, 3)
    dropout: Annotated[tuple[Dropout, Dropout], AfterValidator(_in_order)] = (0.0, 0.3)
    batch_size: Annotated[tuple[Count, Count], AfterValidator(_in_order)] = (16, 128)
    learning_rate: Annotated[tuple[Positive, Positive], AfterValidator(_in_order)] = (0.002, 0.03)


class SearchParams(Strict):
    """So many trials in place of a grid, and how long each fold is trained."""

    trials: Annotated[int, Field(ge=1, le=10_000)]
    ranges: Ranges = Ranges()
    epochs: Count
    rows: Count | None = None


def network(width: int, depth: int, dropout: float) -> Linear | Mlp:
    """What a trial trains."""
    if not depth:
        return Linear(kind="linear")
    return Mlp(kind="mlp", units=(width,) * depth, dropout=dropout)

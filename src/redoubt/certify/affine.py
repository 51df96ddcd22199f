"""What a network of ReLUs is in exact arithmetic: affine maps, and a ReLU between each two. No TensorFlow."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Affine:
    """The map x -> matrix x + offset of flat inputs.

    Attributes:
        matrix: `(outputs, inputs)`, sparse.
        offset: `(outputs,)`.
    """

    matrix: Any
    offset: Doubles

    def __call__(self, x: Doubles) -> Doubles:
        """Outputs `(..., outputs)` of inputs `(..., inputs)`."""
        mapped: Doubles = (self.matrix @ x.T).T + self.offset
        return mapped


@dataclass(frozen=True, eq=False)
class Elementwise:
    """A monotone map of each input by itself: scaled, shifted, then clipped.

    Attributes:
        scale: `(inputs,)` or 1.
        offset: likewise, or 0.
        low: nothing is below.
        high: nothing is above.
    """

    scale: Doubles | float = 1.0
    offset: Doubles | float = 0.0
    low: float = -np.inf
    high: float = np.inf

    def __call__(self, x: Doubles) -> Doubles:
        """What it makes of inputs `(..., inputs)`."""
        mapped: Doubles = np.clip(x * self.scale + self.offset, self.low, self.high)
        return mapped


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """A network as affine maps with a ReLU between each two.

    Attributes:
        front: what happens to each input by itself before any are summed; a box stays exact there.
        maps: first to last.
        kept: by map but the last, places of the outputs that pass its ReLU as they are; none for most.
    """

    front: tuple[Elementwise, ...]
    maps: tuple[Affine, ...]
    kept: tuple[NDArray[np.intp], ...]

    def inputs(self, x: Doubles) -> Doubles:
        """What the first affine map reads of flat inputs `(..., inputs)`."""
        for step in self.front:
            x = step(x)
        return x

    def __call__(self, x: Doubles) -> Doubles:
        """Outputs `(..., outputs)` of flat inputs `(..., inputs)`, in double precision."""
        x = self.inputs(x)
        for affine, kept in zip(self.maps, self.kept, strict=False):
            read = affine(x)
            x = np.maximum(read, 0.0)
            x[..., kept] = read[..., kept]
        return self.maps[-1](x)

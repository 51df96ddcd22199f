"""What one perturbation per example looks like: images as images, records as changes per feature."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from redoubt.core.types import Bounds, Floats
from redoubt.report.figures import _literal, canvas, pictures

SHOWN, FEATURES = 8, 30


def is_picture(shape: Sequence[Any]) -> bool:
    """`(height, width)`, grey or in colour; anything else is a record."""
    return len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))


def as_pictures(x: Floats, bounds: Bounds) -> Floats:
    """Examples as `(examples, height, width, channels)`, the bounds stretched to [0, 1]."""
    span = bounds.upper - bounds.lower
    unit = ((x - bounds.lower) / np.where(span > 0, span, 1.0)).astype(np.float32)
    return unit[..., None] if x.ndim == 3 else unit


def perturbed(x: Floats, x_adv: Floats, truth: Sequence[str], answers: Sequence[str], bounds: Bounds) -> Figure:
    """The first examples: originals with labels, perturbations, and adversarial examples with predictions."""
    some = slice(min(SHOWN, len(x)))
    shown = {"adversarial": as_pictures(x_adv[some], bounds)}
    return pictures(as_pictures(x[some], bounds), shown, {"truth": truth[some], "adversarial": answers[some]})


def changes(x: Floats, x_adv: Floats, bounds: Bounds, names: Sequence[str]) -> Figure:
    """How far each feature was perturbed, in units of the scale: the mean over all examples, largest first."""
    flat = np.abs(x_adv - x) / np.where(bounds.scale > 0, bounds.scale, 1.0)
    size = flat.reshape(len(x), -1).mean(axis=0)
    largest = np.argsort(-size, kind="stable")[:FEATURES]
    figure, axes = canvas(1, 1, 6.0, 1.0 + 0.22 * len(largest))
    axis: Axes = axes[0, 0]
    axis.barh(range(len(largest)), size[largest], color="#1d4ed8")
    axis.set_yticks(range(len(largest)), [_literal(names[place]) for place in largest])
    axis.invert_yaxis()
    axis.set(xlabel="mean change, in units of eps = 1")
    return figure


def falling(eps: NDArray[np.float64], largest: float) -> Figure:
    """Robust accuracy against eps, from the minimal adversarial eps of each example."""
    figure, axes = canvas(1, 1, 4.8, 3.2)
    axis: Axes = axes[0, 0]
    grid = np.linspace(0.0, largest, 200)
    axis.step(grid, [float((eps > at).mean()) for at in grid], where="post", color="#b91c1c")
    axis.set(xlabel="eps", ylabel="robust accuracy", ylim=(-0.02, 1.02))
    return figure

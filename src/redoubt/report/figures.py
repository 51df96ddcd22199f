"""What matplotlib draws for pages and studies: the style they share, and attacked pictures side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "legend.frameon": False,
    "font.family": "DejaVu Sans",
    # As many pixels as the image has, and no more, in a file that does not compress them.
    "image.interpolation": "none",
}


def canvas(rows: int, columns: int, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """An empty figure of axes in the report's style; sizes in inches."""
    # A matplotlibrc of somebody's own, with usetex or another size of fonts, must not change a report.
    mpl.rcdefaults()
    mpl.rcParams.update(STYLE)
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _literal(text: str) -> str:
    """A user's own words, in which matplotlib must not take two dollar signs for a formula."""
    return text.replace("$", r"\$")


def pictures(
    originals: NDArray[Any], attacked: Mapping[str, NDArray[Any]], answers: Mapping[str, Sequence[str]]
) -> Figure:
    """Draw originals, and per model the perturbation (grey: none) and the adversarial image with its prediction."""
    count = len(originals)
    figure, axes = canvas(1 + 2 * len(attacked), count, 1.05 * count, 1.15 * (1 + 2 * len(attacked)))
    span = max(float(np.abs(x_adv - originals).max()) for x_adv in attacked.values()) or 1.0
    for column in range(count):
        _picture(axes[0, column], originals[column], f"{answers['truth'][column]}")
    for index, (name, x_adv) in enumerate(attacked.items()):
        change = (x_adv - originals) / (2 * span) + 0.5
        for column in range(count):
            wrong = answers[name][column] != answers["truth"][column]
            _picture(axes[1 + 2 * index, column], change[column], "")
            _picture(
                axes[2 + 2 * index, column], x_adv[column], answers[name][column], "#b91c1c" if wrong else "#15803d"
            )
        axes[1 + 2 * index, 0].set_ylabel("perturbation", fontsize=7)
        axes[2 + 2 * index, 0].set_ylabel(name, fontsize=7)
    axes[0, 0].set_ylabel("original", fontsize=7)
    return figure


def _picture(axis: Axes, pixels: NDArray[Any], title: str, colour: str = "black") -> None:
    grey = pixels.shape[-1] == 1
    axis.imshow(np.clip(pixels[..., 0] if grey else pixels, 0, 1), cmap="gray" if grey else None, vmin=0, vmax=1)
    axis.set_title(_literal(title), fontsize=8, color=colour, pad=2)
    axis.grid(visible=False)
    axis.set_xticks([])
    axis.set_yticks([])

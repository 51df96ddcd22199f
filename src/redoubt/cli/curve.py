"""Certified accuracy against the size of the perturbation: as bars of letters, and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redoubt.core.types import Norm
    from redoubt.evaluation.metrics import Rate

CURVE = "curve.svg"
CELLS = 20
PROVEN = "#15803d"


def bar(share: float) -> str:
    """A share as a bar, which is empty at 0 and full at 1 alone."""
    cells = round(CELLS * share)
    cells = min(max(cells, int(share > 0)), CELLS - int(share < 1))
    return "█" * cells + "░" * (CELLS - cells)


def draw(points: "Sequence[tuple[float, Rate]]", norm: "Norm", path: Path) -> None:
    """Write the curve with its 95 % intervals as an SVG file.

    Args:
        points: eps or radius, rising, and the share that is certified there.
        norm: of the perturbations.
        path: of the file, written whole or not at all.
    """
    from redoubt.core.store import whole_file
    from redoubt.report.chart import NORMS
    from redoubt.report.figures import canvas
    from redoubt.report.svg import figure_to_svg

    figure, axes = canvas(1, 1, 4.8, 3.2)
    sizes, rates = [size for size, _ in points], [rate for _, rate in points]
    axis = axes[0, 0]
    axis.plot(sizes, [rate.share for rate in rates], color=PROVEN, lw=2, marker="o", ms=4)
    low, high = [rate.low for rate in rates], [rate.high for rate in rates]
    axis.fill_between(sizes, low, high, color=PROVEN, alpha=0.15, lw=0)
    axis.set(xlabel=f"{NORMS[norm]} eps", ylabel="certified accuracy", ylim=(-0.02, 1.02))
    with whole_file(path) as temporary:
        temporary.write_text(figure_to_svg(figure), encoding="utf-8", newline="\n")

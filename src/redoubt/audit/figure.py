"""Robust accuracy against eps of an audited model, by attack, between what is proven and what was found."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.audit.result import EpsRow
from redoubt.core.types import Norm
from redoubt.evaluation.metrics import Rate
from redoubt.report.chart import NORMS
from redoubt.report.figures import canvas

WORST, PROVEN = "#b91c1c", "#15803d"
# Attacks that may be run on every example.
COLOURS = {"noise": "#6b7280", "fgsm": "#0e7490", "pgd": "#1d4ed8", "square": "#a16207"}


def curve(rows: Sequence[EpsRow], clean: Rate, constant: float | None, norm: Norm) -> Figure:
    """Draw the worst case with its intervals, each attack that ran on every example, and what is certified.

    Args:
        rows: per eps, rising.
        clean: accuracy at eps 0.
        constant: what the commonest class is right on; None of numbers.
        norm: of the perturbations.
    """
    figure, axes = canvas(1, 1, 6.4, 3.6)
    axis: Axes = axes[0, 0]
    for name, colour in COLOURS.items():
        shares = [(row.eps, row.by_attack[name].share) for row in rows if name in row.by_attack]
        if not shares:
            continue
        axis.plot(*_points(shares, clean), color=colour, lw=0.9, marker="o", ms=2.5, label=name)
    _with_interval(axis, [(row.eps, row.robust) for row in rows], clean, WORST, "worst case of all")
    for label, colour, name in (("certified", PROVEN, "certified"), ("guarded, adaptive", "#7c3aed", "adaptive")):
        rates = [(row.eps, rate) for row in rows if (rate := getattr(row, name)) is not None]
        if rates:
            _with_interval(axis, rates, None, colour, label)
    if constant is not None:
        axis.axhline(constant, color="#6b7280", lw=0.8, ls=":", label="always the commonest class")
    axis.set(xlabel=f"{NORMS[norm]} eps", ylabel="accuracy", ylim=(-0.02, 1.02))
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _points(shares: list[tuple[float, float]], clean: Rate) -> tuple[list[float], list[float]]:
    return [0.0, *(eps for eps, _ in shares)], [clean.share, *(share for _, share in shares)]


def _with_interval(axis: Axes, rates: list[tuple[float, Rate]], clean: Rate | None, colour: str, label: str) -> None:
    points = [*([(0.0, clean)] if clean is not None else []), *rates]
    eps, found = [place for place, _ in points], [rate for _, rate in points]
    axis.plot(eps, [rate.share for rate in found], color=colour, lw=2, marker="o", ms=4, label=label)
    axis.fill_between(eps, [rate.low for rate in found], [rate.high for rate in found], color=colour, alpha=0.15, lw=0)

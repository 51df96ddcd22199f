"""The figures of the report, one function each; all take plain data and return a matplotlib figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from redoubt.core.types import Norm

COLOURS = {"natural": "#c2410c", "adversarial": "#1d4ed8", "certified": "#15803d", "smoothed": "#7c3aed"}
# What a learning curve may hold beside the loss, and how it is drawn.
SHARES: dict[str, Any] = {
    "accuracy": ":",
    "val_accuracy": "-",
    "val_natural": "-",
    "val_pgd": "--",
    "val_certified": "-.",
    "val_noisy": (0, (4, 1, 1, 1, 1, 1)),
}
SHARE_LABELS = {
    "accuracy": "training batches",
    "val_accuracy": "validation",
    "val_natural": "natural",
    "val_pgd": "PGD",
    "val_certified": "certified",
    "val_noisy": "Gaussian noise",
}
LINES = {"undefended": "-", "oblivious": "--", "adaptive": ":"}
NORMS = {"linf": "L-inf", "l2": "L2"}
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


def learning_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw per model the loss, training thin and validation thick, and accuracies; without those, the error."""
    figure, axes = canvas(len(histories), 2, 8.8, 2.3 * len(histories))
    for (left, right), (name, history) in zip(axes, histories.items(), strict=True):
        _pair(left, history, "loss", COLOURS[name])
        left.set(xlabel="epoch", title=f"{name}: loss", yscale="log")
        shares = [column for column in SHARES if column in history]
        for column in shares:
            line = {"color": COLOURS[name], "ls": SHARES[column], "label": SHARE_LABELS[column]}
            right.plot(history["epoch"], history[column], **line)
        if not shares:
            _pair(right, history, "mae", COLOURS[name])
        right.set(xlabel="epoch", title=f"{name}: {'accuracy' if shares else 'mean absolute error'}")
        left.legend(fontsize=7)
        # Beside the axes: curves of accuracy leave no corner free.
        right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _pair(axis: Axes, history: pd.DataFrame, column: str, colour: str) -> None:
    axis.plot(history["epoch"], history[column], color=colour, lw=1, alpha=0.6, label="training")
    axis.plot(history["epoch"], history[f"val_{column}"], color=colour, lw=2, label="validation")


def sweep(table: pd.DataFrame) -> Figure:
    """Draw the validation loss of every point: a dot per fold, a bar at the mean, the selected one in green."""
    table = table.assign(point=table["model"] + ", batch " + table["batch_size"].astype(str))
    if table["learning_rate"].nunique() > 1:
        table["point"] += ", rate " + table["learning_rate"].astype(str)
    means = table.groupby("point", sort=False)["val_loss"].mean()
    figure, axes = canvas(1, 1, 8.0, 0.6 + 0.34 * len(means))
    axis: Axes = axes[0, 0]
    for height, (point, mean) in enumerate(means.items()):
        folds = table.loc[table["point"] == point, "val_loss"]
        colour = "#15803d" if mean == means.min() else "#9ca3af"
        axis.plot(folds, [height] * len(folds), "o", color=colour, alpha=0.5, ms=5)
        axis.plot([mean], [height], "|", color=colour, ms=16, mew=3)
    axis.set_yticks(range(len(means)), list(means.index))
    axis.set_ylim(len(means) - 0.5, -0.5)
    axis.set(xscale="log", xlabel="validation loss (dots: folds; |: their mean; green: the model selected)")
    return figure


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Draw the counts of the guarded model on the test split: a row per true class, a column per predicted class."""
    table = np.array(counts)
    side = min(7.0, 2.2 + 0.36 * len(labels))
    figure, axes = canvas(1, 1, side, side)
    axis: Axes = axes[0, 0]
    axis.imshow(table / np.maximum(1, table.sum(axis=1, keepdims=True)), cmap="Blues", vmin=0, vmax=1)
    axis.grid(visible=False)
    for (row, column), count in np.ndenumerate(table):
        if count:
            axis.text(column, row, str(count), ha="center", va="center", color="white" if row == column else "black")
    names = [_literal(label) for label in labels]
    axis.set_xticks(range(len(labels)), names, rotation=45 if max(map(len, labels)) > 3 else 0)
    axis.set_yticks(range(len(labels)), names)
    axis.set(xlabel="predicted", ylabel="true")
    return figure


def predictions(pairs: Mapping[str, Sequence[tuple[float, float]]], target: str) -> Figure:
    """Draw predictions against the true values, one panel per model."""
    figure, axes = canvas(1, len(pairs), 4.0 * len(pairs), 3.4)
    for axis, (name, points) in zip(axes[0], pairs.items(), strict=True):
        truth, value = np.array(points).T
        axis.plot(truth, value, "o", ms=3, alpha=0.5, color=COLOURS[name])
        ends = [truth.min(), truth.max()]
        axis.plot(ends, ends, color="#6b7280", lw=1)
        axis.set(title=name, xlabel=f"true {_literal(target)}", ylabel=f"predicted {_literal(target)}")
    return figure


def eps_curves(curves: Mapping[Norm, Mapping[str, pd.DataFrame]], budget: Mapping[str, float]) -> Figure:
    """Draw robust accuracy against eps, one panel per norm; `curves` by norm, then by model."""
    figure, axes = canvas(1, len(curves), 4.4 * len(curves), 3.4)
    for axis, (norm, models) in zip(axes[0], curves.items(), strict=True):
        for name, table in models.items():
            for column, line in LINES.items():
                label = f"{name}, {'guarded, ' if column != 'undefended' else ''}{column}"
                axis.plot(table["eps"], table[column], line, color=COLOURS[name], marker="o", ms=3, label=label)
            axis.plot(
                table["eps"], table["noise"], color=COLOURS[name], lw=0.8, alpha=0.4, label=f"{name}, random noise"
            )
        axis.axvline(budget[norm], color="#6b7280", lw=0.8)
        axis.set(
            xlabel=f"{NORMS[norm]} eps; the line marks the task's eps", ylim=(-0.02, 1.02), ylabel="robust accuracy"
        )
    handles, labels = axes[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7)
    return figure


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


def certified(models: Mapping[str, Any]) -> Figure:
    """Draw certified accuracy against size: L2 radius by smoothing, and L-inf eps by interval bounds."""
    figure, axes = canvas(1, 2, 8.8, 3.0)
    for name, measured in models.items():
        for axis, (rows, size) in zip(
            axes[0], ((measured["smoothing"]["radii"], "radius"), (measured["interval"], "eps")), strict=True
        ):
            shares = [row["certified"]["share"] if row["certified"] else np.nan for row in rows]
            axis.plot([row[size] for row in rows], shares, "o-", color=COLOURS[name], ms=3, label=name)
    axes[0, 0].set(xlabel="L2 radius, randomized smoothing", ylabel="certified accuracy", ylim=(-0.02, 1.02))
    axes[0, 1].set(xlabel="L-inf eps, interval bounds", ylim=(-0.02, 1.02))
    axes[0, 1].legend()
    return figure

"""The charts of a task's section: plain results in, charts out."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from redoubt.core.types import Norm
from redoubt.report.chart import NORMS, Chart, Series, group

LOOKS = {"natural": 0, "adversarial": 1, "certified": 2, "smoothed": 3}
# Of a learning curve: the column, its name, its look and its dash.
SHARES = (
    ("accuracy", "training batches", 4, "2 3"),
    ("val_accuracy", "validation", 1, ""),
    ("val_natural", "natural", 1, ""),
    ("val_pgd", "PGD", 0, ""),
    ("val_certified", "certified", 2, ""),
    ("val_noisy", "Gaussian noise", 3, ""),
)
# Of an eps curve: what was measured, its name, its look and its dash.
COLUMNS = (
    ("noise", "random noise", 4, "2 3"),
    ("undefended", "undefended", 0, ""),
    ("oblivious", "oblivious", 3, "6 3"),
    ("adaptive", "adaptive", 1, ""),
    ("certified", "certified (network)", 2, "6 3"),
    ("certified_guarded", "certified (defended)", 2, ""),
)
# Where a guard only detects, the network's curves are those of the guarded model.
SAME = {"undefended": "adaptive", "oblivious": "adaptive", "certified": "certified_guarded"}
# Of the ablation: what was measured of each part of the guard, its look, and what the network alone has there.
ABLATED = (("clean", 4, "clean"), ("oblivious", 3, "undefended"), ("adaptive", 1, "undefended"))
GUARDED = ("oblivious", "adaptive", "certified_guarded")


def eps_chart(name: str, measured: Mapping[str, Any], norm: Norm, eps: float, title: str = "") -> Chart:
    """Everything that was measured of one model in one norm, against eps, with its intervals.

    Args:
        name: of the model.
        measured: its results on the test split.
        norm: of the threat.
        eps: of the task, marked.
        title: above the chart; the model and norm if empty.
    """
    cells = [cell for cell in measured["cells"] if cell["norm"] == norm]
    pairs = [(measured["clean"], measured["clean_guarded"])]
    pairs += [(cell[network], cell[guarded]) for cell in cells for network, guarded in SAME.items()]
    only_detects = all(network == guarded for network, guarded in pairs)
    lines = []
    for column, told, look, dash in COLUMNS:
        clean = measured["clean_guarded" if column in GUARDED else "clean"]
        kept = [(cell["eps"], cell[column]) for cell in cells if cell[column]]
        if kept and not (only_detects and column in SAME):
            # Nothing is proven of the guarded model at 0: its answer hangs on its draws there, too.
            kept = kept if column == "certified_guarded" else [(0.0, clean), *kept]
            ends = [[rate[end] for _, rate in kept] for end in ("share", "low", "high")]
            lines.append(Series(told, [at for at, _ in kept], ends[0], look, dash, ends[1], ends[2]))
    return Chart(title or f"{name}, {NORMS[norm]}", lines, f"{NORMS[norm]} eps", "accuracy", share=True, mark=eps)


def eps_curves(task: str, models: Mapping[str, Any], sizes: Mapping[str, float]) -> Markup:
    """A chart per model and norm, one legend for all."""
    norms: tuple[Norm, ...] = ("linf", "l2")
    charts = [eps_chart(name, each, norm, sizes[norm]) for norm in norms for name, each in models.items()]
    return group(
        f"{task}-robust-accuracy",
        charts,
        "Accuracy against eps, one chart per model and norm; bands are 95 % Wilson intervals, the vertical line is the "
        "task's eps.",
        len(models),
    )


def card(task: str, name: str, measured: Mapping[str, Any], threat: Mapping[str, Any]) -> str:
    """The one chart of a task's card: the model that is shown, in the norm of the gates."""
    return str(
        group(f"{task}-card", [eps_chart(name, measured, threat["norm"], threat["eps"], f"the {name} model")], "", 1)
    )


def certified(task: str, models: Mapping[str, Any]) -> Markup:
    """Certified accuracy against size, by both ways, a line per model."""
    bounds = {name: each["interval"] for name, each in models.items()}
    smoothing = {name: each["smoothing"]["radii"] for name, each in models.items()}
    charts = [
        Chart("interval bounds", _proven(bounds, "eps"), "L-inf eps", "certified accuracy", share=True),
        Chart("randomized smoothing", _proven(smoothing, "radius"), "L2 radius", "certified accuracy", share=True),
    ]
    return group(f"{task}-certified", charts, "Certified accuracy against size; bands are 95 % Wilson intervals.")


def _proven(models: Mapping[str, Any], size: str) -> list[Series]:
    """A line per model, from its rows of one way to certify."""
    lines = []
    for name, rows in models.items():
        kept = [row for row in rows if row["certified"]]
        ends = [[row["certified"][end] for row in kept] for end in ("share", "low", "high")]
        lines.append(Series(name, [row[size] for row in kept], ends[0], LOOKS[name], "", ends[1], ends[2]))
    return lines


def ablation(task: str, models: Mapping[str, Any], threat: Mapping[str, Any]) -> Markup:
    """What each part of the guard alone, and all of it, costs and gains, beside the network without a guard.

    Args:
        task: names the file of the numbers.
        models: results on the test split, by name.
        threat: norm and eps of the gates.
    """
    charts = []
    for name, measured in models.items():
        alone = _cell(measured, threat) | {"clean": measured["clean"]}
        names = ["no guard", *(each["component"] for each in measured["components"])]
        lines = []
        for column, look, without in ABLATED:
            rates = [alone[without], *(each[column] for each in measured["components"])]
            at = [(index, rate) for index, rate in enumerate(rates) if rate]
            ends = [[rate[end] for _, rate in at] for end in ("share", "low", "high")]
            lines.append(Series(column, [index for index, _ in at], ends[0], look, "", ends[1], ends[2]))
        charts.append(Chart(name, lines, "", "accuracy", share=True, names=names))
    size = f"{NORMS[threat['norm']]} eps {threat['eps']:g}"
    told = f"Each part of the guard alone, and all of it, {size}; the network without a guard at the left."
    return group(f"{task}-ablation", charts, f"{told} Lines are 95 % Wilson intervals.", len(models))


def _cell(measured: Mapping[str, Any], threat: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of a model at one eps."""
    at = (threat["norm"], threat["eps"])
    return next(dict(cell) for cell in measured["cells"] if (cell["norm"], cell["eps"]) == at)


def learning_curves(task: str, histories: Mapping[str, pd.DataFrame]) -> list[Markup]:
    """Losses of every model, then what their accuracies did; without those, the error."""
    losses, shares = [], []
    for name, table in histories.items():
        epochs = table["epoch"].tolist()
        pair = (("loss", "training", 4, "2 3"), ("val_loss", "validation", 1, ""))
        losses.append(Chart(name, _lines(table, epochs, pair), "epoch", "loss", log=True))
        found = _lines(table, epochs, SHARES)
        errors = (("mae", "training", 4, "2 3"), ("val_mae", "validation", 1, ""))
        shares.append(
            Chart(name, found, "epoch", "accuracy", share=True)
            if found
            else Chart(name, _lines(table, epochs, errors), "epoch", "mean absolute error")
        )
    kept = [chart for chart in shares if chart.series]
    told = "Validation accuracy: natural (clean), under PGD at full eps, certified by interval bounds, under noise."
    figures = [group(f"{task}-loss", losses, "Loss, training and validation, on a logarithmic scale.", 2)]
    return [*figures, group(f"{task}-learning", kept, told, 2)] if kept else figures


def _lines(table: pd.DataFrame, epochs: list[float], columns: Sequence[tuple[str, str, int, str]]) -> list[Series]:
    return [
        Series(told, epochs, table[name].tolist(), look, dash) for name, told, look, dash in columns if name in table
    ]


def predictions(task: str, pairs: Mapping[str, Sequence[tuple[float, float]]], target: str) -> Markup:
    """Predictions against the true values, a chart per model."""
    charts = []
    for name, points in pairs.items():
        truth, found = [each[0] for each in points], [each[1] for each in points]
        cloud = [Series(name, truth, found, LOOKS[name])]
        charts.append(Chart(name, cloud, f"true {target}", f"predicted {target}", cloud=True, diagonal=True))
    return group(f"{task}-predictions", charts, "Undefended predictions on the whole test split.")


def sweep(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per point in the order of its mean loss: what it is, and its folds on a scale from 0 to 100.

    Args:
        table: columns model, batch_size, learning_rate, fold, val_loss; where points were drawn their `trial`. One that
            was stopped has fewer folds, and comes after all others.
    """
    settings = ["model", "batch_size", "learning_rate"]
    points = table.groupby([*settings, *(["trial"] if "trial" in table else [])], sort=False)["val_loss"]
    found = [(key, losses.tolist()) for key, losses in points]
    whole = max((len(losses) for _, losses in found), default=0)
    finite = [loss for _, losses in found for loss in losses if loss < float("inf")]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    rows = [
        {
            "model": key[0],
            "batch_size": key[1],
            "learning_rate": f"{key[2]:g}",
            "mean": sum(losses) / len(losses),
            "folds": [round(100 * (loss - low) / ((high - low) or 1.0), 1) for loss in losses if loss < float("inf")],
            "stopped": len(losses) if len(losses) < whole else None,
        }
        for key, losses in found
    ]
    return sorted(rows, key=lambda row: (row["stopped"] is not None, row["mean"] != row["mean"], row["mean"]))


def confusion(counts: Sequence[Sequence[int]]) -> list[list[tuple[int, float]]]:
    """Counts with their shares of their true class."""
    return [[(count, round(count / max(1, sum(row)), 3)) for count in row] for row in counts]

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from redoubt.report import figures
from redoubt.report.svg import figure_to_svg

RNG = np.random.default_rng(0)
# Marks that matplotlib would take for formulas, and HTML for its own.
ODD = ("<$5 & co_$", "b_^$", "50 %")


def history(metric: str, epochs: int) -> pd.DataFrame:
    columns = ["loss", metric, "val_loss", f"val_{metric}"]
    return pd.DataFrame({"epoch": range(1, epochs + 1), **{name: np.linspace(1, 0, epochs) for name in columns}})


def sweep_table(points: int, rates: int) -> pd.DataFrame:
    rows = [("logistic", 16 * 2**p, 0.1 * (r + 1), f) for p in range(points) for r in range(rates) for f in range(3)]
    table = pd.DataFrame(rows, columns=["model", "batch_size", "learning_rate", "fold"])
    return table.assign(val_loss=RNG.uniform(0.1, 1, len(table)))


def diverged() -> pd.DataFrame:
    return sweep_table(2, 1).assign(val_loss=[0.1, 0.2, 0.3, np.inf, np.nan, 1.0])


def eps_table(rows: int) -> pd.DataFrame:
    columns = ["eps", "noise", "fgsm", "undefended", "oblivious", "adaptive"]
    return pd.DataFrame({name: np.linspace(1, 0, rows) for name in columns})


def shown(channels: int, x_adv: float) -> Figure:
    x = RNG.random((4, 6, 5, channels), dtype=np.float32)
    attacked = {"natural": x + np.float32(x_adv), "adversarial": x}
    answers = {"natural": ["a"] * 4, "adversarial": list("abab"), "truth": [*ODD, "a"]}
    return figures.pictures(x, attacked, answers)


def certificate(radii: int) -> dict[str, object]:
    shares = [{"radius": 0.1 * i, "eps": 0.1 * i, "certified": {"share": 1 / (i + 1)}} for i in range(radii)]
    return {"smoothing": {"radii": shares}, "interval": shares}


DRAWN: dict[str, Callable[[], Figure]] = {
    "learning-curves": lambda: figures.learning_curves(
        {"natural": history("accuracy", 5), "adversarial": history("accuracy", 3)}
    ),
    "learning-curves-of-numbers": lambda: figures.learning_curves({"natural": history("mae", 5)}),
    "learning-curve-of-one-epoch": lambda: figures.learning_curves({"natural": history("accuracy", 1)}),
    "sweep": lambda: figures.sweep(sweep_table(2, 2)),
    "sweep-of-one-point": lambda: figures.sweep(sweep_table(1, 1)),
    "sweep-with-a-point-that-diverged": lambda: figures.sweep(diverged()),
    "confusion": lambda: figures.confusion([[5, 0, 0], [1, 4, 0], [0, 0, 0]], ODD),
    "confusion-of-two": lambda: figures.confusion([[1, 0], [0, 1]], ["a", "b"]),
    "predictions": lambda: figures.predictions({"natural": [(1, 2), (3, 4)], "adversarial": [(1, 1)]}, ODD[0]),
    "eps-curves": lambda: figures.eps_curves(
        {norm: {"natural": eps_table(3), "adversarial": eps_table(2)} for norm in ("linf", "l2")},
        {"linf": 0.1, "l2": 0.5},
    ),
    "pictures": lambda: shown(1, 0.2),
    "pictures-in-colour": lambda: shown(3, -0.2),
    "pictures-unchanged": lambda: shown(1, 0.0),
    "certified": lambda: figures.certified({"natural": certificate(3), "adversarial": certificate(1)}),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_the_same_file_every_time(name: str) -> None:
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
    first = DRAWN[name]()
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
    again = DRAWN[name]()
    assert isinstance(first, Figure)
    assert figure_to_svg(first) == figure_to_svg(again)


def texts(figure: Figure) -> str:
    figure.draw_without_rendering()
    axes = figure.axes
    labels = [label.get_text() for axis in axes for label in (*axis.get_xticklabels(), *axis.get_yticklabels())]
    titles = [text for axis in axes for text in (axis.get_title(), axis.get_xlabel(), axis.get_ylabel())]
    legends = [*figure.legends, *(axis.get_legend() for axis in axes if axis.get_legend())]
    return "\n".join([*labels, *titles, *(text.get_text() for legend in legends for text in legend.get_texts())])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "eps-curves",
            ["L-inf eps", "L2 eps", "natural, undefended", "adversarial, guarded, adaptive", "random noise"],
        ),
        ("sweep", ["logistic, batch 16, rate 0.1", "logistic, batch 32, rate 0.2"]),
        ("sweep-of-one-point", ["logistic, batch 16\n"]),
        ("learning-curves", ["natural: loss", "adversarial: accuracy", "validation", "training batches"]),
        ("pictures", ["original", "perturbation", "natural", "adversarial"]),
        ("certified", ["L2 radius, randomized smoothing", "L-inf eps, interval bounds", "natural"]),
    ],
)
def test_a_figure_says_what_it_shows(name: str, says: list[str]) -> None:
    found = texts(DRAWN[name]())
    assert [text for text in says if text not in found] == []


def test_the_winner_of_a_sweep_is_the_green_one() -> None:
    axes = figures.sweep(sweep_table(3, 1).assign(val_loss=[3, 3, 3, 1, 1, 1, 2, 2, 2])).axes[0]
    green = [line.get_ydata()[0] for line in axes.get_lines() if line.get_color() == "#15803d"]
    assert set(green) == {1}

"""The pictures of the attacks, one function each; all take plain data and return a matplotlib figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from redoubt.report.figures import _literal, _picture, canvas

CYCLE = ("#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#0e7490", "#a16207", "#be185d", "#374151", "#65a30d", "#6b7280")
RIGHT, WRONG = "#15803d", "#b91c1c"
# A class that is never likelier than this is not drawn.
VISIBLE = 0.05
# Letters of a network's name beside a small matrix.
LONGEST = 30


def same_length(
    original: NDArray[Any],
    changed: Mapping[str, NDArray[Any]],
    l2: Mapping[str, float],
    linf: Mapping[str, float],
    answers: Mapping[str, tuple[str, bool]],
) -> Figure:
    """One picture changed by the same L2 length in several ways; the eye agrees with L-inf.

    Args:
        original: `(height, width, channels)`, values 0 to 1.
        changed: pictures by the name of the change.
        l2: length of each change.
        linf: largest change of a value.
        answers: the network's, and whether it is right, by the name of the change and of the "original".
    """
    count = 1 + len(changed)
    figure, axes = canvas(2, count, 2.1 * count, 4.5)
    _framed(axes[0, 0], original, "original")
    axes[1, 0].set_axis_off()
    for axis, name in zip(axes[0], ("original", *changed), strict=True):
        answer, right = answers[name]
        axis.set_xlabel(_literal(f"predicted {answer}"), fontsize=8, color=RIGHT if right else WRONG)
    span = max(linf.values()) or 1.0
    for column, (name, x_adv) in enumerate(changed.items(), start=1):
        _framed(axes[0, column], x_adv, name)
        _framed(axes[1, column], (x_adv - original) / (2 * span) + 0.5, "the perturbation (grey: none)")
        axes[1, column].set_xlabel(f"L2 {l2[name]:.2f}, L-inf {linf[name]:.2f}", fontsize=8)
    return figure


def landscape(
    walks: Mapping[str, Mapping[str, NDArray[Any]]],
    margins: Mapping[str, NDArray[Any]],
    labels: Sequence[str],
    unit: str,
    row: str,
) -> Figure:
    """Answers and loss along lines from one input, and the margins along the like lines from all.

    Args:
        walks: by the name of the direction: `distances` (steps,), `loss` (steps,), and `answers` (steps, classes) as
            probabilities, or (steps, 1) as values.
        margins: of all inputs, `(inputs, steps)`, by the name of the direction; above 0 the example is adversarial.
        labels: class names; empty where a number is answered.
        unit: of the distances, such as "L-inf distance".
        row: what is to be said of the one input.
    """
    figure, axes = canvas(2, max(len(walks), 2), 3.2 * max(len(walks), 2), 5.6)
    seen = np.max([walk["answers"].max(axis=0) for walk in walks.values()], axis=0) >= VISIBLE
    colours = dict(zip(margins, ("#6b7280", *CYCLE), strict=False))
    for axis, (name, walk) in zip(axes[0], walks.items(), strict=False):
        for place in np.flatnonzero(seen).tolist() if labels else [0]:
            style = {"color": CYCLE[place % len(CYCLE)], "ls": "-" if place < len(CYCLE) else "--"}
            said = _literal(labels[place]) if labels else "prediction"
            axis.plot(walk["distances"], walk["answers"][:, place], label=said, **style)
        axis.set(title=f"along {_literal(name)}", xlabel=unit)
        axis.sharey(axes[0, 0])
    axes[0, 0].set_ylabel("probability" if labels else "prediction")
    if labels:
        axes[0, 0].set_ylim(-0.02, 1.02)
    if labels:
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=10, title="class")
    figure.suptitle(_literal(row), fontsize=9)
    for name, walk in walks.items():
        axes[1, 0].plot(walk["distances"], walk["loss"], color=colours[name], label=_literal(name))
    axes[1, 0].set(title="loss of this example", xlabel=unit)
    axes[1, 0].legend()
    _margins(axes[1, 1], margins, colours, next(iter(walks.values()))["distances"])
    axes[1, 1].set_xlabel(unit)
    for axis in axes.flat:
        axis.locator_params(axis="x", nbins=5)
    for axis in (*axes[0, len(walks) :], *axes[1, 2:]):
        axis.set_axis_off()
    return figure


def _margins(
    axis: Axes, margins: Mapping[str, NDArray[Any]], colours: Mapping[str, str], distances: NDArray[Any]
) -> None:
    """The middle row, and the middle half of all rows."""
    for name, rows in margins.items():
        low, middle, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
        axis.fill_between(distances, low, high, color=colours[name], alpha=0.2, lw=0)
        axis.plot(distances, middle, color=colours[name], label=_literal(name))
    axis.axhline(0.0, color="black", lw=0.8)
    axis.set(title="margin of all examples: adversarial above 0")
    axis.legend()


def gallery(
    first: Mapping[str, NDArray[Any]], rows: Mapping[str, tuple[NDArray[Any], Sequence[str]]], truth: Sequence[str]
) -> Figure:
    """Single pictures, such as a sticker or a perturbation, over rows of pictures with the network's answers.

    Args:
        first: pictures `(height, width, channels)` by name, values 0 to 1.
        rows: by name, pictures `(count, height, width, channels)` and an answer for each.
        truth: the right answer for each; an answer is green where it is that one, else red.
    """
    count = len(truth)
    figure = canvas(1, 1, max(1.0 * count, 2.2 * len(first)), 1.9 + 1.25 * len(rows))[0]
    figure.clear()
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.9, 1.25 * len(rows)])
    top, below = parts
    for axis, (name, picture) in zip(top.subplots(1, len(first), squeeze=False)[0], first.items(), strict=True):
        _framed(axis, picture, name)
    for axes, (name, (pictures, answers)) in zip(
        below.subplots(len(rows), count, squeeze=False), rows.items(), strict=True
    ):
        for axis, picture, answer, right in zip(axes, pictures, answers, truth, strict=True):
            _framed(axis, picture, answer, RIGHT if answer == right else WRONG)
        axes[0].set_ylabel(_literal(name), fontsize=7)
    return figure


def bars(shares: Mapping[str, Mapping[str, float]], says: str) -> Figure:
    """Groups of bars, such as survival: `shares` (0 to 1) by attack, then by what was measured; `says` is the axis."""
    kinds = list(next(iter(shares.values())))
    figure, axes = canvas(1, 1, max(4.4, 1.6 + 1.1 * len(shares)), 3.2)
    axis: Axes = axes[0, 0]
    width = 0.8 / len(kinds)
    for index, kind in enumerate(kinds):
        places = np.arange(len(shares)) + (index - (len(kinds) - 1) / 2) * width
        drawn = axis.bar(
            places, [group[kind] for group in shares.values()], 0.92 * width, color=CYCLE[index], label=_literal(kind)
        )
        axis.bar_label(drawn, [f"{group[kind]:.0%}" for group in shares.values()], fontsize=7, padding=1)
    axis.set_xticks(range(len(shares)), [_literal(name) for name in shares])
    axis.set(ylim=(0, 1.08), ylabel=_literal(says))
    axis.grid(visible=False, axis="x")
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=len(kinds))
    return figure


def transfer(success_rate: Mapping[str, Mapping[str, float]]) -> Figure:
    """Success rate (0 to 1): a row per network that the examples were crafted on, a column per target."""
    rows, columns = list(success_rate), list(next(iter(success_rate.values())))
    short = shortest_tails([*rows, *columns])
    table = np.array([[success_rate[row][column] for column in columns] for row in rows])
    figure, axes = canvas(1, 1, 2.6 + 0.75 * len(columns), 1.8 + 0.5 * len(rows))
    axis: Axes = axes[0, 0]
    axis.imshow(table, cmap="Reds", vmin=0, vmax=1, aspect="auto")
    axis.grid(visible=False)
    for (row, column), share in np.ndenumerate(table):
        axis.text(column, row, f"{share:.0%}", ha="center", va="center", color="white" if share > 0.6 else "black")
    axis.set_xticks(range(len(columns)), [_literal(short[name]) for name in columns], rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), [_literal(short[name]) for name in rows])
    axis.set(xlabel="success rate on", ylabel="crafted on")
    return figure


def shortest_tails(names: Sequence[str]) -> dict[str, str]:
    """Shorten paths to their last parts, as few as tell them apart; of a long last part only its end is kept.

    Args:
        names: of networks: paths, addresses or plain names; repetitions count once.
    """
    parts = {name: [part for part in name.split("/") if part] or [name] for name in names}
    short = {name: _tail(name, parts) for name in parts}
    cut = {name: f"…{tail[1 - LONGEST :]}" if len(tail) > LONGEST else tail for name, tail in short.items()}
    return cut if len(set(cut.values())) == len(cut) else short


def _tail(name: str, parts: Mapping[str, list[str]]) -> str:
    for count in range(1, len(parts[name]) + 1):
        tail = parts[name][-count:]
        if sum(each[-count:] == tail for each in parts.values()) == 1:
            return "/".join(tail)
    return name


def queries(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> Figure:
    """Success rate (0 to 1) against the queries spent, per attack: `(queries, shares)`; queries >= 1."""
    figure, axes = canvas(1, 1, 4.8, 3.2)
    axis: Axes = axes[0, 0]
    for (name, (spent, shares)), colour in zip(curves.items(), CYCLE, strict=False):
        axis.plot(spent, shares, color=colour, marker="o", ms=3, label=_literal(name))
    axis.set(xscale="log", xlabel="queries", ylabel="attack success rate", ylim=(-0.02, 1.02))
    axis.legend()
    return figure


def sticker(
    pixels: NDArray[Any], rows: Mapping[str, tuple[NDArray[Any], Sequence[str]]], truth: Sequence[str]
) -> Figure:
    """A patch, and pictures that carry it; see `gallery`."""
    return gallery({"the patch": pixels}, rows, truth)


def universal(
    change: NDArray[Any], rows: Mapping[str, tuple[NDArray[Any], Sequence[str]]], truth: Sequence[str]
) -> Figure:
    """One perturbation, stretched so that its largest value is black or white, and pictures with it; see `gallery`."""
    span = float(np.abs(change).max()) or 1.0
    return gallery({f"the perturbation (largest {span:.2f})": change / (2 * span) + 0.5}, rows, truth)


def reprogramming(
    frame: NDArray[Any], boards: NDArray[Any], inputs: NDArray[Any], answers: Sequence[str], truth: Sequence[str]
) -> Figure:
    """The frame that reprograms a network, the boards, and what the network sees and answers; see `gallery`.

    Args:
        frame: the learnt frame, its middle empty, `(height, width, channels)`.
        boards: `(count, side, side, channels)`.
        inputs: boards inside the frame, `(count, height, width, channels)`.
        answers: of the network, read as counts.
        truth: the counts.
    """
    return gallery({"the frame": frame}, {"board": (boards, truth), "board in frame": (inputs, answers)}, truth)


def _framed(axis: Axes, pixels: NDArray[Any], title: str, colour: str = "black") -> None:
    """A picture with a line round it, without which white ones have no edge on the page."""
    _picture(axis, pixels, title, colour)
    for spine in axis.spines.values():
        spine.set(visible=True, color="#9ca3af", linewidth=0.6)

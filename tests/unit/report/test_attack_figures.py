"""The attacks' pictures: the same bytes for the same data, and the words that explain them."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from redoubt.report import attack_figures as figures
from redoubt.report.svg import figure_to_svg

# Marks that matplotlib would take for formulas.
ODD = "<$5 & co_$"


def pictures(count: int, channels: int = 1, side: int = 6) -> np.ndarray:
    return np.random.default_rng(count).random((count, side, side, channels), dtype=np.float32)


def walk(classes: int, peak: int) -> dict[str, np.ndarray]:
    logits = np.zeros((7, classes))
    logits[:, peak] = np.linspace(0, 9, 7)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {"distances": np.linspace(0, 0.3, 7), "loss": np.linspace(0, 4, 7), "answers": chances}


def changed(channels: int, move: float) -> Figure:
    x = pictures(1, channels)[0]
    sizes = {"spread": move / 10, "local": move}
    answers = {"original": ("a", True), "spread": ("a", True), "local": (ODD, False)}
    x_adv = {name: x + size for name, size in sizes.items()}
    return figures.same_length(x, x_adv, dict.fromkeys(sizes, 1.0), sizes, answers)


def margins(*names: str) -> dict[str, np.ndarray]:
    return {name: np.linspace(-1, place, 7) + np.arange(3)[:, None] for place, name in enumerate(names)}


ANSWERED = {"test rows": (pictures(4), ["a", ODD, "a", "b"])}
TRUTH = ["a", ODD, "b", "b"]
DRAWN: dict[str, Callable[[], Figure]] = {
    "same-length": lambda: changed(1, 0.8),
    "same-length-in-colour": lambda: changed(3, 0.8),
    "same-length-unchanged": lambda: changed(1, 0.0),
    "landscape": lambda: figures.landscape(
        {"chance": walk(3, 0), "attack": walk(3, 2)},
        margins("chance", "gone", "attack"),
        ["a", ODD, "c"],
        "L2 distance",
        "row 3",
    ),
    "landscape-of-many": lambda: figures.landscape(
        {"attack": walk(23, 22)}, margins("attack"), [str(c) for c in range(23)], "L2 distance", "row 3"
    ),
    "landscape-of-a-number": lambda: figures.landscape(
        {"attack": {**walk(2, 1), "answers": np.linspace(300, 100, 7)[:, None]}}, margins("attack"), (), "L2", "row 3"
    ),
    "sticker": lambda: figures.sticker(pictures(1, side=3)[0], ANSWERED, TRUTH),
    "sticker-on-one": lambda: figures.sticker(pictures(1, 3)[0], {"x": (pictures(1, 3), ["a"])}, ["b"]),
    "universal": lambda: figures.universal(pictures(1)[0] - 0.5, {"before": ANSWERED["test rows"], **ANSWERED}, TRUTH),
    "universal-nothing": lambda: figures.universal(0 * pictures(1)[0], ANSWERED, TRUTH),
    "reprogramming": lambda: figures.reprogramming(
        pictures(1)[0], pictures(3, side=4), pictures(3), ["1", "2", "3"], ["1", "2", "4"]
    ),
    "bars": lambda: figures.bars(
        {"PGD": {"digital": 1.0, "photo": 0.3}, ODD: {"digital": 0.0, "photo": 0.7}}, "adversarial"
    ),
    "bar": lambda: figures.bars({"PGD": {"digital": 0.5}}, "adversarial"),
    "transfer": lambda: figures.transfer({ODD: {"mlp": 1.0, "cnn": 0.2}, "mlp": {"mlp": 0.3, "cnn": 0.0}}),
    "transfer-of-one": lambda: figures.transfer({"mlp": {"cnn": 0.5}}),
    "queries": lambda: figures.queries({"square": ([1, 10, 100], [0.0, 0.4, 0.9]), ODD: ([50], [0.2])}),
}


# One of each kind.
KINDS = ["same-length", "landscape", "sticker", "universal", "reprogramming", "bars", "transfer", "queries"]


@pytest.mark.parametrize("name", KINDS)
def test_a_figure_is_the_same_file_every_time(name: str) -> None:
    first = DRAWN[name]()
    assert isinstance(first, Figure)
    assert figure_to_svg(first) == figure_to_svg(DRAWN[name]())


@pytest.mark.parametrize("name", sorted(set(DRAWN) - set(KINDS)))
def test_whatever_else_may_come_is_drawn(name: str) -> None:
    DRAWN[name]().draw_without_rendering()


def texts(figure: Figure) -> str:
    figure.draw_without_rendering()
    parts = [*figure.axes, *(axis for part in figure.subfigs for axis in part.axes)]
    labels = [label.get_text() for axis in parts for label in (*axis.get_xticklabels(), *axis.get_yticklabels())]
    titles = [text for axis in parts for text in (axis.get_title(), axis.get_xlabel(), axis.get_ylabel())]
    inside = [text.get_text() for axis in parts for text in axis.texts]
    legends = [*figure.legends, *(axis.get_legend() for axis in parts if axis.get_legend())]
    return "\n".join(
        [*labels, *titles, *inside, *(text.get_text() for legend in legends for text in legend.get_texts())]
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "same-length",
            [
                "original",
                "spread",
                "local",
                "L2 1.00, L-inf 0.08",
                "L2 1.00, L-inf 0.80",
                "predicted a",
                r"predicted <\$5 & co_\$",
            ],
        ),
        ("landscape", ["along chance", "attack", "probability", "loss", "margin", "L2 distance", r"<\$5 & co_\$"]),
        ("landscape-of-a-number", ["along attack", "prediction"]),
        ("sticker", ["the patch", "test rows", r"<\$5 & co_\$"]),
        ("universal", ["the perturbation (largest 0.", "before"]),
        ("reprogramming", ["the frame", "board", "board in frame"]),
        ("bars", ["PGD", "digital", "photo", "30%", "100%", "adversarial"]),
        ("transfer", ["crafted on", "success rate on", "100%", "20%"]),
        ("queries", ["queries", "attack success rate", "square"]),
    ],
)
def test_a_figure_says_what_it_shows(name: str, says: list[str]) -> None:
    found = texts(DRAWN[name]())
    assert [text for text in says if text not in found] == []


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["mlp", "cnn", "mlp"], ["mlp", "cnn"]),
        (["models/digits/champion", "models/digits/natural"], ["champion", "natural"]),
        (["models/digits/champion", "models/mnist/champion", "mlp"], ["digits/champion", "mnist/champion", "mlp"]),
        (["/b", "/a/b"], ["/b", "a/b"]),
        (["/", "http://127.0.0.1:3000"], ["/", "127.0.0.1:3000"]),
        (["x" * 40], ["…" + "x" * 29]),
        ([f"{end}{'x' * 40}" for end in "ab"], [f"{end}{'x' * 40}" for end in "ab"]),
    ],
)
def test_a_path_is_shortened_to_what_tells_it_apart(names: list[str], shown: list[str]) -> None:
    assert figures.shortest_tails(names) == dict(zip(dict.fromkeys(names), shown, strict=True))


def test_long_paths_leave_the_matrix_its_room() -> None:
    names = [f"/tmp/{'a-long-folder-of-a-test/' * 8}{name}" for name in ("bars.keras", "champion")]
    figure = figures.transfer({name: dict.fromkeys(names, 0.5) for name in names})
    with warnings.catch_warnings():
        # Matplotlib's word for axes that the labels leave no room.
        warnings.simplefilter("error", UserWarning)
        figure.draw_without_rendering()
    box = figure.axes[0].get_position()
    assert min(box.width, box.height) > 0.3


def test_right_answers_are_green_and_wrong_ones_red() -> None:
    axes = [axis for part in DRAWN["sticker"]().subfigs for axis in part.axes][1:]
    assert [axis.title.get_color() == figures.RIGHT for axis in axes] == [True, True, False, True]


def test_classes_that_are_never_likely_are_not_drawn() -> None:
    lines = DRAWN["landscape-of-many"]().axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["22"]

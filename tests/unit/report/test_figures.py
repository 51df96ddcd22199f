from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from redoubt.report import figures
from redoubt.report.svg import figure_to_svg

# Marks that matplotlib would take for formulas, and HTML for its own.
ODD = ("<$5 & co_$", "b_^$", "50 %")


def shown(channels: int, x_adv: float) -> Figure:
    x = np.random.default_rng(0).random((4, 6, 5, channels), dtype=np.float32)
    attacked = {"natural": x + np.float32(x_adv), "adversarial": x}
    answers = {"natural": ["a"] * 4, "adversarial": list("abab"), "truth": [*ODD, "a"]}
    return figures.pictures(x, attacked, answers)


DRAWN: dict[str, Callable[[], Figure]] = {
    "pictures": lambda: shown(1, 0.2),
    "pictures-in-colour": lambda: shown(3, -0.2),
    "pictures-unchanged": lambda: shown(1, 0.0),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_the_same_file_every_time(name: str) -> None:
    assert figure_to_svg(DRAWN[name]()) == figure_to_svg(DRAWN[name]())


def test_pictures_say_what_they_show() -> None:
    found = {axis.get_ylabel() for axis in DRAWN["pictures"]().axes}
    assert found == {"original", "perturbation", "natural", "adversarial", ""}

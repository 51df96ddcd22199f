"""Drawings inside a page: shorter, and the same to look at."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.report.figures import canvas
from redoubt.report.inline_svg import Drawings, relative
from redoubt.report.svg import figure_to_svg

PLACE = st.tuples(st.floats(-700, 700), st.floats(-700, 700))


def followed(d: str) -> list[tuple[float, float]]:
    """The points of a path of relative moves and lines, one after another."""
    at, start, points = np.zeros(2), np.zeros(2), []
    for command, rest in re.findall(r"([mlz])([^mlz]*)", d):
        if command == "z":
            at = start
            continue
        numbers = [float(each) for each in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", rest)]
        assert len(numbers) % 2 == 0
        for step in np.reshape(numbers, (-1, 2)):
            at = at + step
            points.append((float(at[0]), float(at[1])))
            start = at if command == "m" else start
    return points


@given(st.lists(st.lists(PLACE, min_size=2, max_size=40), min_size=1, max_size=4), st.sampled_from([1, 2]))
def test_no_point_strays_by_more_than_half_of_the_last_digit(
    paths: list[list[tuple[float, float]]], digits: int
) -> None:
    told = "".join(
        "".join(f"{'L' if index else 'M'} {x:.6f} {y:.6f} \n" for index, (x, y) in enumerate(path)) + "z\n"
        for path in paths
    )
    whole = [(round(x, digits), round(y, digits)) for path in paths for x, y in path]
    # Of points at the same place in a row one may be left.
    kept = [each for index, each in enumerate(whole) if index == 0 or each != whole[index - 1]]
    found = followed(relative(told, digits))
    distinct = [
        each for index, each in enumerate(found) if index == 0 or np.hypot(*np.subtract(each, found[index - 1])) > 1e-9
    ]
    assert len(distinct) == len(kept)
    assert np.abs(np.subtract(distinct, kept)).max() <= 1.01 * 10**-digits


def test_curves_and_dots_of_no_length_stay() -> None:
    assert relative("M 1 1 Q 2 2 3 1 C 3 3 4 4 5 1 z M 7 7 L 7 7", 1) == "m1 1q1 1 2 0c0 2 1 3 2 0zm6 6l0 0"


def test_two_drawings_share_letters_and_styles_and_no_name() -> None:
    figure, axes = canvas(1, 1, 3, 2)
    axes[0, 0].plot(np.linspace(0, 1, 200), np.linspace(0, 1, 200) ** 2, label="square")
    axes[0, 0].scatter([0.2, 0.4], [0.5, 0.5])
    axes[0, 0].legend()
    svg, drawings = figure_to_svg(figure), Drawings()
    first, second, shared = drawings.add(svg, "a <b>"), drawings.add(svg, "b"), drawings.shared()
    assert len(first) + len(second) < len(svg)
    assert 'aria-label="a &lt;b&gt;"' in first
    names = re.findall(r' id="([^"]+)"', first + second + shared)
    assert len(names) == len(set(names))
    assert set(re.findall(r'href="#([^"]+)"', first + second)) <= set(names)
    assert set(re.findall(r"url\(#([^)]+)\)", first + second)) <= set(names)
    assert set(re.findall(r'class="(s\d+)"', first)) == set(re.findall(r'class="(s\d+)"', second))


@pytest.mark.parametrize("pixels", [True, False])
def test_a_drawing_with_pixels_is_marked_since_it_is_not_turned_dark(pixels: bool) -> None:
    figure, axes = canvas(1, 1, 2, 2)
    axes[0, 0].imshow(np.eye(4)) if pixels else axes[0, 0].plot([1, 2])
    assert ('class="drawn pixels"' in Drawings().add(figure_to_svg(figure), "a")) == pixels


def test_the_page_shows_through_where_nothing_is_drawn() -> None:
    figure, axes = canvas(1, 1, 3, 2)
    axes[0, 0].scatter([0.2], [0.5], color="white")
    axes[0, 0].bar([1], [1], color="#ffffff", edgecolor="black")
    drawings = Drawings()
    page = drawings.add(figure_to_svg(figure), "figure") + drawings.shared()
    assert not re.search(r"\{fill:#ffffff\}", page)
    assert page.count("fill:#ffffff") == 2

"""Labels in another language: text where the outlines were, and nothing else moved."""

import re
from xml.etree.ElementTree import Element

import pytest

from redoubt.report.figures import canvas
from redoubt.report.inline_svg import Drawings
from redoubt.report.relabel import SVG, labels, read_drawing, relabel
from redoubt.report.svg import figure_to_svg

WORDS = {"updates": "更新次数", "loss": "损失", "training": "训练", "zero": "第一", "Title": "标题"}


@pytest.fixture
def svg() -> str:
    figure, axes = canvas(1, 1, 4, 3)
    axis = axes[0, 0]
    axis.plot([0, 1], [0, 1], label="training")
    axis.set(xlabel="updates", ylabel="loss", title="Title")
    axis.set_yticks([0, 1], ["zero", "training set"])
    axis.legend()
    return figure_to_svg(figure)


def say(label: str) -> str:
    return WORDS.get(label, label)


def texts(root: Element) -> dict[str, Element]:
    return {each.text or "": each for each in root.iter(f"{SVG}text")}


def test_every_label_is_found(svg: str) -> None:
    assert {*WORDS, "training set"} <= set(labels(read_drawing(svg)))


def test_known_labels_are_text_and_the_others_stay_outlines(svg: str) -> None:
    root = read_drawing(svg)
    before = len(list(root.iter(f"{SVG}use")))
    relabel(root, say)
    assert set(texts(root)) == set(WORDS.values())
    letters = sum(map(len, WORDS))
    assert len(list(root.iter(f"{SVG}use"))) == before - letters


@pytest.mark.parametrize(
    ("said", "anchor"),
    [("更新次数", "middle"), ("损失", "middle"), ("标题", "middle"), ("第一", "end"), ("训练", "start")],
)
def test_a_label_keeps_the_end_that_something_stands_beside(svg: str, said: str, anchor: str) -> None:
    root = read_drawing(svg)
    relabel(root, say)
    text = texts(root)[said]
    assert f"text-anchor: {anchor}" in text.get("style", "")
    assert (float(text.get("x", "")) > 0) == (anchor != "start")


def test_a_page_keeps_the_letters_that_other_labels_are_made_of(svg: str) -> None:
    drawings = Drawings(say)
    page = drawings.add(svg, "figure") + drawings.shared()
    assert ">更新次数</text>" in page
    used = set(re.findall(r'href="#([^"]+)"', page))
    assert used
    assert used <= set(re.findall(r' id="([^"]+)"', page))


def test_words_are_escaped(svg: str) -> None:
    page = Drawings(lambda label: "a < b & c" if label == "loss" else label).add(svg, "figure")
    assert ">a &lt; b &amp; c</text>" in page

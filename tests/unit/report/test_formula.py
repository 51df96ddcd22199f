"""Formulas as MathML and as outlines."""

import re
from xml.etree import ElementTree

import pytest

from redoubt.report.formula import EM, Outlines, to_mathml
from redoubt.studies.catalogue import CHAPTERS, find

FORMULAS = [each.tex for _, names in CHAPTERS.values() for name in names for each in find(name).formulas]
SUM = r"\sum_{i=1}^{n} \frac{x_i^2}{\sqrt{2\pi}}"


@pytest.mark.parametrize("tex", FORMULAS)
def test_every_formula_of_the_course_is_mathml_without_a_rest_of_tex(tex: str) -> None:
    math = ElementTree.fromstring(to_mathml(tex))
    words = "".join(math.itertext())
    assert words
    assert not set(words) & set("\\_{}^") - ({"{", "}"} if r"\{" in tex else set()) - {"^"}
    assert math.attrib["displaystyle"] == "true"


def test_words_are_one_identifier_and_limits_stand_below() -> None:
    math = str(to_mathml(r"\max_x \lambda_{max} \mathrm{softmax}(x) x_{ij}"))
    assert "<mi>softmax</mi>" in math
    assert "<mi>max</mi>" in math
    assert re.search(r"<munder><mo>max</mo><mi>x</mi></munder>", math)


def test_a_command_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="unheard"):
        to_mathml(r"\unheard x")


def test_an_outline_lies_inside_its_frame_and_its_letters_stand_once() -> None:
    outlines = Outlines()
    first, second = outlines.draw(SUM), outlines.draw(r"x + x")
    svg = ElementTree.fromstring(first)
    left, top, width, height = (float(part) for part in svg.attrib["viewBox"].split())
    places = [tuple(map(float, found)) for found in re.findall(r"translate\((-?\d+) (-?\d+)\)", first)]
    assert places
    assert all(left <= x <= left + width and -(top + height) <= y <= -top for x, y in places)
    assert 0.05 < height / EM < 5
    letters = outlines.glyphs()
    names = re.findall(r'id="([^"]+)"', letters)
    assert len(names) == len(set(names))
    assert set(re.findall(r'href="#([^"]+)"', first + second)) == set(names)


def test_an_outline_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="frac"):
        Outlines().draw(r"\frac{a}")

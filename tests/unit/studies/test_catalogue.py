"""Every study: words in both languages, formulas that render, figures, finite numbers, the same result again."""

import math

import pytest
from matplotlib import mathtext
from matplotlib.font_manager import FontProperties

from redoubt.report.figure_words import CHINESE, chinese, is_known
from redoubt.report.relabel import labels, read_drawing
from redoubt.report.svg import figure_to_svg
from redoubt.studies import catalogue
from redoubt.studies.contract import StudyError, Text
from redoubt.studies.given import Given
from tests.unit.studies.conftest import Run


def is_said(text: Text) -> bool:
    chinese = any("\u4e00" <= letter <= "\u9fff" for letter in text.zh)
    return bool(text.en.strip()) and chinese


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_a_study_says_what_it_asks_and_what_it_found(name: str, quick: Run) -> None:
    study, result = catalogue.find(name), quick(name)
    said = [study.title, study.question, result.origin, result.takeaway]
    said += [formula.says for formula in study.formulas]
    said += [table.caption for table in result.tables] + [picture.caption for picture in result.pictures.values()]
    for text in said:
        assert is_said(text), text
    for text in (result.takeaway.en, result.takeaway.zh):
        assert sum(text.count(stop) for stop in (". ", "。")) + text.rstrip().endswith(".") == 2, text
    assert 1 <= len(result.pictures) <= 2
    assert result.numbers
    assert all(math.isfinite(number) for number in result.numbers.values())
    for table in result.tables:
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_every_word_inside_a_figure_is_known_in_chinese(name: str, quick: Run) -> None:
    said = {
        label
        for picture in quick(name).pictures.values()
        for label in labels(read_drawing(figure_to_svg(picture.figure)))
    }
    assert said
    assert not [label for label in said if not is_known(label)]


@pytest.mark.parametrize("english", CHINESE)
def test_a_translation_is_chinese_and_keeps_the_numbers(english: str) -> None:
    assert english.count("#") == CHINESE[english].count("#")
    label = english.replace("#", "1,234.5")
    assert is_known(label)
    assert chinese(label) != label
    assert chinese(label).count("1,234.5") == english.count("#")


def test_a_word_that_nobody_translated_is_noticed_and_left() -> None:
    assert not is_known("words of 3 new kinds")
    assert chinese("words of 3 new kinds") == "words of 3 new kinds"
    assert is_known("1e-5")
    assert is_known(r"$\mathrm{weights}$ 3")


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_formulas_can_be_drawn(name: str) -> None:
    parser = mathtext.MathTextParser("path")
    for formula in catalogue.find(name).formulas:
        assert parser.parse(f"${formula.tex}$", prop=FontProperties(size=12)).width > 0


@pytest.mark.parametrize("name", ["species", "universes", "logistic"])
def test_the_same_seed_gives_the_same_result(name: str, quick: Run) -> None:
    study = catalogue.find(name)
    assert study.run(Given(course=False, seed=20), study.sizes(), 20).numbers == quick(name).numbers


def test_an_unknown_study_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(StudyError, match="no study 'polynomials'; did you mean 'polynomial'"):
        catalogue.find("polynomials")

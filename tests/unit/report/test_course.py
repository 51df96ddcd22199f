"""The course's pages: both languages, nothing from elsewhere."""

import re
from pathlib import Path

import pytest

from redoubt.report.course import LANGUAGES, course_page
from redoubt.report.figures import canvas
from redoubt.studies.contract import Formula, Picture, Result, Study, Table, Text
from redoubt.studies.error.estimators import Sizes
from redoubt.studies.files import write

CHAPTERS = [
    ({"name": "first", "en": "First", "zh": "第一章"}, ["tiny", "not-run"]),
    ({"name": "second", "en": "Second", "zh": "第二章"}, ["nor-this"]),
]


def some_text(word: str) -> Text:
    return Text(f"{word} & `code` <b>", f"{word}，中文")


def nothing(*_: object) -> Result:
    raise AssertionError("a page is made of files")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study = Study(
        title=some_text("Title"),
        question=Text("One.\n\nTwo.", "一。\n\n二。"),
        formulas=[Formula(r"\frac{a}{b}", some_text("Ratio"))],
        sizes=Sizes,
        run=nothing,
    )
    result = Result(
        origin=some_text("Origin"),
        numbers={"a/b": 0.5},
        tables=[
            Table(some_text("Table"), [Text("name", "名称"), Text("value", "值")], [[Text("one", "一"), 0.123456]])
        ],
        pictures={"drawn": Picture(canvas(1, 1, 2, 2)[0], some_text("Caption"))},
        takeaway=some_text("Takeaway"),
    )
    write(tmp_path / "tiny", study, result, {"name": "tiny", "seed": 3, "sizes": {"draws": 7}})
    return tmp_path


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_holds_all_that_a_study_says_in_its_language(folder: Path, language: str) -> None:
    page = course_page(language, CHAPTERS, folder)
    for word in ("Title", "Ratio", "Origin", "Table", "Caption", "Takeaway"):
        assert f"{word}{' &amp; <code>code</code> &lt;b&gt;' if language == 'en' else '，中文'}" in page
    assert ("<p>One.</p>" in page) == (language == "en")
    assert ("<td>一</td><td>0.1235</td>" in page) == (language == "zh")
    assert "<code>draws=7</code>" in page
    assert "../src/redoubt/studies/first/tiny.py" in page


def test_what_was_not_run_is_left_out(folder: Path) -> None:
    page = course_page("en", CHAPTERS, folder)
    assert "not-run" not in page
    assert "Second" not in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_page_leads_to_the_other_and_loads_nothing(folder: Path, language: str) -> None:
    page = course_page(language, CHAPTERS, folder)
    assert set(re.findall(r'href="([^"#]+)"', page)) == {
        "index.html",
        *(file for other, file in LANGUAGES.items() if other != language),
        "../src/redoubt/studies/first/tiny.py",
    }
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]+)"', page))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_holds_each_drawing_and_formula_once_and_no_picture(folder: Path, language: str) -> None:
    page = course_page(language, CHAPTERS, folder)
    assert page.count('<svg class="drawn') == 1
    assert page.count("<math ") == 1
    assert "<img" not in page
    links = set(re.findall(r'href="#([^"]+)"', page)) - {"tiny", "top"}
    assert links
    assert links <= set(re.findall(r' id="([^"]+)"', page))
    used = {name for names in re.findall(r' class="(s\d+)"', page) for name in names.split()}
    assert used == set(re.findall(r"\.(s\d+)\{", page))

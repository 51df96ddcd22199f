"""The course's pages in a real headless Chromium, on a wide screen and on a phone."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import Browser

from benchmarks.screenshots import CHROMIUM, browser
from redoubt.report.course import LANGUAGES, course_page
from redoubt.studies.catalogue import CHAPTERS, find
from redoubt.studies.files import write
from redoubt.studies.given import Given

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(180),
]
# Of the widest formulas, tables and figures, none with a network to train.
STUDIES = ("estimators", "species", "generative")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course")
    for name in STUDIES:
        study = find(name)
        result = study.run(Given(course=False, seed=20), study.sizes(), 20)
        write(folder / "studies" / name, study, result, {"name": name, "seed": 20, "sizes": {}})
    chapters = [(asdict(title) | {"name": chapter}, names) for chapter, (title, names) in CHAPTERS.items()]
    for language, page in LANGUAGES.items():
        (folder / page).write_text(course_page(language, chapters, folder / "studies"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("width", [1100, 360])
@pytest.mark.parametrize("page", LANGUAGES.values())
def test_a_page_fits_the_screen_and_shows_every_picture(pages: Path, chromium: Browser, page: str, width: int) -> None:
    opened = chromium.new_page(viewport={"width": width, "height": 800})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    opened.goto((pages / page).as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert opened.locator("section").count() == len(STUDIES)
    assert opened.locator("section .takeaway").count() == len(STUDIES)
    assert not said
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_either_colour_scheme(
    pages: Path, chromium: Browser, scheme: Literal["light", "dark"]
) -> None:
    opened = chromium.new_page(color_scheme=scheme)
    opened.goto((pages / "course.html").as_uri())
    paper = luminance(opened.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (paper < 0.1) == (scheme == "dark")
    for what in ("body", "a", ".note", "th"):
        text = luminance(opened.evaluate(f"getComputedStyle(document.querySelector('{what}')).color"))
        # Of WCAG 2.2, for text of this size.
        assert (max(text, paper) + 0.05) / (min(text, paper) + 0.05) >= 4.5
    opened.close()


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(...)`, by WCAG."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_a_click_changes_the_language(pages: Path, chromium: Browser) -> None:
    opened = chromium.new_page()
    opened.goto((pages / LANGUAGES["en"]).as_uri())
    opened.get_by_role("link", name="中文").click()
    assert opened.url.endswith(LANGUAGES["zh"])
    assert "课程" in opened.title()
    opened.close()

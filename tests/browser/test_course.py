"""The course's pages in a real headless Chromium, on a wide screen and on a phone."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from benchmarks.screenshots import CHROMIUM, browser
from redoubt.attacks.core.gradient import fgsm
from redoubt.report.course import LANGUAGES, course_page
from redoubt.report.page import render
from redoubt.studies.attack.attacks_pages import accuracy, problem
from redoubt.studies.attack.fgsm_lab import lab as fgsm_lab
from redoubt.studies.catalogue import CHAPTERS, find
from redoubt.studies.classification import cascade, generative
from redoubt.studies.contract import Lab
from redoubt.studies.convolution import convolution
from redoubt.studies.digit_networks import MLP, first, learn, new_network
from redoubt.studies.files import write
from redoubt.studies.given import Given
from redoubt.studies.regression import polynomial, regularization

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(180),
]
# Of the widest formulas, tables and figures, none with a network to train.
STUDIES = ("estimators", "species", "generative", "learning_rate")


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
    assert opened.locator("svg.drawn").count() > len(STUDIES)
    assert opened.evaluate("[...document.querySelectorAll('svg.drawn')].every(each => each.getBBox().width > 100)")
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


def test_formulas_are_set_by_the_browser_and_their_outlines_wait(pages: Path, chromium: Browser) -> None:
    opened = chromium.new_page()
    opened.goto((pages / "course.html").as_uri())
    seen = "each => each.getBoundingClientRect().height"
    heights = opened.evaluate(f"[...document.querySelectorAll('.formula math')].map({seen})")
    assert len(heights) > len(STUDIES)
    assert min(heights) > 15
    assert opened.evaluate(f"Math.max(...[...document.querySelectorAll('.formula svg')].map({seen}))") == 0
    opened.add_style_tag(
        content=".formula math { display: none !important; } .formula svg { display: block !important; }"
    )
    assert opened.evaluate(f"Math.min(...[...document.querySelectorAll('.formula svg')].map({seen}))") > 15
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


def test_labels_inside_figures_are_chinese_on_the_chinese_page_and_stay_in_their_figure(
    pages: Path, chromium: Browser
) -> None:
    opened = chromium.new_page()
    opened.goto((pages / LANGUAGES["zh"]).as_uri())
    said = opened.locator("svg.drawn text").all_text_contents()
    assert {"进化后 CP", "学习率 / 极限", "水系", "样本数 N"} <= set(said)
    outside = opened.evaluate(
        "[...document.querySelectorAll('svg.drawn text')].filter(text => {"
        " const [a, b] = [text, text.closest('svg')].map(each => each.getBoundingClientRect());"
        " return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;"
        "}).map(text => text.textContent)"
    )
    assert not outside
    opened.close()


def set_slider(opened: Page, at: int, value: float) -> str:
    """Move a slider of the first lab; what the lab says then."""
    lab = opened.locator(".lab").first
    lab.locator("input").nth(at).evaluate(
        f"(input) => {{ input.value = {value}; input.dispatchEvent(new Event('input')); }}"
    )
    return lab.locator("output").inner_text()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lab_finds_what_the_study_found(pages: Path, chromium: Browser, language: str) -> None:
    opened = chromium.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto((pages / LANGUAGES[language]).as_uri())
    found = json.loads((pages / "studies/learning_rate/result.json").read_text(encoding="utf-8"))["numbers"]
    set_slider(opened, 1, 60)
    for name, share in (("too_small", 0.003), ("right", 0.3), ("diverging", 1.1)):
        said = set_slider(opened, 0, round(float(np.log10(share)), 2))
        left = float(said.split(":")[-1])
        assert np.log10(left) == pytest.approx(np.log10(found[f"left_constant/{name}"]), abs=0.5)
        assert ("diverges" in said or "发散" in said) == (share > 1)
    ink = opened.evaluate(
        "(() => { const c = document.querySelector('.lab canvas');"
        " return new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size; })()"
    )
    assert ink > 20, "nothing is drawn"
    assert not errors
    opened.close()


def lab_alone(chromium: Browser, lab: Lab, language: str = "en") -> Page:
    """A page with one thing to try on it, which must draw something."""
    opened = chromium.new_page()
    found = html.escape(json.dumps(lab.found))
    labs = render("course_labs.html")
    opened.set_content(
        f"<html lang='{language}'><style>:root {{ --ink: #111; --accent: #00f; --warm: #c40; --good: #080; "
        f"--line: #ddd; --quiet: #666 }}</style><body><div class='lab' data-kind='{lab.kind}' "
        f"data-found='{found}'></div>{labs}"
    )
    ink = "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    assert opened.locator("canvas").evaluate(f"c => new Set({ink}).size") > 20, "nothing is drawn"
    return opened


@pytest.mark.parametrize(("blend", "kind"), [(0, "separate"), (100, "shared")])
def test_the_gaussians_of_the_lab_are_those_of_the_study(chromium: Browser, blend: int, kind: str) -> None:
    types = Given(course=False, seed=20).types()
    expected = generative.gaussians_accuracy(types, generative.PAIR)
    opened = lab_alone(chromium, generative._lab(types))
    said = set_slider(opened, 0, blend)
    found = [float(each) for each in re.findall(r"([\d.]+) %", said)]
    assert found == pytest.approx([100 * expected[f"{half}/2_{kind}"] for half in ("train", "test")], abs=0.051)
    assert ("straight" in said) == (kind == "shared")
    opened.close()


def test_the_cascade_of_the_lab_learns_as_that_of_the_study(chromium: Browser) -> None:
    begun = cascade.begin(np.random.default_rng(20), 2, cascade.TRIED)
    _, losses = cascade.learn(begun, cascade.Sizes(steps=801))
    opened = lab_alone(chromium, cascade._lab(begun), "zh")
    for start in range(cascade.TRIED):
        set_slider(opened, 0, start + 1)
        for updates in (0, 100, 800):
            said = set_slider(opened, 1, updates)
            assert float(said.split(":")[-1]) == pytest.approx(losses[updates, start], rel=2e-3)
    opened.close()


@pytest.mark.parametrize("which", range(5))
def test_the_map_of_the_lab_is_that_of_the_study(chromium: Browser, which: int) -> None:
    lab = convolution.LAB
    kernel = np.array(lab.found["filters"][which])
    opened = lab_alone(chromium, lab)
    for weight in (None, 3.0):
        said = set_slider(opened, 0, which + 1)
        if weight is not None:
            kernel = kernel.copy()
            kernel[1, 2] = weight
            opened.get_by_label("2, 3").fill(f"{weight:g}")
            said = opened.locator(".lab output").inner_text()
        expected = convolution.convolve(convolution.IMAGE[None, ..., None], kernel[..., None, None])[0, ..., 0]
        found = [[float(each) for each in row.split()] for row in said.split(":")[1].split("/")]
        assert np.array_equal(found, expected)
    opened.close()


def test_the_shrinkage_of_the_lab_is_the_ridge_regression_of_the_study(chromium: Browser) -> None:
    evolutions = Given(course=False, seed=20).evolutions()
    train, test = evolutions.train, evolutions.test
    opened = lab_alone(chromium, regularization._lab(train, test))
    weights = regularization.path(train)
    for index, strength in enumerate(regularization.LAMBDAS):
        if not strength:
            continue
        said = set_slider(opened, 0, float(np.log10(strength)))
        found = [float(each) for each in re.findall(r"\d+\.\d\d", said)[-2:]]
        expected = [
            polynomial.lees_error(regularization.answers(weights[:, index], rows) - regularization.after(rows))
            for rows in (train, test)
        ]
        assert found == pytest.approx(expected, abs=0.006, rel=1e-4)
    opened.close()


def test_the_polynomials_of_the_lab_are_those_of_the_study(chromium: Browser) -> None:
    """Fitted in the page from the study's own points; the study's own fit is NumPy's."""
    evolutions = Given(course=False, seed=20).evolutions()
    opened = lab_alone(chromium, polynomial._lab(evolutions))
    for degree in polynomial.DEGREES:
        said = set_slider(opened, 0, degree)
        errors = [float(each) for each in re.findall(r"\d+\.\d\d", said)]
        _, expected = polynomial.fit(evolutions, degree)
        assert errors == pytest.approx(
            [polynomial.lees_error(expected[part]) for part in ("train", "test")], rel=1e-3, abs=0.01
        )
    assert float(re.findall(r"\d+\.\d\d", set_slider(opened, 0, 9))[0]) < 0.05
    opened.close()


def test_the_steps_of_the_lab_are_those_of_fgsm(chromium: Browser) -> None:
    train, batch = first(Given(course=False, seed=20).digits(), 300, 40)
    network = learn(new_network(MLP, train.x, 20), train, 8, 64, 20)
    lab = fgsm_lab(network, batch)
    threat, opened = problem(network), lab_alone(chromium, lab)
    rows = [
        int(np.flatnonzero((np.rint(batch.x[..., 0] * 16) == image).all(axis=(1, 2)))[0])
        for image in lab.found["images"]
    ]
    for step in (0, 10, 30):
        eps = step / 100
        x_adv = fgsm()(threat, batch.x, batch.y, eps=eps, seed=0) if step else batch.x
        answers = threat.predict(x_adv).argmax(axis=1)
        for number, row in enumerate(rows):
            set_slider(opened, 0, number + 1)
            said = set_slider(opened, 1, step)
            assert f"predicted {answers[row]}," in said
            assert ("correct" in said) == (answers[row] == batch.y[row])
        assert f"{100 * accuracy(threat, x_adv, batch.y):.1f} %" in said
    assert f"{0.3 * 16:g} on a grey scale of 0 to 16" in said
    opened.close()

"""The report in a real headless Chromium: fits every screen, and its charts, search and links answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.screenshots import CHROMIUM, browser
from tests.support import report

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file, where nothing lies beside it."""
    path = tmp_path_factory.mktemp("sent") / "index.html"
    path.write_text(report.page("bars", "stripes"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(sent: Path, chromium: Browser) -> Iterator[Page]:
    opened = chromium.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(sent.as_uri())
    yield opened
    opened.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_it_fits_the_screen_in_either_colour_scheme(
    sent: Path, chromium: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    opened = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(sent.as_uri())
    opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    too_wide = "[...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth + 1).length"
    assert opened.evaluate(too_wide) == 0
    assert opened.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    dark = opened.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert not errors
    opened.close()


def test_a_chart_shows_values_and_drops_a_series(page: Page) -> None:
    figure = page.locator("#bars .charts").first
    figure.scroll_into_view_if_needed()
    box = figure.locator(".chart svg").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2)
    assert "L-inf eps 0.1" in figure.locator(".tip").inner_text()
    assert "adaptive 80.0 % (70.0 % to 90.0 %)" in figure.locator(".tip").inner_text()
    page.mouse.move(0, 0)
    assert figure.locator(".tip").count() == 0
    figure.get_by_role("button", name="adaptive").click()
    assert not figure.locator(".chart g[data-series=adaptive]").first.is_visible()
    assert figure.locator(".chart g[data-series=undefended]").first.is_visible()


def test_a_chart_of_names_shows_the_name_under_the_pointer(page: Page) -> None:
    figure = page.locator("[data-name=bars-ablation]")
    figure.scroll_into_view_if_needed()
    box = figure.locator(".chart svg").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    assert figure.locator(".tip").inner_text().splitlines()[0] == "all"
    assert "adaptive 70.0 % (60.0 % to 80.0 %)" in figure.locator(".tip").inner_text()
    inside = (
        "svg => [...svg.querySelectorAll('text')].every(text => {"
        " const [a, b] = [text, svg].map(each => each.getBoundingClientRect());"
        " return a.left >= b.left - 1 && a.bottom <= b.bottom + 1; })"
    )
    assert figure.locator(".chart svg").first.evaluate(inside)


def test_what_is_wider_than_a_phone_says_so_until_its_end_is_seen(sent: Path, chromium: Browser) -> None:
    opened = chromium.new_page(viewport={"width": 390, "height": 844})
    opened.goto(sent.as_uri())
    row, hint = opened.locator(".charts .row").nth(2), opened.locator(".charts .row + .sideways").nth(2)
    row.scroll_into_view_if_needed()
    assert hint.is_visible()
    assert "gradient" in row.evaluate("row => getComputedStyle(row).maskImage")
    row.evaluate("row => { row.scrollLeft = row.scrollWidth; }")
    opened.wait_for_function("row => !row.classList.contains('more-right')", arg=row.element_handle())
    assert not hint.is_visible()
    opened.close()


def test_the_numbers_of_a_chart_are_saved(page: Page, tmp_path: Path) -> None:
    with page.expect_download() as saved:
        page.locator("#bars .charts .save").first.click()
    assert saved.value.suggested_filename == "bars-robust-accuracy.csv"
    saved.value.save_as(tmp_path / "saved.csv")
    lines = (tmp_path / "saved.csv").read_text().splitlines()
    assert lines[0] == "chart,series,x axis,x,y axis,y,low,high"
    assert '"natural, L-inf",adaptive,L-inf eps,0.1,accuracy,0.8,0.7,0.9' in lines


def test_search_leaves_what_holds_the_words_and_opens_it(page: Page) -> None:
    page.get_by_label("Search").fill("none is zero")
    assert page.locator(".search output").inner_text() == "12 matches"
    assert page.locator("#bars-checks").is_visible()
    assert page.locator(".block:has(#bars-checks) details td").first.is_visible()
    assert not page.locator("#bars-robust").is_visible()
    page.get_by_label("Search").fill("")
    assert page.locator("#bars-robust").is_visible()
    assert not page.locator(".block:has(#bars-checks) details td").first.is_visible()


def test_a_phone_shows_the_answer_and_folds_the_rest_until_it_is_asked_for(sent: Path, chromium: Browser) -> None:
    opened = chromium.new_page(viewport={"width": 390, "height": 844})
    opened.goto(sent.as_uri())
    folds = opened.locator("details.block")
    assert folds.count() == 14
    assert opened.locator("details.block[open]").count() == 0
    assert opened.locator("#bars-robust").is_visible()
    opened.evaluate("scrollTo(0, 3000)")
    opened.locator("nav summary").click()
    opened.locator("nav a[href='#stripes-ablation']").click()
    assert not opened.locator("nav details").evaluate("details => details.open"), "the contents cover what was chosen"
    ablation = opened.locator(".block:has(#stripes-ablation)")
    assert ablation.locator(".chart").first.is_visible()
    assert opened.locator("details.block[open]").count() == 1
    assert ablation.locator("td.bar").first.evaluate("cell => getComputedStyle(cell).backgroundImage") != "none"
    opened.close()


def test_a_link_to_a_folded_part_opens_it(sent: Path, chromium: Browser) -> None:
    opened = chromium.new_page(viewport={"width": 390, "height": 844})
    opened.goto(f"{sent.as_uri()}#bars-checks")
    assert opened.locator(".block:has(#bars-checks) summary").nth(1).is_visible()
    opened.close()


def test_neighbours_are_linked_where_there_are_any(page: Page, sent: Path, chromium: Browser, tmp_path: Path) -> None:
    assert page.locator(".beside a").count() == 0
    (tmp_path / "index.html").write_text(sent.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "timings.js").write_text('timings = {"bars": {"train": {"seconds": 3, "cores": 2}}};')
    beside = chromium.new_page()
    beside.goto((tmp_path / "index.html").as_uri())
    assert beside.locator(".beside a").first.get_attribute("href") == "course.html"
    assert beside.locator(".time:visible").inner_text() == "Time taken: 3 s on 2 cores"
    beside.close()

"""The data docs in a real headless Chromium: they fit every screen, draw what they show, and load nothing."""

from pathlib import Path

import pytest

from benchmarks.screenshots import CHROMIUM, browser
from redoubt.data import sources
from redoubt.data.expectations import validate
from redoubt.params.load import load

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(120),
]


@pytest.mark.parametrize("task", ["digits", "diagnosis"])
def test_they_fit_the_screen_and_draw_what_they_show(task: str, project: Path, tmp_path: Path) -> None:
    tasks = load(project / "params.yaml").tasks
    page = tmp_path / "index.html"
    page.write_text(validate(sources.fetch(tasks[task], seed=20), tasks[task]).page, encoding="utf-8")
    asked: list[str] = []
    with browser() as chromium:
        for width in (390, 1280):
            opened = chromium.new_page(viewport={"width": width, "height": 844})
            opened.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
            opened.goto(page.as_uri())
            opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            assert opened.evaluate("document.documentElement.scrollWidth") <= width
            assert opened.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
            bars = opened.locator("svg rect")
            assert bars.count() > 10
            assert bars.first.evaluate("bar => getComputedStyle(bar).fill") == "rgb(29, 78, 216)"
            lengths = [
                each.evaluate("bar => bar.getBoundingClientRect().width") for each in opened.locator(".counts i").all()
            ]
            assert min(lengths) > 0
            assert opened.get_by_role("link", name=f"Report on {task}").is_visible()
            opened.close()
    assert not asked

"""The leaderboard's page and the comparison's in a real headless Chromium, wide and on a phone."""

from pathlib import Path

import pytest

from benchmarks.screenshots import CHROMIUM, browser
from redoubt.cli import main
from tests.support.closure import PROJECT

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(120),
]
WORDS = {
    "leaderboard": ["leaderboard", str(PROJECT / "zoo")],
    "compare": ["compare", str(PROJECT / "zoo/mnist-adversarial"), str(PROJECT / "zoo/mnist-certified")],
}


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("width", [1100, 390])
def test_every_figure_is_seen_without_scrolling_sideways(tmp_path: Path, name: str, width: int) -> None:
    page = tmp_path / "page.html"
    assert main([*WORDS[name], "--html", str(page)]) == 0
    with browser() as opened:
        seen = opened.new_page(viewport={"width": width, "height": 844})
        errors: list[str] = []
        seen.on("pageerror", lambda error: errors.append(str(error)))
        seen.goto(page.as_uri())
        assert seen.evaluate("document.documentElement.scrollWidth") <= width
        hidden = (
            "[...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth + 1).length"
        )
        assert seen.evaluate(hidden) == 0
        assert "93.3 %" in seen.locator("tbody").first.inner_text()
        assert not errors

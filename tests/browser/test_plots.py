"""The page of `dvc plots show` and `diff` in a real headless Chromium: lines, and nothing from another host."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from benchmarks.screenshots import CHROMIUM, browser

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(180),
]

CURVE = "eps,noise,undefended,adaptive\n0.0,0.96,0.96,0.93\n0.04,0.95,,{middle}\n0.08,0.94,0.2,0.05\n"
HISTORY = "epoch,loss,val_loss,accuracy\n1,1.5,1.6,0.5\n2,0.4,0.6,0.9\n"
CURVES, LEARNING = "reports/digits/curves/natural-linf.csv", "reports/digits/history/a.csv"
FILES = {
    LEARNING: {"x": "epoch", "y": "val_loss", "y_label": "loss"},
    CURVES: {"x": "eps", "y": "adaptive", "x_label": "L-inf eps", "y_label": "robust accuracy"},
}


def dvc(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, project: Path) -> dict[str, Path]:
    """What both commands write with the project's own settings."""
    folder = tmp_path_factory.mktemp("plots")
    plots = [{path: axes} for path, axes in FILES.items()]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    for path, text in {CURVES: CURVE.format(middle="0.45"), LEARNING: HISTORY}.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    dvc(folder, "init", "-q")
    shutil.copy(project / ".dvc/config", folder / ".dvc/config")
    shutil.copytree(project / ".dvc/plots", folder / ".dvc/plots")
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *author, "commit", "-q", "-m", "first"], cwd=folder, check=True)
    dvc(folder, "plots", "show", "--out", "shown")
    (folder / CURVES).write_text(CURVE.format(middle="0.6"))
    dvc(folder, "plots", "diff", "--out", "compared")
    return {name: folder / name / "index.html" for name in ("shown", "compared")}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def visit(chromium: Browser, page: Path, width: int = 1200) -> tuple[Page, list[str]]:
    opened, said = chromium.new_page(viewport={"width": width, "height": 900}), list[str]()
    opened.on("request", lambda request: said.append(request.url))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(page.as_uri())
    return opened, said


def test_each_file_is_drawn_without_another_host(chromium: Browser, pages: dict[str, Path]) -> None:
    page, said = visit(chromium, pages["shown"])
    expect(page.locator("figure svg")).to_have_count(len(FILES))
    assert said == [pages["shown"].as_uri()], "the page itself, and no error"
    # As DVC gives them the learning curves come first, by stages.
    first, second = page.locator("figure").all()
    expect(first.locator("figcaption")).to_have_text("digits/curves/natural-linf")
    assert first.locator("li").all_text_contents() == ["random noise", "undefended", "adaptive"]
    assert second.locator("li").all_text_contents() == ["training", "validation"], "an accuracy has another scale"
    # An empty cell is a gap, and no zero.
    drawn = [len((line.get_attribute("points") or "").split()) for line in first.locator("polyline").all()]
    assert drawn == [3, 2, 3]
    assert "adaptive: 0.45 at L-inf eps 0.04" in first.locator("circle title").all_text_contents()
    for figure, axes in ((first, {"L-inf eps", "robust accuracy"}), (second, {"epoch", "loss"})):
        assert axes <= set(figure.locator("svg > text").all_text_contents())


def test_two_revisions_lie_in_one_plot(chromium: Browser, pages: dict[str, Path]) -> None:
    page, _ = visit(chromium, pages["compared"])
    figure = page.locator("figure").filter(has_text="natural-linf")
    assert sorted(figure.locator("li").all_text_contents()) == ["HEAD", "workspace"]
    titles = figure.locator("circle title").all_text_contents()
    assert {"HEAD: 0.45 at L-inf eps 0.04", "workspace: 0.6 at L-inf eps 0.04"} <= set(titles)


def test_it_fits_a_phone(chromium: Browser, pages: dict[str, Path]) -> None:
    page, _ = visit(chromium, pages["shown"], width=390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390

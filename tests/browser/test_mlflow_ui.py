"""The MLflow UI in a real headless Chromium: the table that `make ui` links to, and two runs side by side."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from benchmarks.screenshots import (
    CHROMIUM,
    PATIENCE,
    browser,
    mlflow_ui,
    open_charts,
    open_comparison,
    open_page,
    photograph,
)
from pipelines.record import describe
from redoubt.core.store import write_json
from redoubt.runs import RunRecord
from redoubt.tracking.sync import sync

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(180),
]

expect.set_options(timeout=PATIENCE)
CURVE, ROBUST, PROVEN = "eps_linf/adaptive", "robust/linf/adaptive", "certified/linf/interval"
SWEEP = RunRecord(
    run="sweep",
    stage="sweep",
    task="digits",
    metrics={"val_loss": 0.1},
    children=[RunRecord(run=f"fold {fold}", stage="sweep", task="digits") for fold in range(3)],
)
RUNS = {
    "natural": RunRecord(
        run="natural",
        stage="train",
        task="digits",
        params={"training": "natural", "batch_size": 32, "eps/linf": 0.1},
        metrics={"test/accuracy": 0.98, ROBUST: 0.3, PROVEN: 0.0},
        curves={CURVE: [(0, 0.98), (100, 0.3), (200, 0.01)]},
    ),
    "adversarial": RunRecord(
        run="adversarial",
        stage="harden",
        task="digits",
        params={"training": "PGD-5", "batch_size": 32, "eps/linf": 0.1},
        metrics={"test/accuracy": 0.96, ROBUST: 0.8, PROVEN: 0.1},
        curves={CURVE: [(0, 0.96), (100, 0.8), (200, 0.4)]},
    ),
}


@dataclass(frozen=True)
class Shown:
    """A server, and what `make ui` printed of what it holds."""

    url: str
    printed: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Shown]:
    root = tmp_path_factory.mktemp("project")
    shutil.copy(empty_store, root / "mlflow.db")
    for name, record in {**RUNS, "sweep": SWEEP}.items():
        write_json(root / "reports/digits/records" / f"{name}.json", record.model_dump(mode="json"))
    uri = f"sqlite:///{root / 'mlflow.db'}"
    printed = describe(sync(root, uri))
    with mlflow_ui(uri, root) as url:
        yield Shown(url, printed.replace("http://127.0.0.1:5000", url))


@pytest.fixture(scope="module")
def server(shown: Shown) -> str:
    return shown.url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    opened = open_page(chromium, 1400)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def runs(server: str) -> dict[str, str]:
    """The id of each run by name."""
    return {run.info.run_name: run.info.run_id for run in MlflowClient(server).search_runs(["1"])}


def test_the_link_that_is_printed_opens_the_models_the_most_robust_first(chromium: Browser, shown: Shown) -> None:
    (link,) = re.findall(r"digits: (http\S+)", shown.printed)
    # As it comes to somebody who never opened MLflow: a browser that remembers nothing.
    page = chromium.new_page(viewport={"width": 1800, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(link)
    for column in ("test/accuracy", ROBUST, PROVEN, "eps/linf"):
        expect(page.locator(".ag-header").get_by_text(column, exact=True).first).to_be_visible()
    names = page.locator(".ag-pinned-left-cols-container").get_by_role("link")
    expect(names).to_have_text(["adversarial", "natural"])
    expect(page.get_by_text("The adversarial model is the most robust within L-inf 0.1").first).to_be_visible()
    expect(page.get_by_text("2 matching runs")).to_be_visible()
    page.close()


def test_the_charts_of_that_link_begin_with_the_eps_curves(page: Page, shown: Shown) -> None:
    (link,) = re.findall(r"digits: (http\S+)", shown.printed)
    page.goto(f"{link}&compareRunsMode=CHART")
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for()
    first = page.locator(".js-plotly-plot").first.evaluate("plot => plot.data.map(line => Array.from(line.y))")
    drawn = {tuple(values) for values in first}
    assert drawn == {tuple(value for _, value in record.curves[CURVE]) for record in RUNS.values()}, "not smoothed"


def test_the_pictures_of_two_runs_lie_side_by_side(page: Page, server: str, runs: dict[str, str]) -> None:
    open_comparison(page, server, "1", [runs[name] for name in RUNS])
    page.get_by_text("eps_curves.png").first.click()
    # Each is there a second time, for when it is clicked.
    expect(page.locator("img[src*='eps_curves'], img[src^='blob:']").filter(visible=True)).to_have_count(2)


def test_parameters_and_metrics_stand_side_by_side(page: Page, server: str, runs: dict[str, str]) -> None:
    open_comparison(page, server, "1", [runs[name] for name in RUNS])
    for text in ("natural", "adversarial", "PGD-5", "test/accuracy", "0.98", "0.96", CURVE):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    expect(page.get_by_text("batch_size"), "only what differs").to_have_count(0)


def test_the_eps_curves_of_both_runs_lie_in_one_chart(page: Page, server: str, tmp_path: Path) -> None:
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url) if not request.url.startswith(server) else None)
    open_charts(page, server, "1", CURVE, CURVE)
    chart = page.locator(".js-plotly-plot").filter(has=page.locator(".scatterlayer .trace"))
    expect(chart).to_have_count(1)
    lines = chart.evaluate("plot => plot.data.map(line => [line.name, Array.from(line.x), Array.from(line.y)])")
    drawn = {name: list(zip(steps, values, strict=True)) for name, steps, values in lines}
    assert drawn == {name: record.curves[CURVE] for name, record in RUNS.items()}
    assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []
    with Image.open(photograph(page, tmp_path / "charts.png")) as picture:
        assert len(picture.getcolors(maxcolors=2**24) or []) > 100, "an empty page"

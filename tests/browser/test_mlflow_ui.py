"""The MLflow UI in a real headless Chromium: two runs side by side show parameters, metrics and eps curves."""

import shutil
from collections.abc import Iterator
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
from redoubt.core.store import write_json
from redoubt.runs import RunRecord
from redoubt.tracking.sync import sync

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(180),
]

expect.set_options(timeout=PATIENCE)
CURVE = "eps_linf/adaptive"
RUNS = {
    "natural": RunRecord(
        run="natural",
        stage="train",
        task="digits",
        params={"training": "natural", "batch_size": 32},
        metrics={"test/accuracy": 0.98},
        curves={CURVE: [(0, 0.98), (100, 0.3), (200, 0.01)]},
    ),
    "adversarial": RunRecord(
        run="adversarial",
        stage="harden",
        task="digits",
        params={"training": "PGD-5", "batch_size": 32},
        metrics={"test/accuracy": 0.96},
        curves={CURVE: [(0, 0.96), (100, 0.8), (200, 0.4)]},
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    root = tmp_path_factory.mktemp("project")
    shutil.copy(empty_store, root / "mlflow.db")
    for name, record in RUNS.items():
        write_json(root / "reports/digits/records" / f"{name}.json", record.model_dump(mode="json"))
    uri = f"sqlite:///{root / 'mlflow.db'}"
    sync(root, uri)
    with mlflow_ui(uri, root) as url:
        yield url


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

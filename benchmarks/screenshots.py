"""Takes the images of README and docs with a real headless Chromium: MLflow, report, study, service."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page, sync_playwright

from benchmarks.server import free_port, running
from redoubt.tracking.uri import store_uri
from redoubt.tracking.views import link

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# What a user clicks once: the assistant's panel away, model training instead of language models.
SETTLED = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
localStorage.setItem('mlflow.workflowType_v1', '"machine_learning"');
"""
WIDTH, NARROW, TALL, TABLE, MARGIN, STUDY = 1320, 1100, 1200, 540, 24, 820
FIGURES = (".charts", ".pairs")
ROBUST, CURVE = "robust/linf", "eps_linf"
PATIENCE = 30_000
SETTLES = 2_500


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium that talks to nobody but the pages it is given."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def mlflow_ui(uri: str, folder: Path) -> Iterator[str]:
    """The MLflow UI over a store, as `make ui` starts it."""
    port = free_port()
    options = {"--backend-store-uri": uri, "--host": "127.0.0.1", "--port": str(port), "--workers": "1"}
    command = [str(Path(sys.executable).parent / "mlflow"), "ui", *(word for pair in options.items() for word in pair)]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with running(command, f"http://127.0.0.1:{port}/health", folder, quiet):
        yield f"http://127.0.0.1:{port}"


def open_page(chromium: Browser, height: int) -> Page:
    """A fresh page for the MLflow UI."""
    page = chromium.new_page(viewport={"width": WIDTH, "height": height})
    page.set_default_timeout(PATIENCE)
    page.add_init_script(SETTLED)
    return page


def open_comparison(page: Page, server: str, experiment: str, runs: Sequence[str]) -> None:
    """Show the parameters in which some runs differ, and their metrics, side by side."""
    page.goto(f"{server}/#/compare-runs?runs={_listed(runs)}&experiments={_listed([experiment])}")
    _tidy(page)
    page.get_by_role("button", name="Visualizations").click()
    page.get_by_text("Show diff only").first.click()


def open_charts(page: Page, server: str, experiment: str, charts: str, metric: str) -> None:
    """Show the charts whose names fit a pattern, for the runs that have a metric, one bar or line per run."""
    page.goto(
        f"{server}/#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART"
        f"&searchFilter={quote(f'metrics.`{metric}` >= 0')}"
    )
    _tidy(page)
    search = page.get_by_placeholder("Search metric charts")
    search.fill(charts)
    search.blur()
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for()


def photograph(page: Page, path: Path) -> Path:
    """Photograph a page that has come to rest."""
    page.wait_for_timeout(SETTLES)
    page.screenshot(path=path)
    return path


def photograph_table(chromium: Browser, path: Path, task: str) -> None:
    """What the link opens that `make ui` prints: the models of a task, the most robust first."""
    with tempfile.TemporaryDirectory() as name, mlflow_ui(store_uri(Path.cwd()), Path(name)) as server:
        page = open_page(chromium, TABLE)
        page.goto(f"{server}/{link(_experiment(MlflowClient(server), task))}")
        page.locator(".ag-pinned-left-cols-container").get_by_role("link").first.wait_for()
        _tidy(page)
        taken = Image.open(photograph(page, Path(name, "table.png")))
        taken.convert("RGB").quantize(128).save(path, optimize=True)


def _experiment(client: MlflowClient, task: str) -> str:
    experiment = client.get_experiment_by_name(task)
    if experiment is None:
        sys.exit(f"error: MLflow holds nothing of {task}; run `make repro` first")
    return str(experiment.experiment_id)


def photograph_runs(chromium: Browser, path: Path, task: str) -> None:
    """The natural and the adversarial run of a task: parameters and metrics, and below them their eps curves."""
    with tempfile.TemporaryDirectory() as name, mlflow_ui(store_uri(Path.cwd()), Path(name)) as server:
        client, folder = MlflowClient(server), Path(name)
        number = _experiment(client, task)
        runs = [
            client.search_runs([number], f"attributes.run_name = '{run}'", max_results=1)[0].info.run_id
            for run in ("natural", "adversarial")
        ]
        page = open_page(chromium, 780)
        open_comparison(page, server, number, runs)
        upper = photograph(page, folder / "upper.png")
        page = open_page(chromium, 1130)
        open_charts(page, server, number, f"{ROBUST}|{CURVE}", f"{CURVE}/adaptive")
        _join(upper, photograph(page, folder / "lower.png"), path)


def _tidy(page: Page) -> None:
    page.get_by_label("Toggle sidebar").click()
    page.get_by_role("button", name="MLflow Assistant").evaluate("button => button.remove()")


def _join(upper: Path, lower: Path, path: Path) -> None:
    first, second = Image.open(upper), Image.open(lower)
    joined = Image.new("RGB", (first.width, first.height + second.height), "white")
    joined.paste(first, (0, 0))
    joined.paste(second, (0, first.height))
    joined.quantize(256).save(path, optimize=True)


def _listed(names: Sequence[str]) -> str:
    return quote(json.dumps(list(names)))


def photograph_report(chromium: Browser, path: Path, task: str) -> None:
    """The report's cards, and below them the eps curves and the attacked pictures of an image task."""
    page = chromium.new_page(viewport={"width": WIDTH, "height": TALL})
    page.goto(Path("reports/index.html").resolve().as_uri())
    upper, lower = path.with_suffix(".upper.png"), path.with_suffix(".lower.png")
    _clip(page, upper, 0, _box(page.locator("section").first)["y"] - MARGIN)
    curves, examples = (_box(page.locator(f"section#{task} {figure}:visible").first) for figure in FIGURES)
    _clip(page, lower, curves["y"], examples["y"] + examples["height"] + MARGIN)
    _join(upper, lower, path)
    upper.unlink()
    lower.unlink()


def photograph_study(chromium: Browser, path: Path, study: str) -> None:
    """A study's section of the course."""
    page = chromium.new_page(viewport={"width": STUDY, "height": TALL})
    page.goto(Path("reports/course.html").resolve().as_uri())
    page.locator(f"section#{study}").screenshot(path=path)


def photograph_page(chromium: Browser, url: str, path: Path) -> None:
    """The top of a page."""
    page = chromium.new_page(viewport={"width": NARROW, "height": TALL})
    page.goto(url)
    photograph(page, path)


def _box(element: Locator) -> FloatRect:
    box = element.bounding_box()
    if box is None:
        sys.exit(f"error: {element} is not on the page")
    return box


def _clip(page: Page, path: Path, top: float, bottom: float) -> None:
    page.screenshot(path=path, full_page=True, clip={"x": 0, "y": top, "width": WIDTH, "height": bottom - top})


def main() -> None:
    """Take the images of the README from what this folder holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--service", metavar="URL", help="of a running service, such as http://127.0.0.1:3000/docs")
    parser.add_argument("--task", default="digits", help="whose runs and figures are shown")
    parser.add_argument("--images", type=Path, default=Path("docs/images"), help="where the images go")
    arguments = parser.parse_args()
    arguments.images.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        photograph_table(chromium, arguments.images / "mlflow-table.png", arguments.task)
        photograph_runs(chromium, arguments.images / "mlflow-compare.png", arguments.task)
        photograph_report(chromium, arguments.images / "report.png", arguments.task)
        photograph_study(chromium, arguments.images / "course.png", "polynomial")
        if arguments.service:
            photograph_page(chromium, arguments.service, arguments.images / "service.png")


if __name__ == "__main__":
    main()

"""Takes the README's pictures with a real headless Chromium: two runs in the MLflow UI, the report, the service's page."""

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
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.server import free_port, running
from redoubt.tracking import store_uri

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
WIDTH = 1320
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
    """A fresh page for the MLflow UI, its side bar folded away."""
    page = chromium.new_page(viewport={"width": WIDTH, "height": height})
    page.set_default_timeout(PATIENCE)
    page.add_init_script(SETTLED)
    return page


def open_comparison(page: Page, server: str, experiment: str, runs: Sequence[str]) -> None:
    """Show the parameters in which some runs differ, and their metrics, side by side."""
    page.goto(f"{server}/#/compare-runs?runs={_listed(runs)}&experiments={_listed([experiment])}")
    page.get_by_role("button", name="Visualizations").click()
    page.get_by_text("Show diff only").first.click()


def open_curves(page: Page, server: str, experiment: str, group: str) -> None:
    """Show the charts of a group of stepped metrics, one line per run that has them."""
    filtered = quote(f"metrics.`{group}/adaptive` >= 0")
    page.goto(
        f"{server}/#/experiments/{experiment}/runs?workflowType=machine_learning"
        f"&compareRunsMode=CHART&searchFilter={filtered}"
    )
    page.get_by_placeholder("Search metric charts").fill(group)
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for()


def photograph(page: Page, path: Path) -> Path:
    """Photograph a page of the MLflow UI that has come to rest."""
    page.get_by_label("Toggle sidebar").click()
    for assistant in page.get_by_role("button", name="MLflow Assistant").all():
        assistant.evaluate("button => button.remove()")
    page.wait_for_timeout(SETTLES)
    page.screenshot(path=path)
    return path


def photograph_runs(chromium: Browser, path: Path, task: str) -> None:
    """The natural and the adversarial run of a task: parameters and metrics, and below them their eps curves."""
    with tempfile.TemporaryDirectory() as name, mlflow_ui(store_uri(Path.cwd()), Path(name)) as server:
        client, folder = MlflowClient(server), Path(name)
        experiment = client.get_experiment_by_name(task)
        if experiment is None:
            sys.exit(f"error: MLflow holds nothing of {task}; run `make repro` first")
        number = experiment.experiment_id
        runs = [
            client.search_runs([number], f"attributes.run_name = '{run}'", max_results=1)[0].info.run_id
            for run in ("natural", "adversarial")
        ]
        page = open_page(chromium, 1090)
        open_comparison(page, server, number, runs)
        page.get_by_role("link", name="test/accuracy").scroll_into_view_if_needed()
        upper = photograph(page, folder / "upper.png")
        page = open_page(chromium, 640)
        open_curves(page, server, number, "robust_by_milli_eps/linf")
        _join(upper, photograph(page, folder / "lower.png"), path)


def _join(upper: Path, lower: Path, path: Path) -> None:
    first, second = Image.open(upper), Image.open(lower)
    joined = Image.new("RGB", (first.width, first.height + second.height), "white")
    joined.paste(first, (0, 0))
    joined.paste(second, (0, first.height))
    joined.quantize(256).save(path, optimize=True)


def _listed(names: Sequence[str]) -> str:
    return quote(json.dumps(list(names)))


if __name__ == "__main__":
    with browser() as chromium:
        photograph_runs(chromium, Path("/tmp/mlw/shots/mlflow-compare.png"), "digits")

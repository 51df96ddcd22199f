"""What a real MLflow server answers, by its REST API, once a project was synced to it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest

from benchmarks.screenshots import mlflow_ui
from redoubt.core.store import write_json
from redoubt.runs import RunRecord
from redoubt.tracking.sync import sync
from tests.support.toy_champion import write_champion

pytestmark = pytest.mark.timeout(180)

CARD = "---\nlicense: mit\n---\n\n# digits-natural\n\nWhat it is for.\n"
PROMOTION = RunRecord(
    run="promotion", stage="promote", task="digits", params={"champion": "natural"}, metrics={"natural/clean": 0.9}
)


def natural(**metrics: float) -> RunRecord:
    measured = {"test/accuracy": 0.96, "robust/linf/adaptive": 0.5, **metrics}
    curves = {"eps_linf/adaptive": [(0, 0.96), (80, 0.5)]}
    fields: dict[str, Any] = {"params": {"eps/linf": 0.08}, "tags": {"dataset": "dd", "digest": "aa"}, "curves": curves}
    return RunRecord(run="natural", stage="attack, train", task="digits", metrics=measured, **fields)


class Server:
    """A server, the project that is synced to it, and what its API answers."""

    def __init__(self, url: str, root: Path) -> None:
        self.url, self.root = url, root

    def sync(self, *records: RunRecord) -> int:
        shutil.rmtree(self.root / "reports", ignore_errors=True)
        for record in records:
            write_json(self.root / "reports/digits/records" / f"{record.run}.json", record.model_dump())
        return sync(self.root, self.url).new

    def get(self, path: str, **query: str) -> Any:
        return httpx.get(f"{self.url}/api/2.0/mlflow/{path}", params=query).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        return httpx.post(f"{self.url}/api/2.0/mlflow/{path}", json=body).raise_for_status().json()

    def experiment(self) -> Any:
        return self.get("experiments/get-by-name", experiment_name="digits")["experiment"]

    def tags(self, thing: Any) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in thing["tags"]}

    def runs(self) -> dict[str, Any]:
        found = self.post("runs/search", experiment_ids=[self.experiment()["experiment_id"]])["runs"]
        return {run["info"]["run_name"]: run for run in found}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Server]:
    folder, root = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("project")
    shutil.copy(empty_store, folder / "mlflow.db")
    with mlflow_ui(f"sqlite:///{folder / 'mlflow.db'}", folder) as url:
        made = Server(url, root)
        write_champion(root / "models/digits/champion", "aa")
        (root / "models/digits/champion/MODEL_CARD.md").write_text(CARD)
        assert made.sync(natural(), PROMOTION) == 2
        yield made
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")


def test_tags_are_words_and_hashes_are_in_one(server: Server) -> None:
    run = server.runs()["natural"]
    shown = {name: value for name, value in server.tags(run["data"]).items() if not name.startswith("mlflow.")}
    assert sorted(shown) == ["redoubt.key", "redoubt.stage"]
    assert shown["redoubt.stage"] == "attack, train"
    assert shown["redoubt.key"].endswith("; dataset dd; digest aa")


def test_run_and_experiment_are_described(server: Server) -> None:
    run, experiment = server.runs()["natural"], server.experiment()
    assert server.tags(run["data"])["mlflow.note.content"].startswith("Clean: 96.0 %. Within L-inf 0.08,")
    assert server.tags(experiment)["mlflow.note.content"].startswith("The natural model is the most robust")


def test_the_curve_is_a_stepped_metric_and_a_picture(server: Server) -> None:
    run = server.runs()["natural"]["info"]["run_id"]
    history = server.get("metrics/get-history", run_id=run, metric_key="eps_linf/adaptive")["metrics"]
    assert [(int(point["step"]), point["value"]) for point in history] == [(0, 0.96), (80, 0.5)]
    files = {file["path"]: int(file["file_size"]) for file in server.get("artifacts/list", run_id=run)["files"]}
    assert files["eps_curves.png"] > 5000


def test_what_the_gates_judged_sorts_behind_what_was_measured(server: Server) -> None:
    (metric,) = server.runs()["promotion"]["data"]["metrics"]
    assert metric["key"] == "validation/natural/clean"


def test_the_version_of_the_champion_shows_the_model_card(server: Server) -> None:
    (version,) = server.get("model-versions/search", filter="name='redoubt-digits'")["model_versions"]
    assert version["description"] == "# digits-natural\n\nWhat it is for.\n"
    assert version["run_id"] == server.runs()["natural"]["info"]["run_id"]


def test_the_filter_of_the_saved_view_finds_the_model_of_today_alone(server: Server) -> None:
    assert server.sync(natural(**{"test/mcc": 0.9}), PROMOTION) == 1
    experiment = server.experiment()["experiment_id"]
    table = "metrics.`robust/linf/adaptive` >= 0 AND tags.`redoubt.superseded` IS NULL"
    (run,) = server.post("runs/search", experiment_ids=[experiment], filter=table)["runs"]
    assert "test/mcc" in {metric["key"] for metric in run["data"]["metrics"]}


def test_a_description_that_somebody_wrote_stays(server: Server) -> None:
    run, experiment = server.runs()["natural"]["info"]["run_id"], server.experiment()["experiment_id"]
    mine = {"key": "mlflow.note.content", "value": "Mine."}
    server.post("runs/set-tag", run_id=run, **mine)
    server.post("experiments/set-experiment-tag", experiment_id=experiment, **mine)
    server.sync(natural(**{"test/mcc": 0.9}), PROMOTION)
    assert server.tags(server.get("runs/get", run_id=run)["run"]["data"])["mlflow.note.content"] == "Mine."
    assert server.tags(server.experiment())["mlflow.note.content"] == "Mine."


def test_a_run_of_before_is_brought_into_line(server: Server) -> None:
    run = server.runs()["promotion"]["info"]["run_id"]
    server.post("runs/delete-tag", run_id=run, key="mlflow.note.content")
    former = {"dataset": "dd", "digest": "aa", "redoubt.data": "dd", "redoubt.checkout": "cc", "redoubt.begun": "1"}
    for name, value in former.items():
        server.post("runs/set-tag", run_id=run, key=name, value=value)
    assert server.sync(natural(**{"test/mcc": 0.9}), PROMOTION) == 0
    tags = server.tags(server.get("runs/get", run_id=run)["run"]["data"])
    assert not former.keys() & tags.keys()
    assert tags["mlflow.note.content"].startswith("The natural model is promoted.")

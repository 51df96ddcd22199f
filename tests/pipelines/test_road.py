"""The whole road on a user's own small table, by the real `dvc` in a project of its own."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bentoml.exceptions import InvalidArgument

from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.cli import main
from redoubt.core.store import read_json, write_json
from redoubt.data import splits
from redoubt.tracking.client import MlflowClient
from redoubt.tracking.uri import store_uri
from serving import strict_json
from serving.inputs import reader
from tests.support.checkout import STORES, TABLE, Checkout, loans

# Whole pipelines: on a busy machine they take their time.
pytestmark = pytest.mark.timeout(1200)

# A stage's jobs in its own process, as on a machine of one core: each process of theirs imports TensorFlow anew. What
# processes of their own come to is compared with it, by `AGAIN` and for a sweep; an attack's jobs are sent to one in
# test_stages.
ALONE = {"LOKY_MAX_CPU_COUNT": "1"}
# Stages in one process, which imports TensorFlow once.
AGAIN = """
from pathlib import Path
from pipelines import harden, certify, promote, section
from redoubt.params.harden import HardenSettings
from redoubt.params.settings.stages import CertifySettings, PromoteSettings, SectionSettings, read_settings

harden.work(read_settings(HardenSettings, Path("loans/harden-certified.json")))
certify.work(read_settings(CertifySettings, Path("loans/certify.json")))
promote.work(read_settings(PromoteSettings, Path("loans/promote.json")))
section.work(read_settings(SectionSettings, Path("loans/section.json")))
"""


@dataclass(frozen=True)
class Written:
    """A file's content, by its SHA-256, and the time in nanoseconds at which it was written."""

    digest: str
    at: int


def written(folder: Path) -> dict[str, Written]:
    """What the stages of the task have written, by its path; how long they took is no result."""
    files = [path for top in ("models", "reports") for path in sorted((folder / top).rglob("*")) if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): Written(sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
        if "timings" not in path.parts
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, project: Path, empty_store: Path) -> Checkout:
    """A committed project whose only task is the user's table; nothing has been run."""
    made = Checkout.of(project, tmp_path_factory.mktemp("road"))
    shutil.copy(empty_store, made.folder / "mlflow.db")
    (made.folder / "data/own/.gitkeep").touch()
    made.give_table("loans", {"estimators": {}})
    for command in ("init -q", "add -A", "-c user.name=t -c user.email=t@example.com commit -qm start"):
        made.good("git", *command.split())
    return made


@dataclass(frozen=True)
class Told:
    """What two of the runs printed.

    Attributes:
        refused: of the one whose tracking server was down.
        last: of the one that found nothing left to do.
    """

    refused: str
    last: str


@pytest.fixture(scope="module")
def told(checkout: Checkout) -> Told:
    """Brings the project to its end: killed while it trains, without its tracking server, then as it should be."""
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=checkout.folder,
        env=checkout.environment | ALONE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "pipelines.train" in line:
            break
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert not (checkout.folder / "models/loans/champion").exists()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = f"http://user:s3cret@127.0.0.1:{unused.getsockname()[1]}"
        given = [f"{name}={value}" for name, value in (ALONE | {"MLFLOW_TRACKING_URI": server}).items()]
        done = checkout.run("env", *given, "python", "-m", "pipelines.repro", "--jobs=2")
    assert done.returncode != 0
    assert (checkout.folder / "reports/index.html").is_file()
    assert re.findall("Running stage '(.+)'", checkout.good("dvc", "repro")) == ["report"]
    return Told(done.stdout + done.stderr, checkout.good("python", "-m", "pipelines.repro"))


@pytest.fixture(scope="module")
def finished(checkout: Checkout, told: Told) -> Checkout:
    """The project after these runs."""
    return checkout


@pytest.fixture
def inside(finished: Checkout, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished project, in which the test works."""
    monkeypatch.chdir(finished.folder)
    for name in STORES:
        monkeypatch.delenv(name, raising=False)
    return finished.folder


def test_a_killed_run_goes_on_to_a_champion(finished: Checkout) -> None:
    bundle = finished.folder / "models/loans/champion"
    card = read_json(bundle / "card.json")
    assert card["passed"]
    model = GuardedModel.load(bundle)
    assert card["digest"] == model.digest
    assert card["threshold"] == model.schema.threshold is not None
    for name in ("index.html", "loans.html"):
        page = (finished.folder / "reports" / name).read_text()
        assert 'data-name="loans-robust-accuracy"' in page
    for course in ("course.html", "course.zh-CN.html"):
        assert 'id="estimators"' in (finished.folder / "reports" / course).read_text()


def test_an_empty_cell_counts_as_it_did_in_training(inside: Path) -> None:
    model = GuardedModel.load(inside / "models/loans/champion")
    split, table = splits.read(inside / "data/splits/loans.npz"), loans()
    # As a network sees it, and of training rows alone: the middle one of what they hold.
    median = float(np.nanmedian(table["debt"].to_numpy(np.float32)[split.train]))
    gap: dict[str, Any] = {"income": 3100.0, "debt": None, "age": 41, "housing": "rent"}
    typed = {**gap, "debt": median}
    read = reader(model.schema)
    assert np.array_equal(read([gap]), read([typed]))
    assert np.array_equal(read([{key: gap[key] for key in ("income", "age", "housing")}]), read([gap]))
    champions: Any = {"loans": model}
    for record in (gap, {**gap, "age": None, "housing": None}):
        body = json.dumps({"task": "loans", "inputs": [record]}).encode()
        quick = asyncio.run(strict_json.read(body, champions))
        assert quick is not None
        assert np.array_equal(quick[2], read([record]))
    with pytest.raises(InvalidArgument, match="input 0: column 'income' is null; expected a finite number"):
        read([{**gap, "income": None}])
    pd.DataFrame([gap, typed, {**gap, "age": None, "housing": None}, {**gap, "income": None}]).to_csv("rows.csv")
    assert main(["predict", "loans", "rows.csv", "--out", "answers.csv", "--certify"]) == 1
    answers = pd.read_csv("answers.csv")
    assert answers.loc[0, "adversarial_score"] == answers.loc[1, "adversarial_score"]
    assert answers["error"].isna().tolist() == [True, True, True, False]
    assert answers.loc[3, "error"] == "column 'income' is empty"
    report = read_json(inside / "reports/loans/validation.json")
    assert set(report["missing"]) == {"debt", "age", "housing"}


def test_every_result_is_in_mlflow(inside: Path) -> None:
    store = store_uri(inside)
    client = MlflowClient(store, registry_uri=store)
    experiment = client.get_experiment_by_name("loans")
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    names = [run.info.run_name for run in runs]
    assert sorted(name for name in names if "," not in name) == [
        "adversarial",
        "certified",
        "natural",
        "promotion",
        "smoothed",
        "sweep",
        "validate",
    ]
    assert len([name for name in names if "fold" in name]) == 2 * 2
    champion = client.get_model_version_by_alias("redoubt-loans", "champion")
    assert champion.tags["redoubt.digest"] == read_json(inside / "models/loans/champion/card.json")["digest"]


def test_a_zoo_is_verified_by_training_again(
    finished: Checkout, inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    finished.good("python", "-m", "pipelines.zoo", "loans")
    card = read_json(inside / "zoo/loans-certified/card.json")
    assert card["params"]["run"] == ["loans"]
    assert main(["verify", "zoo/loans-certified"]) == 0
    said = capfd.readouterr().out
    for what in ("digest of the files", "weights trained again", "these files: clean", "trained again: certified at"):
        assert what in said
    assert "no" not in said.partition("zoo/loans-certified")[2].split()
    assert not list(inside.glob("zoo/*/*.tmp"))


def test_a_zoo_whose_card_says_too_much_is_found_out(inside: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = inside / "zoo/loans-adversarial"
    card = read_json(folder / "card.json")
    for row in card["certificates"]["interval"]:
        row["certified"]["share"] += 0.1
    write_json(folder / "card.json", card)
    assert main(["verify", "zoo/loans-adversarial", "--quick"]) == 1
    (folder / "guard.json").write_text("{}")
    assert main(["verify", "zoo/loans-adversarial", "--quick"]) == 2
    assert "cannot be read" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("bundle", "says"),
    [
        ("zoo/none", "error: zoo/none has no card.json; give a bundle of zoo/\n"),
        (
            "models/loans/champion",
            "error: the card of models/loans/champion has no recipe; only bundles of zoo/ have one",
        ),
    ],
    ids=["no-card", "champion"],
)
def test_what_cannot_be_verified_gets_one_line(
    inside: Path, bundle: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", bundle]) == 2
    assert capfd.readouterr().err.startswith(says)


def test_a_report_that_could_not_be_recorded_is_not_taken_for_done(told: Told) -> None:
    assert "error: report: MLflow at http://127.0.0.1:" in told.refused
    assert "Traceback" not in told.refused
    assert "s3cret" not in told.refused


def test_at_the_end_nothing_is_left_to_do(told: Told) -> None:
    count = re.search(r"for (\d+) stages: 0 run, 0 from DVC's cache, (\d+) unchanged", told.last)
    assert count is not None, told.last
    assert count[1] == count[2]
    assert "Champions on the test split" in told.last


def test_what_is_done_again_comes_to_the_same_bytes(finished: Checkout) -> None:
    """Stages that `test_same_bytes` does not run, with nothing remembered; an attack's repeat is tested by itself."""
    shutil.rmtree(finished.folder / ".redoubt/certify")
    before = written(finished.folder)
    finished.good("python", "-c", AGAIN)
    after = written(finished.folder)
    assert {name: file.digest for name, file in after.items()} == {name: file.digest for name, file in before.items()}
    # Each of them did something.
    kept = {name for name in before if before[name].at == after[name].at}
    assert not kept & {f"reports/loans/{name}.json" for name in ("certificates", "promotion")}
    assert not kept & {"models/loans/certified/model.onnx", "reports/sections/loans.html"}


@pytest.mark.parametrize(
    "command", ["dvc dag --mermaid", "dvc metrics show", "dvc plots show", "python -m pipelines.summary"]
)
def test_commands_by_hand(finished: Checkout, command: str) -> None:
    assert finished.good(*command.split())


def test_an_experiment_runs_with_its_own_setting(finished: Checkout) -> None:
    finished.good("git", "add", "-A")
    finished.good("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "done")
    said = finished.good("dvc", "exp", "run", "-S", "tasks.loans.gates.robust=0.9", "section@loans")
    assert "no model is promoted" in said or "keeps" in said or "promote@loans" in said
    decision = read_json(finished.folder / "reports/loans/promotion.json")
    assert decision["gates"]["robust"] == 0.9
    assert decision["champion"] is None
    assert (finished.folder / "models/loans/champion/NOT_PROMOTED").is_file()
    end = finished.run("python", "-m", "pipelines.summary")
    assert end.returncode == 3
    assert end.stderr.splitlines()[-1].startswith("loans: no champion: ")
    assert "is below the gate 0.9" in end.stderr


def test_bad_rows_stop_the_pipeline_and_are_named(finished: Checkout) -> None:
    table = loans()
    table.loc[7, "income"] = np.nan
    table.to_csv(finished.folder / TABLE, index=False)
    done = finished.run("dvc", "repro")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "validate@loans" in said
    assert "income" in said
    assert "7" in said
    assert "Traceback" not in said.split("ERROR")[0]


def test_a_mistyped_key_is_named(finished: Checkout) -> None:
    finished.change(lambda params: params["harden"]["classification"]["certified"].update(epoch=10))
    done = finished.run("python", "-m", "pipelines.summary", "--check")
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "error: params.yaml: harden.classification.certified: unknown key 'epoch'; did you mean 'epochs'?"
    )

"""Where a run comes from: commit, DVC experiment, data set and the seconds that its stages took."""

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from redoubt.core.store import read_json
from redoubt.runs import RunRecord
from redoubt.tracking.client import Dataset, DatasetInput, InputTag

EXPERIMENT = "dvc.experiment"
COMMIT = "mlflow.source.git.commit"
TRAINING_STAGES = ("train", "harden")


def origin(root: Path) -> dict[str, str]:
    """Tags that say which commit and which experiment of DVC a run belongs to."""
    tags = {"mlflow.source.type": "PROJECT", "mlflow.source.name": "dvc repro"}
    # A ZIP has no commit, and its machine perhaps no git.
    with suppress(OSError, subprocess.CalledProcessError):
        git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
        tags[COMMIT] = git.stdout.strip()
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags[EXPERIMENT] = experiment
    return tags


def provenance(root: Path, task: str) -> dict[str, Any] | None:
    """What `ingest` wrote about the data of a task, or None if it has not run."""
    path = root / "data" / "raw" / task / "provenance.json"
    return read_json(path) if path.is_file() else None


def dataset(task: str, data: Mapping[str, Any]) -> DatasetInput:
    """The data of a task, by its provenance, as an input that MLflow shows."""
    found = Dataset(
        name=str(data["source"]),
        digest=data["sha256"][:36],
        source_type="local",
        source=json.dumps({"uri": f"data/raw/{task}"}),
        profile=json.dumps({"num_rows": data["rows"]}),
    )
    return DatasetInput(found, [InputTag("mlflow.data.context", "training")])


def seconds(root: Path, record: RunRecord) -> dict[str, float]:
    """Metrics `seconds/STAGE`: what the stages of a run took on the machine that ran them."""
    timings = root / "reports" / record.task / "timings"
    trained = timings / "training" / f"{record.run}.json"
    # `harden` makes several models and may have been resumed; a model's own training time says more.
    stages = [stage for stage in record.stages if not (trained.is_file() and stage in TRAINING_STAGES)]
    found = {"training": trained} | {stage: timings / f"{stage}.json" for stage in stages}
    return {f"seconds/{stage}": read_json(path)["seconds"] for stage, path in found.items() if path.is_file()}

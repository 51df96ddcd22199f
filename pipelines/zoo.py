"""Copy a task's hardened models into zoo/, each with a card that says how to make it again and what it is worth."""

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines._data import TaskData, load_data
from pipelines._lock import LockError
from pipelines._stage import arguments, begin
from pipelines.promote import example_request
from redoubt.bundle.base.io import digest, digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from redoubt.core.errors import RedoubtError
from redoubt.core.store import StoreError, read_json, whole_folder, write_json
from redoubt.evaluation.champion import clean_figures, threat_of
from redoubt.models.saved import WEIGHTS
from redoubt.params.load import Params, load
from redoubt.params.settings.base import ParamsError
from redoubt.params.task import Task
from redoubt.report.model_card import MODEL_CARD, model_card

ZOO = ("adversarial", "certified")
# Trained on clean rows alone: without a card, so that the service never takes it; `make demo` shows it for contrast.
CONTRAST = "natural"
LARGEST = 24 * 2**20


class ZooError(RedoubtError):
    """A zoo that would grow too large."""


def main() -> None:
    """Copy the models of the task named on the command line."""
    name, _ = arguments("zoo")
    try:
        begin()
        params = load()
        work(params, params.task(name))
    except (LockError, ParamsError, StoreError, ZooError) as error:
        sys.exit(f"error: zoo@{name}: {error}")


def work(params: Params, task: Task) -> None:
    """Read bundles and reports; write zoo/TASK-MODEL."""
    data = load_data(task.name)
    for name in ZOO:
        source = Path("models", task.name, name)
        with whole_folder(Path("zoo", f"{task.name}-{name}")) as folder:
            for file in BUNDLE_FILES:
                shutil.copyfile(source / file, folder / file)
            card = _card(name, params, task, data)
            write_json(folder / "card.json", card)
            told = model_card(f"{task.name}-{name}", card, data.schema)
            (folder / MODEL_CARD).write_text(told, encoding="utf-8")
            write_json(
                folder / "example.json", {"task": f"{task.name}-{name}", "inputs": example_request(task.name, data)}
            )
    with whole_folder(Path("zoo", f"{task.name}-{CONTRAST}")) as folder:
        for file in BUNDLE_FILES:
            shutil.copyfile(Path("models", task.name, CONTRAST, file), folder / file)
    size = sum(path.stat().st_size for path in Path("zoo").rglob("*") if path.is_file())
    if size > LARGEST:
        raise ZooError(f"zoo/ holds {size / 2**20:.1f} MiB; at most {LARGEST // 2**20} MiB belong into the repository")


def _card(name: str, params: Params, task: Task, data: TaskData) -> dict[str, Any]:
    source, reports = Path("models", task.name, name), Path("reports", task.name)
    measured = read_json(reports / "robustness.json")["models"][name]
    files = {"harden": f"harden-{name}", "attack": "attack"}
    took = {stage: read_json(reports / "timings" / f"{file}.json") for stage, file in files.items()}
    return {
        "task": task.name,
        "kind": task.kind,
        "model": name,
        "digest": digest_folder(source, BUNDLE_FILES),
        "weights": digest((source / WEIGHTS).read_bytes()),
        "passed": all(check["passed"] for check in measured["test"]["checks"][task.harden.norm]),
        "eps": task.eps.linf,
        "threat": threat_of(data.schema, data.bounds, task.norm, task.eps, task.trained_elsewhere, data.train.x),
        "command": f"redoubt verify zoo/{task.name}-{name}",
        "params": _own_params(task.name),
        "selected": read_json(reports / "selected.json"),
        "dataset": data.sha256,
        "seed": params.seed,
        "machine": {"cores": os.cpu_count(), "processor": platform.machine()},
        "seconds": {
            "training": read_json(reports / "timings" / "training" / f"{name}.json")["seconds"],
            "attack": took["attack"]["seconds"],
        },
        "peak_mib": {stage: facts["peak_mib"] for stage, facts in took.items()},
        "numbers": measured["test"],
        "clean": clean_figures(measured),
        "certificates": read_json(reports / "certificates.json")["models"][name],
    }


def _own_params(task: str) -> dict[str, Any]:
    """params.yaml with this task alone."""
    whole: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    return {**whole, "run": [task], "studies": {}, "tasks": {task: whole["tasks"][task]}}


if __name__ == "__main__":
    main()

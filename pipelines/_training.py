"""What train and harden share: the selected model, a progress bar, the outputs of a trained network."""

import os
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from tqdm import tqdm

from pipelines._data import TaskData
from pipelines.sweep import by_epoch
from redoubt.bundle.guarded_model import BUNDLE_FILES
from redoubt.bundle.io import digest, digest_folder
from redoubt.data.state import code_digest
from redoubt.data.store import dumps, whole_file, write_json
from redoubt.defenses.guard import configure
from redoubt.defenses.write_bundle import write_bundle
from redoubt.params import Task
from redoubt.runs import RunRecord
from redoubt.training.fit import History, seconds_spent
from redoubt.training.sweep import Selected


def selected(task: str) -> Selected:
    """The sweep's winner."""
    return Selected.model_validate_json(Path("reports", task, "selected.json").read_bytes())


def checkpoint(task: str, name: str, key: dict[str, Any]) -> Path:
    """Where a training's resumable state is kept; another setting, split or code never resumes from it."""
    rows = digest(Path("data/splits", f"{task}.npz").read_bytes())
    mark = digest(dumps({**key, "split": rows, "code": code_digest()}).encode())
    return Path(".redoubt", "checkpoints", f"{task}-{name}-{mark[:16]}.npz")


class EpochBar(keras.callbacks.Callback):
    """One line that grows with the epochs and shows the validation loss."""

    def __init__(self, label: str, epochs: int) -> None:
        super().__init__()
        self.label, self.epochs = label, epochs

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Open the bar."""
        self.bar = tqdm(total=self.epochs, desc=self.label, unit="epoch")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Move it to the epoch just done; a resumed training starts in the middle."""
        shown = {name: f"{value:.4g}" for name, value in (logs or {}).items() if name.startswith("val_")}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(epoch + 1 - self.bar.n)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close it."""
        self.bar.close()


def write_seconds(task: str, name: str, state: Path) -> None:
    """Note beside the stage's own time how long one model's training took, also where it was killed and resumed."""
    took = {"seconds": round(seconds_spent(state), 2), "cores": os.cpu_count()}
    write_json(Path("reports", task, "timings", "training", f"{name}.json"), took)


def write_training(
    task: Task, name: str, network: keras.Model, history: History, data: TaskData, settings: dict[str, Any]
) -> None:
    """Write a trained network as a bundle, its learning curve and its record.

    Args:
        task: with the guard's parameters.
        name: natural or adversarial.
        network: trained.
        history: its learning curve.
        data: for the guard's bounds and calibration.
        settings: what was chosen, for the record.
    """
    reports, folder = Path("reports", task.name), Path("models", task.name, name)
    config = configure(task.guard, data.schema, data.bounds, data.output_scale)
    calibrated = write_bundle(folder, network, data.schema, config, data.validation.x)
    table = pd.DataFrame(history)
    table.insert(0, "epoch", range(1, len(history) + 1))
    with whole_file(reports / "history" / f"{name}.csv") as path:
        table.to_csv(path, index=False, lineterminator="\n")
    best = min(history, key=lambda epoch: epoch["val_loss"])
    record = RunRecord(
        run=name,
        stage="train" if name == "natural" else "harden",
        task=task.name,
        params={**settings, **{f"guard/{key}": value for key, value in task.guard.model_dump().items()}},
        metrics={"epochs": len(history), "guard_threshold": calibrated.threshold, "best_val_loss": best["val_loss"]},
        curves=by_epoch(history),
        tags={"dataset": data.sha256, "digest": digest_folder(folder, BUNDLE_FILES)},
        artifacts=[f"reports/{task.name}/history/{name}.csv"],
    )
    write_json(reports / "records" / f"{name}.json", record.model_dump())

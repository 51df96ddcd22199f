"""What train and harden share: the selected model, a progress bar, the outputs of a trained network."""

import os
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from pipelines._curves import by_epoch
from pipelines._data import TaskData
from redoubt.bundle.base.io import digest, digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from redoubt.code import code_digest
from redoubt.core.store import dumps, whole_file, write_json
from redoubt.data import splits
from redoubt.defenses.guards.guard import configure
from redoubt.defenses.write_bundle import write_bundle
from redoubt.params.harden import HardenSettings
from redoubt.params.settings.stages import TrainSettings
from redoubt.progress import progress_bar
from redoubt.runs import RunRecord
from redoubt.training.fit import History, seconds_spent
from redoubt.training.sweep import Selected
from redoubt.training.threshold import with_threshold

# A sum is split over threads, and its last bit depends on their number: fixed, so that other machines agree.
THREADS = 2


def selected(task: str) -> Selected:
    """The sweep's winner."""
    return Selected.model_validate_json(Path("reports", task, "selected.json").read_bytes())


def checkpoint(task: str, name: str, key: dict[str, Any]) -> Path:
    """Where a training's resumable state is kept; another setting, split or code never resumes from it."""
    rows = splits.read(Path("data/splits", f"{task}.npz")).digest
    # The same table and rows, but its empty cells filled in otherwise, are other examples.
    scaler = digest(Path("models", task, "scaler.json").read_bytes())
    code = code_digest(f"pipelines.{stage_of(name)}")
    mark = digest(dumps({**key, "split": rows, "scaler": scaler, "code": code}).encode())
    return Path(".redoubt", "checkpoints", f"{task}-{name}-{mark[:16]}.npz")


class EpochBar(keras.callbacks.Callback):
    """One line that grows with the epochs and shows the validation loss."""

    def __init__(self, label: str, epochs: int) -> None:
        super().__init__()
        self.label, self.epochs = label, epochs

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Open the bar."""
        self.bar = progress_bar(total=self.epochs, desc=self.label, unit="epoch")

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


def stage_of(name: str) -> str:
    """The stage that makes a model."""
    return "train" if name == "natural" else "harden"


def write_training(
    settings: TrainSettings | HardenSettings,
    name: str,
    network: keras.Model,
    history: History,
    data: TaskData,
    chosen: dict[str, Any],
) -> None:
    """Write a trained network as a bundle, its learning curve and its record.

    Args:
        settings: with the guard's parameters.
        name: natural or a hardened model's.
        network: trained.
        history: its learning curve.
        data: for the guard's bounds and calibration.
        chosen: what was chosen, for the record.
    """
    reports, folder = Path("reports", settings.name), Path("models", settings.name, name)
    skewed = [curve is not None for curve in data.scaler.curves]
    config = configure(settings.guard, data.schema, data.bounds, data.output_scale, skewed)
    schema = with_threshold(network, data.validation, data.schema, settings.train.threshold)
    calibrated = write_bundle(folder, network, schema, config, data.validation.x)
    table = pd.DataFrame(history)
    table.insert(0, "epoch", range(1, len(history) + 1))
    with whole_file(reports / "history" / f"{name}.csv") as path:
        table.to_csv(path, index=False, lineterminator="\n")
    best = min(history, key=lambda epoch: epoch["val_loss"])
    record = RunRecord(
        run=name,
        stage=stage_of(name),
        task=settings.name,
        params={**chosen, **{f"guard/{key}": value for key, value in settings.guard.model_dump().items()}},
        metrics={
            "epochs": len(history),
            "guard_threshold": calibrated.threshold,
            "best_val_loss": best["val_loss"],
            **({} if schema.threshold is None else {"decision_threshold": schema.threshold}),
        },
        curves=by_epoch(history),
        tags={"dataset": data.sha256, "digest": digest_folder(folder, BUNDLE_FILES)},
        artifacts=[f"reports/{settings.name}/history/{name}.csv"],
    )
    write_json(reports / "records" / f"{name}.json", record.model_dump())

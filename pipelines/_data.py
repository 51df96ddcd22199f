"""What most stages read: a task's rows, its split and its scaler."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redoubt.bundle.schema import Schema
from redoubt.data import dataset
from redoubt.data.scaling import Scaler
from redoubt.data.splits import Split
from redoubt.data.store import read_arrays, read_json
from redoubt.types import Batch, Bounds


@dataclass(frozen=True)
class TaskData:
    """A task's rows by their part in the work."""

    schema: Schema
    sha256: str
    split: Split
    scaler: Scaler
    fold_scalers: list[Scaler]
    train: Batch
    validation: Batch
    test: Batch

    @property
    def bounds(self) -> Bounds:
        """The box that inputs live in and the unit of eps."""
        return self.scaler.bounds(self.schema)

    @property
    def output_scale(self) -> float:
        """The unit of a regression's errors; 1 for classes."""
        return self.scaler.target_std


def load_data(task: str) -> TaskData:
    """Read what ingest, split and scale wrote for a task."""
    stored = dataset.load(Path("data/raw", task))
    split = Split(**read_arrays(Path("data/splits", f"{task}.npz")))
    scalers = read_json(Path("models", task, "scaler.json"))
    return TaskData(
        schema=stored.schema,
        sha256=stored.sha256,
        split=split,
        scaler=Scaler.from_json(scalers["whole"]),
        fold_scalers=[Scaler.from_json(fold) for fold in scalers["folds"]],
        train=stored.batch.take(split.train),
        validation=stored.batch.take(split.validation),
        test=stored.batch.take(split.test),
    )


def some_rows(batch: Batch, points: int) -> Batch:
    """The first rows of a batch, at most `points` of them."""
    return batch.take(np.arange(min(points, len(batch))))

"""What most stages read: a task's rows, its split and its scaler."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redoubt.bundle.schema import Schema
from redoubt.core.store import read_arrays, read_json
from redoubt.core.types import Batch, Bounds
from redoubt.data.prepare import missing
from redoubt.data.prepare.scaling import Scaler
from redoubt.data.shared import dataset
from redoubt.data.splits import Split


@dataclass(frozen=True)
class TaskData:
    """A task's rows by their part in the work.

    Attributes:
        observed: the training rows as they came: NaN for an empty cell, which each fold fills in by its own rows.
    """

    schema: Schema
    sha256: str
    split: Split
    scaler: Scaler
    fold_scalers: list[Scaler]
    train: Batch
    validation: Batch
    test: Batch
    observed: Batch

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
    whole, observed = Scaler.from_json(scalers["whole"]), stored.batch.take(split.train)
    return TaskData(
        schema=missing.fitted(stored.schema, whole.fill),
        sha256=stored.sha256,
        split=split,
        scaler=whole,
        fold_scalers=[Scaler.from_json(fold) for fold in scalers["folds"]],
        train=whole.impute(observed),
        validation=whole.impute(stored.batch.take(split.validation)),
        test=whole.impute(stored.batch.take(split.test)),
        observed=observed,
    )


def some_rows(batch: Batch, points: int) -> Batch:
    """The first rows of a batch, at most `points` of them."""
    return batch.take(np.arange(min(points, len(batch))))

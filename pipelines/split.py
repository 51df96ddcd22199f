"""Cut rows into training, validation and test, and training rows into folds."""

from pathlib import Path

from pipelines._stage import run
from redoubt.params.load import Params
from redoubt.params.task import Task


def work(params: Params, task: Task) -> None:
    """Reads the raw data set; writes index arrays."""
    from redoubt.data import dataset, splits

    data = dataset.load(Path("data/raw", task.name))
    split = splits.split(data.batch.y, task.kind, task.split, data.test_from, params.seed)
    splits.write(Path("data/splits", f"{task.name}.npz"), split)


if __name__ == "__main__":
    run("split", work)

"""Fetch or simulate a task's data into data/raw/TASK."""

from pathlib import Path

from pipelines._stage import run
from redoubt.params import Params, Task


def work(params: Params, task: Task) -> None:
    """Reads the task's source; writes the raw data set with its provenance."""
    from redoubt.data import dataset, sources

    dataset.save(Path("data/raw", task.name), sources.fetch(task, params.seed))


if __name__ == "__main__":
    run("ingest", work)

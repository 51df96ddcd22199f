"""The edge that every stage shares: arguments, settings, one-line errors, time taken."""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pipelines._lock import keep_lock
from redoubt.bundle.base.types import NAME_RULE, is_name
from redoubt.core.errors import RedoubtError, as_user_error, ends_in_one_line
from redoubt.core.store import write_json
from redoubt.data.leftovers import clear
from redoubt.params.settings.base import Strict
from redoubt.params.settings.stages import read_settings
from redoubt.tracking.uri import check_kind, store_uri

S = TypeVar("S", bound=Strict)
# Stages of one model: DVC names them STAGE@TASK-MODEL.
OF_A_MODEL = ("harden",)
WRITTEN = ("data/external", "data/raw", "data/splits", "models", "reports", "resolved", "zoo")
UNFINISHED = (".redoubt/attack", ".redoubt/certify", ".redoubt/checkpoints", ".redoubt/sweep")


def run(stage: str, kind: type[S], work: Callable[[S], Any]) -> None:
    """Run one stage for the task, or the model of a task, that is named on the command line.

    Args:
        stage: its name, as in dvc.yaml.
        kind: of its settings.
        work: takes them, reads the files that dvc.yaml names, calls src and writes the stage's outputs.
    """
    task, name = arguments(stage)
    started = time.perf_counter()
    with ends_in_one_line(f"{name}@{task}: "):
        # Before hours of work whose last stage would fail.
        check_kind(store_uri(Path.cwd()))
        settings = read_settings(kind, Path(task, f"{name}.json"))
    try:
        begin()
        work(settings)
        # Outside DVC's outputs: what a stage took is a fact of the machine and must not change dvc.lock.
        took = {"seconds": round(time.perf_counter() - started, 2), "cores": os.cpu_count(), "peak_mib": _peak_mib()}
        write_json(Path("reports", task, "timings", f"{name}.json"), took)
    except (RedoubtError, OSError) as error:
        said = as_user_error(error)
        if said is None:
            raise
        fail(f"{name}@{task}", task, name, said)


def begin() -> None:
    """Before a stage's own work: clear away what killed processes left half-written, keep a copy of dvc.lock.

    Raises:
        LockError: dvc.lock is damaged and nothing can be done with it.
        StoreError: the copy cannot be written.
    """
    for folder in (*WRITTEN, *UNFINISHED):
        clear(Path(folder))
    keep_lock()


def _peak_mib() -> int:
    """Memory of this process or of its largest child, whichever was more, at its height."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) // unit


def arguments(stage: str) -> tuple[str, str]:
    """The task named on the command line, and the stage as its files are called; ends the process if it is no name."""
    of_a_model = stage in OF_A_MODEL
    parser = argparse.ArgumentParser(
        prog=f"python -m pipelines.{stage}",
        description=f"{sys.modules['__main__'].__doc__} Usually started by `dvc repro`; reads what `resolve` wrote.",
    )
    example = "a model of a task, such as digits-certified" if of_a_model else "a task, such as digits"
    parser.add_argument("task", help=f"{example}; or DVC's name of the stage for it")
    item = item_of(stage, parser.parse_args().task)
    if not is_name(item):
        sys.exit(f"error: {stage}: {NAME_RULE}; got {item[:80]!r}")
    # A task's name may hold a hyphen; a model's does not.
    task, _, model = item.rpartition("-")
    return (task or item, f"{stage}-{model}") if of_a_model else (item, stage)


def item_of(stage: str, given: str) -> str:
    """The task or study meant by its own name, or by DVC's: `digits`, `ingest@digits`, `../dvc.yaml:ingest@digits`."""
    return given.partition(f"{stage}@")[2] or given


def fail(where: str, task: str, run: str, error: Exception) -> NoReturn:
    """End the process with one line, and leave the reason in MLflow.

    Args:
        where: what the line names, such as `validate@digits`.
        task: whose experiment shows the failure.
        run: its run there.
        error: its message is the line.
    """
    # First, so that a tracking server that is down or slow cannot hide why the stage failed.
    print(f"error: {where}: {error}", file=sys.stderr, flush=True)
    from redoubt.tracking.sync import failed

    try:
        failed(task, run, error)
    except (RedoubtError, OSError) as trouble:
        print(f"warning: this failure is not in MLflow: {trouble}", file=sys.stderr)
    sys.exit(1)

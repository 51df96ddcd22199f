"""The edge that every stage shares: arguments, params, one-line errors, time taken."""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from pipelines._lock import keep_lock
from redoubt.data.leftovers import clear
from redoubt.data.store import write_json
from redoubt.params import HARDENED, Params, ParamsError, Task, load
from redoubt.tracking_uri import TrackingError

Work = Callable[..., None]
# Stages that can be told to make one model alone, by `--model`.
MODELS = {"harden": HARDENED}
# Modules whose errors are one line: what a user can fix.
OURS = ("redoubt", "pipelines", "__main__")
WRITTEN = ("data/external", "data/raw", "data/splits", "models", "reports", "zoo")
UNFINISHED = (".redoubt/attack", ".redoubt/checkpoints", ".redoubt/sweep")


def run(name: str, work: Work) -> None:
    """Run one stage for the task named on the command line.

    Args:
        name: the stage, as in dvc.yaml.
        work: reads tracked files, calls src, writes its outputs; also takes `models` if the stage is in `MODELS`.
    """
    params, task, model = arguments(name)
    if name in MODELS:
        work = partial(work, models=[model] if model else MODELS[name])
    started = time.perf_counter()
    try:
        begin()
        work(params, task)
        # Outside DVC's outputs: what a stage took is a fact of the machine and must not change dvc.lock.
        took = {"seconds": round(time.perf_counter() - started, 2), "cores": os.cpu_count(), "peak_mib": _peak_mib()}
        write_json(Path("reports", task.name, "timings", f"{name}.json"), took)
    except ValueError as error:
        if not type(error).__module__.startswith(OURS):
            raise
        fail(f"{name}@{task.name}", task.name, name, error)


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


def arguments(name: str) -> tuple[Params, Task, str | None]:
    """The params, the task and the model named on the command line; ends the process with one line if one is wrong."""
    parser = argparse.ArgumentParser(
        prog=f"python -m pipelines.{name}",
        description=f"{sys.modules['__main__'].__doc__} Usually started by `dvc repro`; reads params.yaml.",
    )
    parser.add_argument(
        "task", help="a task declared in params.yaml, such as digits; or DVC's name of the stage for it"
    )
    if name in MODELS:
        parser.add_argument("--model", choices=MODELS[name], help="make this one alone, outside of DVC; default: all")
    given = parser.parse_args()
    try:
        params = load()
        return params, params.task(item_of(name, given.task)), getattr(given, "model", None)
    except ParamsError as error:
        sys.exit(f"error: {error}")


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
    from redoubt.tracking import failed

    try:
        failed(task, run, error)
    except (TrackingError, OSError) as trouble:
        print(f"warning: this failure is not in MLflow: {trouble}", file=sys.stderr)
    sys.exit(1)

"""Take params.yaml apart: for each stage of a task a file with what it reads, so that an edit redoes no other."""

import argparse
import shutil
import sys
from pathlib import Path

from pipelines._stage import begin, item_of
from redoubt.core.store import StoreError, write_json
from redoubt.params.load import load
from redoubt.params.resolve import of_task
from redoubt.params.settings.base import ParamsError
from redoubt.params.settings.own_rules import read_rules
from redoubt.params.settings.stages import FOLDER


def main() -> None:
    """Write resolved/TASK/STAGE.json for the task named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.resolve", description=f"{__doc__} Reads params.yaml.")
    parser.add_argument("task", help="a task of params.yaml, such as digits; or DVC's name of the stage for it")
    try:
        begin()
        work(item_of("resolve", parser.parse_args().task))
    except (ParamsError, StoreError) as error:
        sys.exit(f"error: {error}")


def work(task: str) -> None:
    """Read params.yaml and the user's own rules; write the settings of a task's stages, and remove what is of none."""
    params = load()
    settings = of_task(params, task, read_rules(task))
    for stage, each in settings.items():
        write_json(Path(FOLDER, task, f"{stage}.json"), each.model_dump(mode="json"))
    for path in Path(FOLDER, task).glob("*.json"):
        if path.stem not in settings:
            path.unlink()
    for folder in FOLDER.iterdir():
        if folder.is_dir() and folder.name not in (*params.tasks, "studies"):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

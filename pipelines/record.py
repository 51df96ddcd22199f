"""Brings MLflow into line with what the stages recorded, and says what it holds."""

import argparse
from pathlib import Path

from redoubt.core.errors import ends_in_one_line
from redoubt.tracking.sync import Summary, sync
from redoubt.tracking.views import link


def describe(summary: Summary) -> str:
    """What MLflow holds, and where to look at it: its own front page shows nothing of model training."""
    held = f"{_count(len(summary.experiments), 'experiment')}, {_count(summary.runs, 'run')} ({summary.new} new)"
    if summary.models:
        held += f", {_count(summary.models, 'new champion')}"
    if summary.waiting:
        held += f"; {_count(summary.waiting, 'run')} left out, since the stage is not done"
    server = summary.uri.startswith("http")
    links = [
        f"  {task}: {summary.uri if server else 'http://127.0.0.1:5000'}/{link(number)}"
        for task, number in summary.experiments.items()
    ]
    return "\n".join([f"MLflow: {held} in {summary.uri}", f"Compare runs{'' if server else ' (make ui)'}:", *links])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def main() -> None:
    """Sync and print the two lines."""
    argparse.ArgumentParser(prog="python -m pipelines.record", description=__doc__).parse_args()
    with ends_in_one_line():
        print(describe(sync(Path.cwd())))


if __name__ == "__main__":
    main()

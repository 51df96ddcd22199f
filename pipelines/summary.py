"""Before a run: check params.yaml and dvc.lock. After it: the table of champions, and what to do next."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines._lock import drop_torn_rwlock, keep_lock
from pipelines._surroundings import prepare
from redoubt.core.errors import ends_in_one_line
from redoubt.core.store import read_json
from redoubt.params.load import Params, load

# The status that a run ends with whose stages all succeeded, but which promoted no model for some task.
NO_CHAMPION = 3


def main() -> None:
    """Print one of the two; status 3 if a task has no champion."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.summary", description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="only say what is wrong with params.yaml or with where runs are recorded, and repair DVC's own files",
    )
    if parser.parse_args().check:
        check()
    else:
        with ends_in_one_line():
            refuse_without_champion(show(_loaded({})))


def check(settings: Mapping[str, Any] | None = None) -> Params:
    """Say what is wrong with the settings or with where runs are recorded, and repair DVC's own files.

    Args:
        settings: take the place of those in params.yaml: `run` or `course`.

    Returns:
        All settings.
    """
    with ends_in_one_line():
        params = _loaded(settings or {})
        keep_lock()
        drop_torn_rwlock()
        prepare()
    _check_studies(params)
    return params


def _loaded(settings: Mapping[str, Any]) -> Params:
    params = load()
    for name in settings.get("run", ()):
        params.task(name)
    return params.model_copy(update=dict(settings))


def _check_studies(params: Params) -> None:
    from redoubt.studies.catalogue import check_known
    from redoubt.studies.contract import StudyError

    try:
        for name in params.studies:
            check_known(name)
    except StudyError as error:
        sys.exit(f"error: params.yaml: studies: {error}")


def show(params: Params) -> list[str]:
    """Print the table of champions, and what to do next.

    Returns:
        One sentence per task without a champion: which gate stopped each model, by how much, and what would help.
    """
    table = Table(
        "task",
        "champion",
        "guard",
        "clean",
        "threat",
        "undefended",
        "oblivious",
        "adaptive",
        "certified",
        title="Champions on the test split",
    )
    rows = [read_json(Path("reports/sections", f"{name}.json")) for name in params.run]
    for name, row in zip(params.run, rows, strict=True):
        if row["champion"] is None:
            table.add_row(name, "none", "", "why: see the end")
            continue
        rates = [_share(row[column]) for column in ("undefended", "oblivious", "adaptive")]
        rates.append(_share(row["certified"]) if row["certified"] else "-")
        stamp = "" if row["trusted"] else " (not trusted: see the report)"
        table.add_row(
            name, row["champion"], row["guard"].removeprefix("only "), row["clean"], row["threat"] + stamp, *rates
        )
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    notes = "".join(f"{row['task']}: {note}\n" for row in rows if row["champion"] for note in row["notes"])
    console.print(
        "Robust accuracy on the test split. Undefended: the network alone; oblivious and adaptive: guarded, the\n"
        "attacker unaware and aware of the guard; certified: guarded, correct throughout the eps-ball. A guard that\n"
        "only detects leaves the network's answer as it is, and flags what its smoothed variants contradict; one that\n"
        f"squeezes answers on its input rounded to fewer levels.\n{notes}"
        f"Report:      {Path('reports/index.html').resolve()}\n"
        "Serve it:    make serve   then open http://127.0.0.1:3000\n"
        "Compare:     make ui      which prints a link per task",
        highlight=False,
        markup=False,
    )
    return [f"{row['task']}: no champion: {'; '.join(row['notes'])}" for row in rows if row["champion"] is None]


def refuse_without_champion(refused: list[str]) -> None:
    """End with status 3 if a task has no champion: a result, and nothing to serve."""
    if refused:
        print("\n".join(refused), file=sys.stderr)
        sys.exit(NO_CHAMPION)


def _share(rate: dict[str, float] | None) -> str:
    if rate is None:
        return "not measured"
    return f"{100 * rate['share']:.1f} % ({100 * rate['low']:.0f}-{100 * rate['high']:.0f})"


if __name__ == "__main__":
    main()

"""The subcommand `quarantine`: rows that break the validation, moved aside into a file and told."""

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from redoubt.cli.words import AskedError, add_json, print_json, task_name
from redoubt.params.load import load
from redoubt.params.settings.own_rules import read_rules

if TYPE_CHECKING:
    from redoubt.cli import Parser

EPILOG = """\
It checks every row by the rules of `validate`: those that follow from the task, and your own in expectations/NAME.json;
and by what `ingest` takes: text in a column of numbers, a part of a whole number, a number outside of its `ranges`.
A row with a cell that breaks one is copied to data/own/quarantine/NAME.csv, with the rule that it breaks, and is not
used from then on; your source file stays as it is. Delete a row there, or the file, and it is used again. The task's
block in params.yaml must allow it: validate: {quarantine: true}.
"""


class Moved(NamedTuple):
    """The quarantined rows, and why each was quarantined."""

    task: str
    source: str
    moved: int
    rows: int
    path: Path | None
    reasons: Counter[str]


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "quarantine",
        help="move rows of a task's table that break its validation aside",
        description="Move rows that break a task's validation aside. Run it in the project's top folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("name", type=task_name, metavar="NAME", help="of the task")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Move rows aside.

    Returns:
        0 if what is left passes, 1 if it does not yet.

    Raises:
        AskedError: the task does not allow it, or is no table of the user's, or no row is right.
        SourceError: data that cannot be used.
    """
    import numpy as np

    from redoubt.data import expectations, quarantine, sources, tables

    params = load()
    task, own = params.task(args.name), read_rules(args.name)
    if not sources.is_own_table(task):
        raise AskedError(
            f"task '{task.name}': its source '{task.source}' is no table of your own; nothing can be moved"
        )
    if not task.checks.quarantine:
        raise AskedError(
            f"task '{task.name}' does not allow it: say validate: {{quarantine: true}} in its block in params.yaml"
        )
    table, origin = sources.own_table(task)
    broken = tables.misfits(table, task)
    # A column most of whose cells are odd is not what the task says it is, and that is what to correct.
    broken = broken if len(broken) <= len(table) / 2 else {}
    fit = np.setdiff1d(np.arange(len(table)), list(broken))
    raw = tables.build(table.iloc[fit].reset_index(drop=True), task, replace(origin, test_from=None))
    broken |= {int(fit[row]): reasons for row, reasons in expectations.broken_rows(raw, task, own).items()}
    if len(broken) == len(table):
        raise AskedError(f"all {len(table):,} rows of '{task.source}' break a rule, so the rule is what to correct")
    path = quarantine.move(table, task.name, broken) if broken else None
    verdict = expectations.validate(sources.fetch(task, params.seed), task, own)
    reasons = Counter(why for each in broken.values() for why in each)
    found = Moved(task.name, str(task.source), len(broken), len(table), path, reasons)
    failed = None if verdict.passed else verdict.explained()
    if args.json:
        print_json({**found._asdict(), "path": path and str(path), "passes": failed is None, "failed": failed})
    else:
        _show(found, failed)
    return 0 if failed is None else 1


def _show(found: Moved, failed: str | None) -> None:
    if found.path is None:
        print(f"no row of '{found.source}' breaks a rule by a cell of its own; nothing was moved")
    else:
        print(f"{found.moved:,} of {found.rows:,} rows of '{found.source}' were moved to {found.path}")
    for reason, count in found.reasons.most_common():
        print(f"- {reason}: {count:,} rows")
    if failed is None:
        print(f"what is left passes. Next: make repro RUN={found.task}")
    else:
        print(f"what is left does not pass yet: {failed}")

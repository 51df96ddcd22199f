"""The subcommand `init`: from a file of data to a task in params.yaml, every decision shown."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redoubt.bundle.base.io import first_mistake
from redoubt.bundle.words import normal
from redoubt.cli.init import block, source
from redoubt.cli.init.allowed import allowed
from redoubt.cli.init.eps import eps_in_words, sized
from redoubt.cli.init.propose import Proposal, likely_target, propose
from redoubt.cli.init.related import giving_away, related
from redoubt.cli.init.rules import proposed
from redoubt.cli.words import AskedError, task_name
from redoubt.core.store import whole_file
from redoubt.data import sources, splits
from redoubt.data.dialect import detect
from redoubt.data.locate import TEXT, SourceError, ending
from redoubt.data.shared.dataset import Raw, prepared
from redoubt.data.shared.kept_together import SplitError
from redoubt.data.shared.survey import listed
from redoubt.params.load import load
from redoubt.params.settings.base import unknown
from redoubt.params.settings.own_rules import path_of, suite
from redoubt.params.settings.read import ReadParams
from redoubt.params.task import Task

if TYPE_CHECKING:
    from redoubt.cli import Parser

PARAMS = Path("params.yaml")
SHOWN = 60
# Letters of a column's name in a message.
NAME = 80
# Of a wider table only the target gets a rule that its owner may edit.
WIDE = 100
RELATED = "all rows keep these; where every valid record must, take them, and no attack will break them (docs/eps.md)"
EPILOG = """\
It reads CSV, TSV, Excel, Parquet (files and folders), Feather, JSON, gzip and zip of these, NPZ, and a folder of
images with a folder per class. It finds separator, decimal mark, encoding and header by itself and says what it found;
the options overrule it. It shows what every column would be used as and why others are left out, writes a commented
block below `tasks:` of params.yaml, and changes nothing else there. Files outside data/own/ are copied into it.

examples:
  redoubt init churn churn.csv --target left
  redoubt init sales export.csv --separator ';' --decimal , --encoding cp1252 --yes
  redoubt init shapes pictures/ --yes
then:
  make repro RUN=churn
"""


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "init",
        help="make a task out of a file of data: show its columns, write the block of params.yaml",
        description="Make a task of your own data. Run it in the project's top folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("name", type=task_name, metavar="NAME", help="of the task: letters, digits, '-' and '_'")
    parser.add_argument("path", type=Path, metavar="PATH", help="a file, or a folder of images or of Parquet files")
    parser.add_argument("--target", metavar="COLUMN", help="what is to be predicted (default: a likely one, said)")
    parser.add_argument("--yes", action="store_true", help="write what is proposed without asking")
    text = parser.add_argument_group("how a table of text is written, instead of what is found")
    text.add_argument("--separator", metavar="CHARACTER", help="between cells, such as ';' or a tab")
    text.add_argument("--decimal", choices=[".", ","], metavar="MARK", help="the decimal mark, . or ,")
    text.add_argument(
        "--thousands", choices=["", ",", ".", " ", "'"], metavar="MARK", help="between groups of three digits"
    )
    text.add_argument("--encoding", help="of the text, such as cp1252 or utf-16")
    text.add_argument("--skip", type=int, metavar="LINES", help="so many lines stand above the names of the columns")
    text.add_argument("--no-header", action="store_true", help="the first row is data")
    text.add_argument("--missing", nargs="+", metavar="WORD", help="what stands for an empty cell, such as '?'")


def run(args: argparse.Namespace) -> int:
    """Propose a task and write it.

    Returns:
        0 if it was written, 1 if it was not confirmed.

    Raises:
        AskedError: not in the project's top folder, or a target that is none.
        SourceError: data that cannot be used.
        ParamsError: a params.yaml that cannot take the task.
    """
    if not PARAMS.is_file():
        raise AskedError("run it in the project's top folder: params.yaml is not here")
    with PARAMS.open(encoding="utf-8", newline="") as lines:
        before = lines.read()
    load(PARAMS)
    block.inserted(before, "", args.name)
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as scratch:
        found = source.look(args.path, _read(args), Path(scratch))
        for sentence in found.said:
            _say(console, f"{args.path}: {sentence}")
        text, raw = _proposed(args, found, before, console)
        console.print(Text(text, style="cyan"), soft_wrap=True)
        if not (args.yes or _confirmed()):
            _say(console, "nothing was written; say --yes to have it written")
            return 1
        source.bring(found, args.name)
    with whole_file(PARAMS) as made:
        made.write_text(block.inserted(before, text, args.name), encoding="utf-8", newline="")
    if (said := _with_rules(args.name, raw)) is not None:
        _say(console, said)
    _say(console, f"written to {PARAMS}; change it there if you know better. Next: make repro RUN={args.name}")
    return 0


def _with_rules(name: str, raw: Raw) -> str | None:
    """Write the suite that the user may edit; None for images, whose pixels have no rules of their own."""
    path = path_of(name)
    if raw.table is None:
        return None
    if path.exists():
        return f"{path} stays as it is: `validate` holds the data against it"
    path.parent.mkdir(exist_ok=True)
    # Dates go on: a range of years would stop the next file.
    parts = [part for dated in raw.schema.dates for part in dated.columns]
    rules = proposed(raw.table.drop(columns=parts), WIDE)
    with whole_file(path) as made:
        made.write_text(suite(name, rules), encoding="utf-8")
    of_all = "" if len(raw.table.columns) <= WIDE else f", of more than {WIDE} columns for the target alone"
    return f"written to {path}: the ranges and words of these data{of_all}, as rules for you to edit"


def _read(args: argparse.Namespace) -> ReadParams | None:
    """How the user says that the text is written; None if he says nothing."""
    said = {
        "separator": "\t" if args.separator in ("\\t", "tab") else args.separator,
        "decimal": args.decimal,
        "thousands": args.thousands,
        "encoding": args.encoding,
        "skip": args.skip,
        "header": False if args.no_header else None,
        "missing": tuple(args.missing) if args.missing else None,
    }
    given = {name: value for name, value in said.items() if value is not None}
    if not given or not args.path.exists():
        return None
    if args.path.is_dir() or ending(args.path) not in (*TEXT, ".zip"):
        raise AskedError(f"'{args.path}' is no table of text, of which --{next(iter(given)).replace('_', '-')} speaks")
    found = detect(args.path).read if ending(args.path) in TEXT else ReadParams()
    try:
        return ReadParams(**{**found.model_dump(), **given})
    except ValidationError as error:
        raise AskedError(first_mistake(error)) from None


def _proposed(args: argparse.Namespace, found: source.Found, before: str, console: Console) -> tuple[str, Raw]:
    """The task's block, after its columns were shown, and the data as the task reads them."""
    where = str(source.place(found, args.name))
    if found.table is None:
        if args.target:
            raise AskedError(f"--target {args.target}: '{args.path}' holds images, whose target is their class")
        plain, remarks = block.of_images(where), {"": "written by `redoubt init`"}
        task, raw = _tried(before, args.name, plain, found)
        for sentence in (_pictured(raw), *raw.survey.notes, *_too_little(raw, task)):
            _say(console, sentence)
        if len(raw.schema.labels) < 2:
            raise AskedError(
                f"'{args.path}' holds images of one class, {raw.schema.labels[0]!r}; expected at least two"
            )
    else:
        proposal = propose(found.table, _target(args, found.table, console))
        _show(console, args.name, len(found.table), proposal)
        if not proposal.named("number", "whole number", "category", "date"):
            raise AskedError(f"no column of '{args.path}' but the target can be used: mend one that is left out above")
        plain = block.of_table(proposal, where, found.read, {})
        try:
            task, raw = _tried(before, args.name, plain, found)
        except (SourceError, SplitError) as error:
            if not proposal.split:
                raise
            _say(console, f"note: rows are split at random after all: {error}")
            proposal = replace(proposal, split={})
            plain = block.of_table(proposal, where, found.read, {})
            task, raw = _tried(before, args.name, plain, found)
        limits = allowed(raw, task.checks, task.missing)
        plain = block.of_table(proposal, where, found.read, limits)
        for sentence in (*_too_little(raw, task), *_repeated(raw, limits)):
            _say(console, f"note: {sentence}")
        remarks = _remarks(proposal)
        numbers = proposal.named("number", "whole number")
        target = [proposal.target] if proposal.kind == "regression" else []
        for line in giving_away(pd.DataFrame(raw.table)[[*numbers, *target]], *target):
            _say(
                console,
                f"note: the target follows from other columns, {line}: leave these out, or nothing is predicted",
            )
        if lines := related(pd.DataFrame(raw.table)[numbers]):
            _say(console, f"note: all rows keep {listed(lines, len(lines))}: see 'relations' at the end of the block")
            remarks[""] = f"{RELATED}\nrelations: {block.flow(list(lines))}\n{remarks['']}"
    eps = sized(raw, task.eps, task.transform)
    remarks["eps"] = eps_in_words(raw, eps)
    plain["eps"] = eps.model_dump()
    return block.text(args.name, plain, remarks), raw


def _tried(before: str, name: str, plain: dict[str, Any], found: source.Found) -> tuple[Task, Raw]:
    """The task that the block makes, and its data as `ingest` would read them.

    Raises:
        SourceError: data that cannot be used.
        SplitError: rows that cannot be split by the proposed column.
        ParamsError: a block that cannot be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, PARAMS)
        path.write_text(block.inserted(before, block.text(name, plain, {}), name), encoding="utf-8")
        params = load(path)
    task = params.task(name)
    raw = sources.fetch(task.model_copy(update={"source": str(found.file)}), seed=0)
    if task.split.by:
        data = prepared(raw)
        splits.split(data.batch.y, task.kind, task.split, data.test_from, params.seed, data.by)
    return task, raw


def _target(args: argparse.Namespace, table: pd.DataFrame, console: Console) -> str:
    asked: str | None = args.target
    names = [str(name) for name in table.columns]
    if asked is None:
        likely = likely_target(names)
        _say(console, f"no --target was given; '{likely}' is taken")
        return likely
    found = asked if asked in names else normal(asked)
    if found not in names:
        one = "; the file has one column: if its cells are separated otherwise than by , ; | or tabs, say --separator"
        hint = one if len(names) == 1 and ending(args.path) in TEXT else ""
        top = [[cell for cell in row if isinstance(cell, str)] for row in table.head(SHOWN).itertuples(index=False)]
        below = next((row for row, cells in enumerate(top) if asked in cells), None)
        if below is not None:
            skip = f", or say --skip {below + 1}" if ending(args.path) in TEXT else ""
            where = f"row {below} (counted from 0 below the header)"
            hint = f"; {where} holds it: if the names are there, remove the lines above it{skip}"
        raise AskedError(f"--target: {unknown(asked, [_short(name) for name in names[:SHOWN]], 'column')}{hint}")
    return found


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 3]}..."


def _show(console: Console, name: str, rows: int, proposal: Proposal) -> None:
    shown = Table(
        "column", "holds", "empty", "distinct", "for example", "used as", "because", title=f"{name}: {rows:,} rows"
    )
    for column in proposal.columns[:SHOWN]:
        figures = [f"{column.empty:,}" if column.empty else "", f"{column.distinct:,}"]
        cells = [column.name, column.holds, *figures, column.shows, column.use, column.why]
        shown.add_row(*map(Text, cells), style="dim" if column.use == "left out" else "")
    console.print(shown)
    if len(proposal.columns) > SHOWN:
        _say(console, f"and {len(proposal.columns) - SHOWN:,} more columns")
    for note in proposal.notes:
        _say(console, f"note: {note}")


def _too_little(raw: Raw, task: Task) -> list[str]:
    """Of data that `validate` will refuse for their number."""
    least = task.checks.min_rows
    return [f"{len(raw):,} rows, but `validate` wants at least {least:,}: add some"] if len(raw) < least else []


def _repeated(raw: Raw, limits: dict[str, float]) -> list[str]:
    """Of rows that stand there several times, for which a limit was raised."""
    if "max_duplicates" not in limits:
        return []
    count = int(pd.DataFrame(raw.table).duplicated(keep=False).sum())
    return [
        f"{count:,} of {len(raw):,} rows are the same as another in all columns that are used, so that a model is"
        " tested on what it learnt: remove the copies, if they are some"
    ]


def _pictured(raw: Raw) -> str:
    x, y = raw.images
    counts = np.bincount(y, minlength=len(raw.schema.labels))
    named = (f"{label} {count:,}" for label, count in zip(raw.schema.labels, counts, strict=True))
    return f"{len(x):,} images of {' x '.join(map(str, x.shape[1:]))}; {len(counts):,} classes: {listed(named)}"


def _remarks(proposal: Proposal) -> dict[str, str]:
    """What stands above the keys of a table's block."""
    left = [f"{column.name}: {column.why}" for column in proposal.columns if column.use == "left out"][:SHOWN]
    remarks = {
        "kind": "written by `redoubt init`; docs/your-data.md says what else a task may declare",
        "features": "\n".join(["left out:", *(f"  {reason}" for reason in left)]) if left else "",
        "categorical": "an attacker keeps these; mutable: [...] names those that he can switch to another category",
        "missing": "what an empty cell counts as: a statistic of training rows (+indicator: one more input says so),\n"
        "a category of its own, or drop: its row is left out; the served model takes null likewise",
        "dates": "parts of dates, each a feature NAME_PART that an attacker cannot change; the model is asked with\n"
        "the date, as 2024-05-31T17:20, or with its parts; times with an offset count in UTC",
        "levels": "so many values are kept, the most frequent ones; rarer and unknown ones count as 'other'",
        "split": "group: rows with the same value stay together; time: the latest rows test; without either at random",
        "transform": "skewed: by rank among the training rows, inside the network; eps stays in raw units",
        "integer": "whole numbers, which an attacker keeps whole",
        "tolerance": "an answer counts as right within this (proposed: half a standard deviation of the target)",
        "validate": "what these data need to pass",
        "train": "\n".join(_training(proposal)),
        "": "immutable: [...]        features that an attacker cannot change; raise_only, lower_only: one way only\n"
        "ranges: {name: [0, 1]}  values that an attacker cannot leave (else: those of the training rows)\n"
        "sweep: {trials: 24}     networks and rates drawn by how the last ones did (else: a grid of six)",
    }
    return remarks


def _training(proposal: Proposal) -> Iterator[str]:
    yield "decay: over these epochs the learning rate falls to 0; the best one on validation examples is kept"
    if proposal.rare:
        yield "balance: rare classes weigh as much as frequent ones"
    if proposal.lopsided:
        yield "threshold: from which probability on the second class is the answer is chosen on validation examples,"
        yield "for the best balanced accuracy"


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        return False
    return input("write this to params.yaml? [Y/n] ").strip().casefold() in ("", "y", "yes")


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)

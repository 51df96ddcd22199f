"""The subcommand `leaderboard`: the cards of many bundles side by side, each task's most robust model first."""

import argparse
import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.table import Table

from redoubt.bundle.base.io import read_typed
from redoubt.bundle.base.types import Positive
from redoubt.cli.words import AskedError

if TYPE_CHECKING:
    from redoubt.cli import Parser

FOLDERS = ("zoo", "models")
EPILOG = """\
Each row is a card, at the L-inf eps of its threat:
  clean                accuracy of the guarded model without attack
  robust               its accuracy under the worst of all attacks, those that know the guard among them (adaptive)
  certified            its share of examples that are correct and proven to stay so
  certified (network)  the same without the guard, which may exceed what is robust behind it
A regression is accurate where its error is within the tolerance of its task. Intervals are 95 % Wilson.

examples:
  redoubt leaderboard                          zoo/ and every champion of models/
  redoubt leaderboard zoo --html zoo.html

exit status: 0 shown; 2 no card was found, or one that cannot be read
"""
# Characters of a threat in a title; that of a table names every feature.
SHORT = 40


class Share(BaseModel):
    """A share of examples, with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    share: float
    low: float
    high: float
    n: int


class Cell(BaseModel):
    """What was measured at one eps."""

    model_config = ConfigDict(frozen=True)

    eps: float
    norm: str
    adaptive: Share
    certified: Share | None = None
    certified_guarded: Share | None = None


class Numbers(BaseModel):
    """What was measured on test examples."""

    model_config = ConfigDict(frozen=True)

    cells: tuple[Cell, ...]
    clean_guarded: Share


class Sized(BaseModel):
    """What the card says of its threat: eps in the units of attacks and in raw ones; empty in an older card."""

    model_config = ConfigDict(frozen=True)

    says: Annotated[str, Field(max_length=10_000)] = ""


class Card(BaseModel):
    """What is read of a card."""

    model_config = ConfigDict(frozen=True)

    task: str
    model: str
    eps: Positive
    passed: bool
    threat: Sized = Sized()
    numbers: Numbers


class Row(BaseModel):
    """One model of the table, at the eps of its threat; `rank` counts within its task and eps, from 1."""

    rank: int = 0
    task: str
    model: str
    eps: float
    says: str
    bundle: str
    passed: bool
    clean: Share
    robust: Share
    certified: Share | None
    certified_guarded: Share | None


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "leaderboard",
        help="the cards of a zoo side by side, the most robust model first",
        description="Clean, robust and certified accuracy of every bundle that has a card.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="of bundles, or TASK/champion (default: zoo models)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the table as a page, too")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Show the table.

    Raises:
        AskedError: there is no card.
        BundleError: a card that cannot be read, or of another form.
    """
    rows = ranked([row for folder in args.folders or map(Path, FOLDERS) for row in rows_of(folder)])
    if not rows:
        named = ", ".join(map(str, args.folders or FOLDERS))
        raise AskedError(f"no card.json in a bundle of {named}; name a folder of bundles, such as zoo")
    if args.json:
        print(json.dumps([row.model_dump() for row in rows], indent=1))
    else:
        _show(rows)
    if args.html is not None:
        from redoubt.core.store import whole_file
        from redoubt.report.page import render

        groups = [(task, lines[0].says, lines) for (task, _), lines in _groups(rows)]
        with whole_file(args.html) as temporary:
            temporary.write_text(render("leaderboard.html", groups=groups), encoding="utf-8")
    return 0


def rows_of(folder: Path) -> list[Row]:
    """A row for every bundle of a folder that has a card with figures at the eps of its threat.

    Raises:
        BundleError: a card that cannot be read, or of another form.
    """
    found = []
    for path in sorted([*folder.glob("[!.]*/card.json"), *folder.glob("[!.]*/champion/card.json")]):
        card = read_typed(path, Card)
        cell = next((each for each in card.numbers.cells if (each.norm, each.eps) == ("linf", card.eps)), None)
        if cell is not None:
            found.append(
                Row(
                    **card.model_dump(include={"task", "model", "eps", "passed"}),
                    says=card.threat.says or f"L-inf {card.eps:g}",
                    bundle=path.parent.as_posix(),
                    clean=card.numbers.clean_guarded,
                    robust=cell.adaptive,
                    certified=cell.certified,
                    certified_guarded=cell.certified_guarded,
                )
            )
    return found


def ranked(rows: list[Row]) -> list[Row]:
    """By task and eps, and within both by robust accuracy, then by what is certified behind the guard."""

    def order(row: Row) -> tuple[Any, ...]:
        proven = row.certified_guarded.share if row.certified_guarded else 0.0
        return row.task, row.eps, -row.robust.share, -proven, row.bundle

    placed: list[Row] = []
    for row in sorted(rows, key=order):
        last = placed[-1] if placed else None
        same = last is not None and (last.task, last.eps) == (row.task, row.eps)
        placed.append(row.model_copy(update={"rank": last.rank + 1 if last is not None and same else 1}))
    return placed


def _groups(rows: list[Row]) -> list[tuple[tuple[str, float], list[Row]]]:
    """The rows of each task and eps, which alone are to be compared."""
    return [(key, list(group)) for key, group in groupby(rows, key=lambda row: (row.task, row.eps))]


def _show(rows: list[Row]) -> None:
    """A table per task and eps, each line short enough for a narrow terminal."""
    console = Console(highlight=False, soft_wrap=True)
    for (task, eps), lines in _groups(rows):
        says = lines[0].says
        short = says if len(says) <= SHORT else f"L-inf {eps:g}"
        title = f"{task}, {short}, {lines[0].robust.n} examples"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("", justify="right")
        table.add_column("model")
        for name in ("clean", "robust (95 %)", "certified", "certified (network)"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in lines:
            interval = f"{_share(row.robust)} ({100 * row.robust.low:.1f}–{100 * row.robust.high:.1f})"
            proven = _share(row.certified_guarded), _share(row.certified)
            table.add_row(str(row.rank), row.model, _share(row.clean), interval, *proven)
        console.print(table)
        if short != says:
            console.print(says, markup=False)
        console.print()


def _share(share: Share | None) -> str:
    return "not measured" if share is None else f"{100 * share.share:.1f} %"

"""The subcommand `compare`: two measured models side by side, with the differences that are larger than chance."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from redoubt.cli import Parser
    from redoubt.report.compare import Row, Side

EPILOG = """\
A and B are each one of:
  PROJECT                  a folder with reports/: every task that both have, each by its champion
  PROJECT/reports/TASK     one task, by its champion; or its robustness.json
  PROJECT/reports/TASK:natural   another model of it
  BUNDLE                   a folder with a card.json, such as zoo/mnist-certified
  RUN                      a model's run in MLflow: its id, runs:/ID or the address of its page

A star marks a difference whose 95 % interval leaves out 0. The terminal shows the task's own eps, the page and --json
every eps that both met.

examples:
  redoubt compare reports/digits:natural reports/digits:certified
  redoubt compare ../before .                    two checkouts of a project
  redoubt compare zoo/mnist-adversarial zoo/mnist-certified --html mnist.html

exit status: 0 compared; 2 there is nothing to compare
"""


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "compare",
        help="two reports, bundles or MLflow runs side by side, as a table and a page",
        description="What differs between two measured models, in settings and in figures.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("a", metavar="A", help="the first")
    parser.add_argument("b", metavar="B", help="the second; differences are B minus A")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="the page (default: comparison.html; with --json, none)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Show the comparison, and write its page.

    Raises:
        SideError: there is nothing to compare.
        BundleError: a file that cannot be read, or of another form.
        TrackingError: MLflow's store cannot be used.
    """
    from redoubt.report.compare import as_data
    from redoubt.report.sides import pairs

    found = pairs(_sides(args.a), _sides(args.b))
    page = args.html or (None if args.json else Path("comparison.html"))
    # Before anything is printed: whoever reads the first lines only closes the pipe on the rest.
    if page is not None:
        _write(page, found)
    if args.json:
        print(json.dumps([as_data(a, b) for a, b in found], indent=1, sort_keys=True))
        return 0
    for a, b in found:
        _show(a, b)
    print(f"page: {page}")
    return 0


def _sides(text: str) -> "list[Side]":
    from redoubt.report.sides import run_id, side_of_run, sides_of

    run = run_id(text)
    if run is None or Path(text).exists():
        return sides_of(text)
    from redoubt.cli.logged import logged_run

    with tempfile.TemporaryDirectory() as folder:
        return [side_of_run(text, *logged_run(run, Path(folder)))]


def _write(path: Path, found: "list[tuple[Side, Side]]") -> None:
    from redoubt.core.store import whole_file
    from redoubt.report.compare import TEST, at_own_eps, curves, notes, rows, settings_that_differ
    from redoubt.report.page import render

    shown = [
        {
            "a": a,
            "b": b,
            "notes": notes(a, b),
            "settings": settings_that_differ(a, b),
            "rows": rows(a, b),
            "own": at_own_eps(a, rows(a, b)),
            "curves": curves(a, b),
        }
        for a, b in found
    ]
    with whole_file(path) as temporary:
        temporary.write_text(render("compare.html", comparisons=shown, test=TEST), encoding="utf-8")


def _show(a: "Side", b: "Side") -> None:
    """What is found first, then what differs in settings, each line short enough for a narrow terminal."""
    from redoubt.report.compare import TEST, at_own_eps, notes, rows, settings_that_differ

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{a.task}[/bold]", f"A: {a.name}, {a.model}", f"B: {b.name}, {b.model}", sep="\n")
    for note in notes(a, b):
        console.print(f"note: {note}", markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("threat", no_wrap=True)
    table.add_column("accuracy", no_wrap=True)
    for name in ("A", "B", "B - A (95 %)"):
        table.add_column(name, justify="right", no_wrap=True)
    before, found = "", rows(a, b)
    for row in at_own_eps(a, found):
        table.add_row("" if row.threat == before else row.threat, row.what, *_told(row))
        before = row.threat
    console.print(table)
    different = settings_that_differ(a, b)
    console.print(f"\nsettings that differ: {len(different) or 'none'}")
    for name, first, second in different:
        console.print(f"  {name}: {_value(first)} | {_value(second)}", markup=False)
    console.print(f"\n* larger than chance: {TEST}\n", markup=False)


def _told(row: "Row") -> tuple[str, str, str]:
    points = f"{100 * row.difference:+.1f} ({100 * row.low:+.1f} to {100 * row.high:+.1f})"
    return f"{100 * row.a['share']:.1f} %", f"{100 * row.b['share']:.1f} %", points + (" *" if row.differs else "  ")


def _value(value: object) -> str:
    """A setting in a few letters; of a digest, its beginning."""
    text = "-" if value is None else str(value)
    return text if len(text) <= 30 else f"{text[:12]}\N{HORIZONTAL ELLIPSIS}"

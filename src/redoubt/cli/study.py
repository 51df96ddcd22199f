"""The subcommand `study`: an experiment of the course, run by itself."""

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from redoubt.cli.waiting import saying
from redoubt.cli.words import add_json, check_out, print_json
from redoubt.params.load import load
from redoubt.params.resolve import sizes_of_study
from redoubt.params.settings.stages import Course
from redoubt.quiet import no_stderr

if TYPE_CHECKING:
    from redoubt.cli import Parser
    from redoubt.studies.contract import Result

EPILOG = """\
Each study is one module, src/redoubt/studies/CHAPTER/NAME.py: read it beside its output. It takes the course's own data
where REDOUBT_DATA_MIRROR or the network has it, else an embedded stand-in, and says which.

examples:
  redoubt study --list
  redoubt study polynomial
  redoubt study universes --full --out universes
"""


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "study",
        help="run an experiment of the machine-learning course; write its numbers and figures",
        description="Run one experiment of the course that Redoubt grew from.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of the study; see --list")
    parser.add_argument(
        "--list", action="store_true", help="list the studies in the course's order, with their questions"
    )
    parser.add_argument("--full", action="store_true", help="full sizes of params.yaml instead of the quick ones")
    parser.add_argument(
        "--stand-in", action="store_true", help="use the embedded stand-in even where the data is found"
    )
    parser.add_argument("--seed", type=int, default=20, help="of everything drawn (default: 20)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: reports/study/NAME")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """List the studies, or run one."""
    from redoubt.studies.catalogue import CHAPTERS, NAMES, find
    from redoubt.studies.contract import StudyError

    if args.list:
        if args.json:
            print_json(list(_listed()))
            return 0
        table = Table("study", "asks", box=None)
        for chapter, names in CHAPTERS.values():
            table.add_row(f"[bold]{chapter.en}")
            for name in names:
                with no_stderr():
                    table.add_row(f"  {name}", find(name).title.en)
        Console().print(table)
        return 0
    if args.name is None:
        raise StudyError(f"name a study; there are: {', '.join(NAMES)}")
    return _run(args)


def _listed() -> Iterator[dict[str, str]]:
    from redoubt.studies.catalogue import CHAPTERS, find

    for chapter, names in CHAPTERS.values():
        for name in names:
            with no_stderr():
                asks = find(name).title.en
            yield {"name": name, "chapter": chapter.en, "asks": asks}


def _run(args: argparse.Namespace) -> int:
    from redoubt.studies.catalogue import find
    from redoubt.studies.files import write
    from redoubt.studies.given import Given
    from redoubt.studies.sizes import sizes_of

    with saying("loading what the study needs"), no_stderr():
        study = find(args.name)
    course: Course = "full" if args.full else "quick"
    changes = sizes_of_study(load(), args.name, course) if Path("params.yaml").is_file() else {}
    sizes = sizes_of(args.name, study, changes)
    folder = args.out or Path("reports", "study", args.name)
    _check_replaceable(folder)
    console = Console(highlight=False)
    # An answer that a program reads is nothing but the answer.
    waiting = nullcontext() if args.json else console.status(f"{args.name}: {study.title.en}")
    with waiting, no_stderr():
        result = study.run(Given(course=not args.stand_in, seed=args.seed), sizes, args.seed)
    write(folder, study, result, {"name": args.name, "seed": args.seed, "sizes": sizes.model_dump()})
    if args.json:
        print((folder / "result.json").read_text(encoding="utf-8"), end="")
        return 0
    _show(console, study.title.en, result)
    console.print(f"Numbers and figures: {folder.resolve()}")
    return 0


def _check_replaceable(folder: Path) -> None:
    """Refuse, before any work, to put a study in the place of something else, which would be lost.

    Raises:
        StudyError: `folder` is a file, or a folder that holds anything but a study.
        SurroundingsError: it cannot be made.
    """
    from redoubt.studies.contract import StudyError

    check_out(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "result.json").is_file():
        raise StudyError(f"--out {folder} holds other things than a study, which would be lost: name a new folder")


def _show(console: Console, title: str, result: "Result") -> None:
    console.print(f"[bold]{title}[/bold]\n{result.origin.en}")
    for given in result.tables:
        table = Table(*[head.en for head in given.columns], title=given.caption.en, title_justify="left")
        for row in given.rows:
            table.add_row(*[_cell(cell) for cell in row])
        console.print(table)
    console.print(result.takeaway.en)


def _cell(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return str(getattr(cell, "en", cell))

"""Words that subcommands share: which examples, how many, and the folder named after a target."""

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redoubt.bundle.base.types import NAME_RULE, is_name
from redoubt.cli.waiting import load_tensorflow
from redoubt.core.errors import RedoubtError
from redoubt.core.store import dumps

if TYPE_CHECKING:
    from redoubt.targets.contract import Target


class AskedError(RedoubtError):
    """Words on the command line that do not go together."""


def add_rows(parser: argparse.ArgumentParser, title: str, points: str) -> argparse._ArgumentGroup:
    """Add the options that say which examples; `points` is the help of how many."""
    rows = parser.add_argument_group(title)
    rows.add_argument("--data", type=Path, metavar="FILE.npz", help="examples x, in raw units, with their true y")
    rows.add_argument(
        "--task",
        type=task_name,
        help="take this project task's test split; also the task to query at a URL (default: the bundle's)",
    )
    rows.add_argument("--points", type=count, metavar="N", help=points)
    rows.add_argument(
        "--bounds",
        type=float,
        nargs=2,
        metavar=("LO", "HI"),
        help="of the inputs, of anything but a bundle (default 0 1)",
    )
    rows.add_argument(
        "--tolerance", type=float, metavar="ERROR", help="regression: an error above this counts as wrong"
    )
    return rows


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a target is got at: of a URL, and of a model of MLflow."""
    access = parser.add_argument_group("how the target is got at")
    access.add_argument("--protocol", help="of a URL: redoubt, oip, mlflow or tensorflow-serving")
    access.add_argument("--model", metavar="NAME", help="of a URL that serves several models or tasks")
    access.add_argument(
        "--rate", type=_rate, metavar="N", help="of a URL: requests per second at most (default: no limit)"
    )
    access.add_argument("--trust", action="store_true", help="a model of MLflow may run its own code")


def check_access(args: argparse.Namespace) -> None:
    """Refuse a protocol that nobody speaks.

    Raises:
        AskedError: names those that are known.
    """
    if args.protocol is None:
        return
    load_tensorflow()
    from redoubt.targets.wire import PROTOCOLS

    if args.protocol not in PROTOCOLS:
        raise AskedError(f"--protocol is '{args.protocol}'; expected {', '.join(PROTOCOLS)}")


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return value


def check_rows(args: argparse.Namespace) -> None:
    """Refuse examples named twice, a seed that is none and a folder that cannot hold results.

    Raises:
        AskedError: they are.
    """
    if args.data and args.task and not args.target.startswith("http"):
        raise AskedError("--data and --task both name examples: leave one of them out")
    if args.seed < 0:
        raise AskedError(f"--seed is {args.seed}; it must be >= 0")
    if args.out is not None:
        check_out(args.out)


def check_out(folder: Path) -> None:
    """Refuse, before any work, a folder for results that cannot be one.

    Raises:
        AskedError: it, or a part of its path, is a file, or may not be written to.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise AskedError(f"--out {folder}: {there} is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise AskedError(f"--out {folder}: you may not write in {there}; name a folder where you may")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for whoever reads the answer by a program."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def print_json(value: Any) -> None:
    """Print an answer as indented JSON with sorted keys."""
    print(dumps(value), end="")


def count(text: str) -> int:
    """A number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number >= 1")
    return int(text)


def task_name(text: str) -> str:
    """A name that a task can have."""
    if not is_name(text):
        raise argparse.ArgumentTypeError(f"{NAME_RULE}; got {text[:80]!r}")
    return text


def folder_name(target: "Target") -> str:
    """What results on a target are kept under."""
    said = target.said
    if target.kind in ("keras", "onnx"):
        return Path(said).stem
    if target.kind in ("callable", "mlflow"):
        return re.sub(r"[^A-Za-z0-9_-]+", "-", said).strip("-")
    parts = (
        [said.split("://")[1].replace(":", "-")] if "://" in said else Path(said).with_suffix("").absolute().parts[-2:]
    )
    return "-".join(parts).strip("/").replace("/", "-")

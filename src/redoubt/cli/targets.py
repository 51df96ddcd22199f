"""Opens the target that `attack` and `certify` name, as `audit` does, with the examples that they name."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from redoubt.attacks.query import Oracle
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.schema import Schema
from redoubt.cli.rows import examples_at
from redoubt.cli.words import AskedError
from redoubt.core.types import Bounds
from redoubt.targets.contract import Opening, Target
from redoubt.targets.open import SCHEMES, open_target


def open_asked(args: argparse.Namespace, *, reads: bool = True) -> Target:
    """Open what the command line names.

    Args:
        args: with the words of `add_rows`, and those of `add_access` where the subcommand has them.
        reads: the examples are read too; else only a model that tells its own shape can be opened.

    Returns:
        The target; whoever answers without gradients has its answers counted.

    Raises:
        AskedError: an option has no meaning for it.
        TargetError: it is nothing that can be attacked.
    """
    said, folder = args.target, _served(args)
    own = folder is not None or Path(said, "schema.json").is_file()
    if own and args.bounds is not None:
        raise AskedError(f"--bounds: '{said}' has its own; leave it out")
    if args.bounds is not None and not args.bounds[0] < args.bounds[1]:
        low, high = args.bounds
        raise AskedError(f"--bounds are {low:g} {high:g}; the first must be below the second")
    opening = _opening(args, folder, reads=reads and not own)
    target = open_target(said, opening)
    if target.width > 1:
        labels = (*target.labels[: target.width], *map(str, range(len(target.labels), target.width)))
        target = replace(target, labels=labels)
    if target.gradients is None and target.oracle is None:
        target = replace(target, predict=Oracle(target.predict))
    return target if own else replace(target, bounds=_box(*(args.bounds or (0.0, 1.0)), whole=target.whole))


def _opening(args: argparse.Namespace, folder: Path | None, *, reads: bool) -> Opening:
    sample, labels = examples_at(args.target, args.data, args.task) if reads else (None, ())
    is_number = args.tolerance is not None
    return Opening(
        sample=sample,
        labels=() if is_number else labels,
        is_number=is_number,
        trust=getattr(args, "trust", False),
        protocol=getattr(args, "protocol", None),
        model=getattr(args, "model", None),
        rate=getattr(args, "rate", None),
        bundle=folder,
    )


def _served(args: argparse.Namespace) -> Path | None:
    """The folder of the bundle that a URL serves, if it is one of this project's."""
    said, bundle = args.target, getattr(args, "bundle", None)
    if not said.startswith(SCHEMES):
        if bundle is not None:
            raise AskedError(f"--bundle tells what a URL serves; '{said}' is none: leave it out")
        return None
    if bundle is None and args.task is None:
        if getattr(args, "protocol", None) is not None:
            return None
        raise AskedError(
            f"{said} serves more than one task: say which with --task NAME; a service that is none of this project's"
            " is asked by --protocol"
        )
    folder = bundle or Path("models", args.task, "champion")
    if not folder.is_dir():
        raise AskedError(f"{folder} is no folder; give that of the model that {said} serves with --bundle FOLDER")
    path = folder / "schema.json"
    task = read_typed(path, Schema).task if path.is_file() else args.task
    if args.task not in (None, task):
        raise AskedError(f"{folder} is of task '{task}', not '{args.task}'")
    return Path(folder)


def _box(low: float, high: float, *, whole: bool) -> Bounds:
    lower, upper, scale = (np.full(1, end, np.float32) for end in (low, high, 1.0))
    return Bounds(lower, upper, scale, np.bool_(whole))

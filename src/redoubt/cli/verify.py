"""The subcommand `verify`: is a bundle what its card says, and does its recipe make it again?"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from redoubt.certify.proof import proven
from redoubt.data import dataset, splits
from redoubt.data.store import digest, digest_folder, read_json, write_json
from redoubt.defenses.guarded import BUNDLE_FILES, GuardedModel
from redoubt.tasks import Batch

if TYPE_CHECKING:
    from redoubt.cli import Parser

DATA_STAGES = ("ingest", "split", "scale")
# What another kind of processor, which rounds differently, may change of a share: half a point.
CLOSE = 0.005
EPILOG = """\
It checks three things, and says which holds:
  1. the files are those that the card vouches for;
  2. the card's clean and certified shares come out of these files again, on the whole test split;
  3. the recipe, run again from the data on, makes the same weights, or at least the same shares.
The third takes as long as the training did (the card says how long); --quick leaves it out. The same kind of
processor makes the same weights to the byte; another one rounds differently and is held to half a point.

examples:
  redoubt verify zoo/mnist-certified --quick
  REDOUBT_DATA_MIRROR=... redoubt verify zoo/mnist-certified

exit status: 0 all holds; 1 something does not; 2 could not begin
"""


class VerifyError(ValueError):
    """What cannot be verified; the message says why."""


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "verify",
        help="check a bundle against its card; train it again and compare",
        description="Check a bundle of zoo/ against its card. Run it in the project's top folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="a folder with a card.json, such as zoo/mnist-certified"
    )
    parser.add_argument("--quick", action="store_true", help="do not train again")


def run(args: argparse.Namespace) -> int:
    """Verify; prints a table.

    Raises:
        VerifyError: no card, a card without a recipe, or not in the project's top folder.
    """
    card = _card(args.bundle)
    if not Path("pipelines/harden.py").is_file():
        raise VerifyError("run it in the project's top folder: pipelines/harden.py is not here")
    found = {"files": digest_folder(args.bundle, BUNDLE_FILES)}
    table = Table("what", "card", "found", "holds", title=str(args.bundle))
    good = _row(
        table, "digest of the files", card["digest"][:12], found["files"][:12], card["digest"] == found["files"]
    )
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        test = _data(project, card)
        good &= _shares(table, "these files", card, args.bundle, test)
        if not args.quick:
            minutes, cores = card["seconds"]["training"] / 60, card["machine"]["cores"]
            print(f"training again: it took {minutes:.0f} min on {cores} cores when the card was made")
            _stage(project, "harden", card["task"], "--model", card["model"])
            again = project / "models" / card["task"] / card["model"]
            weights = digest((again / "model.weights.h5").read_bytes())
            same = weights == card["weights"]
            _row(table, "weights trained again", card["weights"][:12], weights[:12], same)
            # Other rounding, other weights: then the shares must agree.
            good &= _shares(table, "trained again", card, again, test) or same
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0 if good else 1


def _card(bundle: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = read_json(bundle / "card.json")
    except FileNotFoundError:
        raise VerifyError(f"{bundle} has no card.json; give a bundle of zoo/") from None
    if "params" not in card:
        raise VerifyError(f"the card of {bundle} has no recipe; only bundles of zoo/ have one, made by `make mnist`")
    return card


def _data(project: Path, card: dict[str, Any]) -> Batch:
    """Fetch and split the data in a project of its own, and take the test rows.

    Raises:
        VerifyError: the data are others.
    """
    (project / "params.yaml").write_text(yaml.safe_dump(card["params"], sort_keys=False), encoding="utf-8")
    write_json(project / "reports" / card["task"] / "selected.json", card["selected"])
    own = Path("data/own").resolve()
    if own.is_dir():
        (project / "data").mkdir()
        (project / "data/own").symlink_to(own)
    for stage in DATA_STAGES:
        _stage(project, stage, card["task"])
    stored = dataset.load(project / "data/raw" / card["task"])
    if stored.sha256 != card["dataset"]:
        raise VerifyError(f"the data have digest {stored.sha256[:12]}; the card's have {card['dataset'][:12]}")
    return stored.batch.take(splits.read(project / "data/splits" / f"{card['task']}.npz").test)


def _stage(project: Path, stage: str, task: str, *more: str) -> None:
    command = [sys.executable, "-m", f"pipelines.{stage}", task, *more]
    paths = [str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(command, cwd=project, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, check=False)  # noqa: S603
    if done.returncode:
        raise VerifyError(f"stage {stage} ended with status {done.returncode}; see above")


def _shares(table: Table, whose: str, card: dict[str, Any], bundle: Path, test: Batch) -> bool:
    """Compare the clean and certified share of a bundle with the card's."""
    model, eps = GuardedModel.load(bundle), card["eps"]
    tolerance = card["params"]["tasks"][card["task"]].get("tolerance")
    good = True
    for row in card["certificates"]["interval"]:
        if row["eps"] in (0.0, eps) and row["certified"]:
            proof = model.prove(test.x, row["eps"], np.random.default_rng(0))[:, 0]
            share, said = float(proven(proof, test.y, tolerance).mean()), row["certified"]["share"]
            what = f"{whose}: " + ("clean" if row["eps"] == 0 else f"certified at L-inf {eps:g}")
            good &= _row(table, what, f"{100 * said:.2f} %", f"{100 * share:.2f} %", abs(share - said) <= CLOSE)
    return good


def _row(table: Table, what: str, said: str, found: str, holds: bool) -> bool:
    table.add_row(what, said, found, "[green]yes[/]" if holds else "[red]no[/]")
    return holds

"""The subcommand `verify`: is a bundle what its card says, and does its recipe make it again?"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.table import Table

from redoubt.bundle.base.io import digest, digest_folder, read_typed
from redoubt.bundle.base.types import Name
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.cli.words import add_json, print_json
from redoubt.core.errors import RedoubtError
from redoubt.core.store import write_json
from redoubt.core.types import Batch
from redoubt.data import splits
from redoubt.data.prepare import missing
from redoubt.data.shared import dataset
from redoubt.data.sources import NAMED, SIMULATED
from redoubt.evaluation.certification import certified_network
from redoubt.params.load import load
from redoubt.params.settings.base import ParamsError, Share
from redoubt.params.task import Task
from redoubt.training.sweep import Selected

if TYPE_CHECKING:
    from redoubt.cli import Parser

SOURCES = (*SIMULATED, *NAMED)
DATA_STAGES = ("resolve", "ingest", "split", "scale")
# What another kind of processor, which rounds differently, may change of a share: half a point.
CLOSE = 0.005
# The file descriptor, which every process has.
STDERR = 2
EPILOG = """\
It checks three things, and says which holds:
  1. the files are those whose digest the card reports;
  2. the card's clean and certified accuracies are reproduced from these files on the whole test split;
  3. retraining by the recipe, from the data on, reproduces the weights, or at least the accuracies.
The third takes as long as the training did (see the card); --quick skips it. The same kind of
processor gives the same weights to the byte; another one rounds differently and may differ by half a point.

examples:
  redoubt verify zoo/mnist-certified --quick
  REDOUBT_DATA_MIRROR=... redoubt verify zoo/mnist-certified

exit status: 0 everything is reproduced; 1 something is not; 2 could not start
"""


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Size = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]


class VerifyError(RedoubtError):
    """What cannot be verified; the message says why."""


class Component(BaseModel):
    """What is read of a stranger's card: typed, bounded, and nothing else of it used."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Certified(Component):
    """The share of examples that is certified."""

    share: Share


class Interval(Component):
    """What interval bounds prove within one eps."""

    eps: Size
    certified: Certified | None


class Certificates(Component):
    """Certificates of the card; those of randomized smoothing are not made again."""

    interval: Annotated[tuple[Interval, ...], Field(max_length=1000)]


class Seconds(Component):
    """How long the training took."""

    training: Annotated[float, Field(ge=0.0, le=1e9, allow_inf_nan=False)]


class Machine(Component):
    """On how many cores."""

    cores: Annotated[int, Field(ge=1, le=1_000_000)]


class Card(Component):
    """A card of a bundle with a recipe.

    Attributes:
        task: which the recipe makes; the bundle's own.
        model: which of the task's hardened models.
        digest: of the bundle's files.
        weights: SHA-256 of the weights' file.
        dataset: of the data's canonical content.
        eps: L-inf size of the threat.
        params: a params.yaml with this task alone.
        selected: the winner of the sweep, which the recipe builds on.
    """

    task: Name
    model: Literal["adversarial", "certified", "smoothed"]
    digest: Digest
    weights: Digest
    dataset: Digest
    eps: Size
    params: dict[str, Any]
    selected: Selected
    certificates: Certificates
    seconds: Seconds
    machine: Machine

    @property
    def minutes(self) -> float:
        """The training took."""
        return self.seconds.training / 60


class Check(NamedTuple):
    """What the card says, what was found, and whether they agree."""

    what: str
    card: str
    found: str
    holds: bool


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "verify",
        help="check a bundle against its card; retrain it and compare",
        description="Check a bundle of zoo/ against its card. Run it in the project's top folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="a folder with a card.json, such as zoo/mnist-certified"
    )
    parser.add_argument("--quick", action="store_true", help="skip retraining")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Verify; prints a table.

    Raises:
        VerifyError: no card, a card without a recipe or with one that reaches out of its own folder, or not in the
            project's top folder.
        BundleError: a file of the bundle cannot be read or holds what it must not.
    """
    card = _card(args.bundle)
    if not Path("pipelines/harden.py").is_file():
        raise VerifyError("run it in the project's top folder: pipelines/harden.py is not here")
    schema = GuardedModel.load(args.bundle).schema
    if schema.task != card.task:
        raise VerifyError(f"{args.bundle}: schema.json is of another task than the card, which is of '{card.task}'")
    found = digest_folder(args.bundle, BUNDLE_FILES)
    table = [Check("digest of the files", card.digest[:12], found[:12], card.digest == found)]
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        task = _recipe(project, card, args.bundle)
        test = _data(project, card, schema)
        table += _shares("these files", card, (args.bundle, task.tolerance), test)
        good = all(check.holds for check in table)
        if not args.quick:
            print(
                f"training again: it took {card.minutes:.0f} min on {card.machine.cores} cores when the card was made",
                file=sys.stderr,
            )
            _stage(project, "harden", f"{card.task}-{card.model}")
            again = project / "models" / card.task / card.model
            weights = digest((again / "model.weights.h5").read_bytes())
            same = weights == card.weights
            shares = _shares("trained again", card, (again, task.tolerance), test)
            table += [Check("weights trained again", card.weights[:12], weights[:12], same), *shares]
            # Other rounding, other weights: then the shares must agree.
            good &= same or all(check.holds for check in shares)
    if args.json:
        print_json({"bundle": str(args.bundle), "reproduced": good, "checks": [check._asdict() for check in table]})
    else:
        _show(args.bundle, table, good)
    return 0 if good else 1


def _show(bundle: Path, checks: list[Check], good: bool) -> None:
    """The verdict, and below it what it rests on."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(f"{bundle}: {'everything is reproduced' if good else 'not everything is reproduced'}", markup=False)
    table = Table("what", "card", "found", "holds")
    for check in checks:
        table.add_row(check.what, check.card, check.found, "[green]yes[/]" if check.holds else "[red]no[/]")
    console.print(table)


def _card(bundle: Path) -> Card:
    """The card of a bundle whose files are all its own.

    Raises:
        VerifyError: a symbolic link, which may lead anywhere; no card, or one without a recipe.
        BundleError: a card that cannot be read.
    """
    if bundle.is_dir():
        for path in sorted(bundle.iterdir()):
            if path.is_symlink():
                raise VerifyError(f"{path} is a symbolic link; a bundle to be verified must hold its files itself")
    try:
        if read_typed(bundle / "card.json", _Recipe).params is None:
            raise VerifyError(
                f"the card of {bundle} has no recipe; only bundles of zoo/ have one, made by `make mnist`"
            )
        return read_typed(bundle / "card.json", Card)
    except (FileNotFoundError, NotADirectoryError):
        raise VerifyError(f"{bundle} has no card.json; give a bundle of zoo/") from None
    except OSError as error:
        raise VerifyError(f"{bundle} cannot be read: {error}") from None


class _Recipe(Component):
    params: Any = None


def _recipe(project: Path, card: Card, bundle: Path) -> Task:
    """Write the card's params.yaml and selection into a project of its own, once they are known to stay inside it.

    Raises:
        VerifyError: params that cannot be used, of other tasks, or with data outside the project.
    """
    path = project / "params.yaml"
    path.write_text(yaml.safe_dump(card.params, sort_keys=False), encoding="utf-8")
    try:
        params = load(path)
        task = params.task(card.task)
    except ParamsError as error:
        raise VerifyError(f"{bundle / 'card.json'}: params: {str(error).removeprefix(f'{path}: ')}") from None
    if list(params.tasks) != [card.task] or params.run != (card.task,):
        raise VerifyError(f"{bundle / 'card.json'}: params: expected the task '{card.task}' alone")
    source = PurePosixPath(task.source)
    if task.source not in SOURCES and (source.parts[:2] != ("data", "own") or ".." in source.parts):
        raise VerifyError(
            f"{bundle / 'card.json'}: params: source is {task.source[:80]!r};"
            f" expected a file below data/own/, or one of {', '.join(SOURCES)}"
        )
    write_json(project / "reports" / card.task / "selected.json", card.selected.model_dump())
    return task


def _data(project: Path, card: Card, schema: Schema) -> Batch:
    """Fetch and split the data in a project of its own, and take the test examples.

    Raises:
        VerifyError: the data are others, or not what the bundle takes.
    """
    own = Path("data/own").resolve()
    if own.is_dir():
        (project / "data").mkdir()
        (project / "data/own").symlink_to(own)
    for stage in DATA_STAGES:
        _stage(project, stage, card.task)
    stored = dataset.load(project / "data/raw" / card.task)
    if stored.sha256 != card.dataset:
        raise VerifyError(f"the data have digest {stored.sha256[:12]}; the card's have {card.dataset[:12]}")
    ours = stored.schema
    if (ours.kind, ours.shape, ours.labels) != (schema.kind, schema.shape, schema.labels):
        raise VerifyError(
            f"the data are of kind {ours.kind}, shape {list(ours.shape)} and {len(ours.labels)} classes;"
            f" schema.json says {schema.kind}, {list(schema.shape)} and {len(schema.labels)}, or other names of them"
        )
    test = stored.batch.take(splits.read(project / "data/splits" / f"{card.task}.npz").test)
    return Batch(missing.filled(test.x, missing.of_schema(schema)), test.y)


def _stage(project: Path, stage: str, item: str) -> None:
    command = [sys.executable, "-m", f"pipelines.{stage}", item]
    paths = [str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]
    # A stage that fails tells MLflow; a stranger's recipe tells nobody but the temporary project.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    variables = {**kept, "PYTHONPATH": os.pathsep.join(paths)}
    # What a stage says is no part of the answer.
    done = subprocess.run(command, cwd=project, env=variables, check=False, stdout=STDERR)  # noqa: S603
    if done.returncode:
        raise VerifyError(f"stage {stage} ended with status {done.returncode}; see above")


def _shares(whose: str, card: Card, made: tuple[Path, float | None], test: Batch) -> list[Check]:
    """Compare the clean and certified share of a bundle, and the tolerance it goes by, with the card's."""
    bundle, tolerance = made
    model = GuardedModel.load(bundle)
    measured = ((row.eps, row.certified) for row in card.certificates.interval)
    rows = {eps: found.share for eps, found in measured if found and eps in (0.0, card.eps)}
    if not rows or not model.proves:
        raise VerifyError(f"the card of {bundle} has no certificates at eps 0 and {card.eps:g}, or its graph no bounds")
    checks = []
    for eps, expected in rows.items():
        share = float(certified_network(model, test, eps, tolerance).mean())
        what = f"{whose}: " + ("clean" if eps == 0 else f"certified at L-inf {eps:g}")
        holds = abs(share - expected) <= CLOSE
        checks.append(Check(what, f"{100 * expected:.2f} %", f"{100 * share:.2f} %", holds))
    return checks

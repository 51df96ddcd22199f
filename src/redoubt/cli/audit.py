"""The subcommand `audit`: a verdict on any model, by the strongest attacks that its access allows."""

import argparse
import re
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from redoubt.cli.waiting import load_tensorflow, saying
from redoubt.cli.words import AskedError, add_access, check_access, check_out, count

if TYPE_CHECKING:
    from redoubt.audit.frame import Frame
    from redoubt.audit.result import Audit
    from redoubt.audit.run import Settings
    from redoubt.bundle.schema import Schema
    from redoubt.cli import Parser
    from redoubt.cli.examples import Examples
    from redoubt.core.types import Norm
    from redoubt.targets.contract import Target

POINTS = 1000
EPILOG = """\
TARGET is one of
  a bundle folder               gradients, bounds, and its guard in columns of its own
  model.keras                   gradients, and bounds where its layers have them
  model.onnx                    scores by ONNX Runtime; gradients where every operator has a form here
  package.module:function       scores or labels of any Python function from arrays to answers
  models:/NAME@ALIAS, runs:/ID/PATH   MLflow; nothing is unpickled without --trust
  http://HOST:PORT              scores or labels; a header for it in REDOUBT_AUDIT_HEADER ('Authorization: Bearer ...')

Without --eps it is that of a bundle's card, else 8/255 of the range of images and 0.3 of tables (L2: 0.5).
eps is in the unit of the inputs where --bounds are given or the examples are images, and in standard deviations of
each feature for other tables; every output says what it amounts to. Images are taken for 0..1, -1..1 or 0..255,
whichever holds them, unless --bounds say otherwise.

examples:
  redoubt audit model.keras --data test.npz --eps 0.1
  redoubt audit model.onnx --data test.csv --target churned --eps 0.3 --budget 10m
  redoubt audit mypackage.model:predict_proba --data test.npz --budget 50000q
  redoubt audit http://127.0.0.1:8080/v2/models/digits --data test.npz --fail-under 0.7

exit status: 0 done; 1 it broke off (what is known is kept), MLflow went away, or --fail-under was given and robust
accuracy is below it or cannot be trusted; 2 it could not start
"""


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "audit",
        help="a verdict on any model: a Keras or ONNX file, a function, a model of MLflow, a URL",
        description="Attack a model as hard as its access allows, check that the figures can be believed, and write a"
        " report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("target", metavar="TARGET", help="what is attacked; see below")
    _add_data(parser)
    _add_attacker(parser)
    add_access(parser)
    parser.add_argument("--json", action="store_true", help="print audit.json instead of a table")
    parser.add_argument("--mlflow", action="store_true", help="log a run too, at MLFLOW_TRACKING_URI or into mlflow.db")
    parser.add_argument("--fail-under", type=float, metavar="SHARE", help="a gate on robust accuracy, such as 0.7")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: reports/audits/TARGET")


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("the examples")
    data.add_argument(
        "--data", type=Path, metavar="FILE", required=True, help="NPZ with x and y, a table, or a folder of images"
    )
    data.add_argument(
        "--target", dest="column", metavar="COLUMN", help="of a table: the column with the label or value"
    )
    data.add_argument("--points", type=count, default=POINTS, metavar="N", help=f"examples at most (default {POINTS})")
    data.add_argument("--bounds", type=float, nargs=2, metavar=("LO", "HI"), help="smallest and largest input")
    data.add_argument(
        "--tolerance", type=float, metavar="ERROR", help="regression: an error above this counts as wrong"
    )


def _add_attacker(parser: argparse.ArgumentParser) -> None:
    attacker = parser.add_argument_group("the attacker")
    attacker.add_argument("--eps", type=float, action="append", default=[], help="size of the perturbation; repeatable")
    attacker.add_argument("--norm", choices=("linf", "l2"), default="linf", help="default: linf")
    attacker.add_argument(
        "--relation",
        action="append",
        default=[],
        metavar="LINE",
        help="of a table: what no attack may break, such as 'open <= total'; repeatable",
    )
    attacker.add_argument("--budget", default="5m", help="minutes (5m) or queries (20000q); default 5m")
    attacker.add_argument("--random", type=count, default=1, metavar="N", help="the model is random: N repeats decide")
    attacker.add_argument("--seed", type=int, default=0, help="random seed (default 0)")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; see `redoubt.cli.main` for what is returned and raised."""
    _check(args)
    load_tensorflow()
    with saying(f"opening {args.target}"):
        from redoubt.audit.pages import write
        from redoubt.audit.run import audit
        from redoubt.training.determinism import make_deterministic

        make_deterministic(args.seed)
        folder = args.out or Path("reports", "audits", _name(args.target))
        check_out(folder)
        examples = _examples(args)
        opened = _opened(args, examples, folder)
    with closing(opened) as target:
        frame = _frame(args, examples, target)
        outcome = audit(target, examples.batch, frame, _settings(args, target), examples.source)
        command = shlex.join(["redoubt", *args.words])
        found = outcome.audit.model_copy(update={"reproduce": command, "notes": [*outcome.audit.notes, *examples.said]})
        written = write(folder, found, outcome, examples.batch, frame, target.labels or examples.labels)
    if args.json:
        print(written[0].read_text(encoding="utf-8"), end="")
    else:
        _show(found, written)
    logged = not args.mlflow or _logged(found, folder.name, written, sys.stderr if args.json else sys.stdout)
    return max(_status(found, args.fail_under), int(not logged))


def _check(args: argparse.Namespace) -> None:
    from redoubt.audit.budget import parse

    parse(args.budget)
    if args.seed < 0:
        raise AskedError(f"--seed is {args.seed}; it must be >= 0")
    check_access(args)
    if args.fail_under is not None and not 0 <= args.fail_under <= 1:
        raise AskedError(f"--fail-under is {args.fail_under:g}; expected a share from 0 to 1")
    if args.tolerance is not None and not args.tolerance > 0:
        raise AskedError(f"--tolerance is {args.tolerance:g}; it must be above 0")
    if not args.data.exists():
        raise AskedError(f"--data '{args.data}' was not found")
    if args.mlflow:
        from redoubt.tracking.uri import check, store_uri

        check(store_uri(Path.cwd()))


def _schema(target: str) -> "Schema | None":
    """Of a bundle, which knows how its records become inputs."""
    from redoubt.bundle.base.io import read_typed
    from redoubt.bundle.schema import Schema

    path = Path(target, "schema.json")
    return read_typed(path, Schema) if path.is_file() else None


def _examples(args: argparse.Namespace) -> "Examples":
    from redoubt.cli.examples import Asked, read_examples

    schema = _schema(args.target)
    bounds = None if args.bounds is None else (args.bounds[0], args.bounds[1])
    if schema is not None and schema.is_classification and args.tolerance is not None:
        raise AskedError(f"--tolerance is for regression; {args.target} is a classifier: leave it out")
    if schema is not None and not schema.is_classification and args.tolerance is None:
        raise AskedError(f"{args.target} is a regressor: give --tolerance, the largest error that counts as correct")
    return read_examples(args.data, Asked(args.column, args.points, bounds, args.tolerance is not None, schema))


def _opened(args: argparse.Namespace, examples: "Examples", folder: Path) -> "Target":
    from redoubt.targets.contract import Opening, a_few
    from redoubt.targets.open import open_target

    return open_target(
        args.target,
        Opening(
            sample=a_few(examples.batch),
            labels=examples.labels,
            is_number=args.tolerance is not None,
            trust=args.trust,
            protocol=args.protocol,
            model=args.model,
            rate=args.rate,
            features=examples.features,
            log=folder / "queries.jsonl",
        ),
    )


def _frame(args: argparse.Namespace, examples: "Examples", target: "Target") -> "Frame":
    from redoubt.audit.frame import Frame, frame_of, related
    from redoubt.perturbable import grey_levels

    if target.guarded is None or target.schema is None:
        bounds = None if args.bounds is None else (args.bounds[0], args.bounds[1])
        frame = frame_of(examples.batch.x, bounds, examples.features, whole=target.whole)
        return related(frame, args.relation, examples.batch.x)
    if args.bounds is not None:
        raise AskedError(f"--bounds: '{args.target}' has its own; leave it out")
    if args.relation:
        raise AskedError(f"--relation: '{args.target}' has its own, those of its task; leave it out")
    box = target.bounds
    image = target.schema.kind == "image"
    box = box if image else box.covering(examples.batch.x)
    said = (
        "0 to 1, the bundle's"
        if image
        else "of each feature, the bundle's; eps is in standard deviations or declared units"
    )
    return Frame(box, target.schema, said, 1.0 if image else None, grey_levels(examples.batch.x))


def _settings(args: argparse.Namespace, target: "Target") -> "Settings":
    from redoubt.audit.budget import parse
    from redoubt.audit.run import Settings

    eps = tuple(args.eps) or _own_eps(target, args.norm)
    return Settings(args.norm, eps, parse(args.budget), args.random, args.seed, args.tolerance)


def _own_eps(target: "Target", norm: "Norm") -> tuple[float, ...]:
    """What a bundle's card, or its task in this project, says that it was hardened against; none of other targets."""
    from redoubt.cli.threat import size_of

    if target.guarded is None:
        return ()
    try:
        return (size_of(target, norm),)
    except AskedError:
        return ()


def _name(target: str) -> str:
    """What an audit is kept under."""
    said = target.rsplit("://", maxsplit=1)[-1]
    parts = Path(said).with_suffix("").parts[-2:] if Path(said).exists() else (said,)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(parts)).strip("-") or "audit"


def _show(found: "Audit", written: list[Path]) -> None:
    from rich.console import Console
    from rich.table import Table

    from redoubt.params.settings.base import NORMS

    def percent(rate: object) -> str:
        share, low, high = (getattr(rate, name, None) for name in ("share", "low", "high"))
        return "" if share is None else f"{100 * share:.1f} % ({100 * (low or 0):.1f} to {100 * (high or 0):.1f})"

    guarded = any(row.oblivious for row in found.rows)
    heads = [
        f"{NORMS[found.norm]} eps",
        "robust, at most",
        *(["oblivious", "adaptive"] if guarded else []),
        "certified",
        "broken by",
    ]
    table = Table(*heads, title=f"{found.target['name']}: {found.access}", title_justify="left")
    table.add_row("clean", percent(found.clean), *([""] * (len(heads) - 2)))
    for row in found.rows:
        # What it amounts to is said below: of a table's features that is too long for a cell.
        guard = [percent(row.oblivious), percent(row.adaptive)] if guarded else []
        broken = ", ".join(f"{name} {number}" for name, number in row.broken)
        table.add_row(f"{row.eps:g}", percent(row.robust), *guard, percent(row.certified), broken)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(found.verdict)
    console.print(table)
    for note in (*found.notes, f"bounds: {found.bounds}"):
        console.print(note)
    for row in found.rows:
        console.print(f"warning: {row.warning}" if row.warning else row.says)
    for check in found.failed:
        console.print(f"failed check: {check.name}: {check.found}")
    outside = f"; not counted: {'; '.join(found.uncounted)}" if found.uncounted else ""
    console.print(f"queries: {found.queries}{outside}")
    if found.stopped:
        console.print(f"not finished: {found.stopped}")
    for path in written:
        console.print(str(path))


def _logged(found: "Audit", name: str, written: list[Path], to: TextIO) -> bool:
    """Record the audit in MLflow; whether that went well. A store that went away meanwhile costs no result."""
    from redoubt.audit.record import run_record
    from redoubt.tracking.audits import keep_run
    from redoubt.tracking.uri import TrackingError

    try:
        kept = keep_run(run_record(found, name), written)
    except TrackingError as error:
        print(f"error: --mlflow: {error}; the files are written", file=sys.stderr)
        return False
    print(f"MLflow: run {kept.run}{'' if kept.new else ', which was there'}, at {kept.uri}", file=to)
    return True


def _status(found: "Audit", floor: float | None) -> int:
    broke_off = found.stopped is not None and not found.stopped.startswith("the time of the budget")
    if broke_off:
        print(f"error: {found.stopped}; what is known is kept and marked as not finished", file=sys.stderr)
    if floor is None:
        return int(broke_off)
    if found.failed:
        print(f"error: --fail-under: not trusted, {found.failed[0].name}: {found.failed[0].found}", file=sys.stderr)
        return 1
    if found.worst.share < floor:
        print(
            f"error: --fail-under: robust accuracy is at most {found.worst.share:.3f} at {found.headline.says};"
            f" expected at least {floor:g}",
            file=sys.stderr,
        )
        return 1
    return int(broke_off)

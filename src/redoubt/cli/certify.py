"""The subcommand `certify`: certificates instead of attacks."""

import argparse
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from redoubt.cli.waiting import load_tensorflow, saying
from redoubt.cli.words import add_json, add_rows, check_rows, count, folder_name, print_json
from redoubt.core.errors import RedoubtError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from redoubt.attacks.core.problem import AttackProblem
    from redoubt.cli import Parser
    from redoubt.cli.rows import Rows
    from redoubt.core.types import Batch, Norm
    from redoubt.evaluation.methods import Found
    from redoubt.params.settings.sections import CertifyParams
    from redoubt.targets.contract import Target

# Of the attack that every proven example must withstand.
STEPS = 3
RADII = (0.25, 0.5, 0.75, 1.0)
DRAWS, ALPHA, SMOOTHED = 10_000, 0.001, 500
METHODS, LIMIT = ("interval", "crown", "alpha", "complete"), 30.0
EPILOG = """\
Two certificates, each for the network alone:
  bounds (default)            deterministic, L-inf: no input within eps is misclassified. By --method, each on what
                              the one before leaves open:
    interval (default)        one pass, sound in float32. Tight for networks trained for it (recipe `ibp`),
                              loose for others
    crown                     linear bounds (CROWN), in double precision with a margin for rounding
    alpha                     the same with optimized slopes (alpha-CROWN)
    complete                  branch and bound: every example is proven, refuted by an adversarial example, or
                              undecided after --limit seconds. Exact robust accuracy of small networks
  --sigma, smoothing          randomized smoothing, L2: the vote under Gaussian noise is constant in a radius,
                              with probability 1 - alpha per example. Meaningful for networks trained on such noise

examples:
  redoubt certify zoo/mnist-certified --eps 0.1 0.2 0.3         the whole test split of the task, from this project
  redoubt certify zoo/mnist-adversarial --eps 0.1 --method complete --points 200
  redoubt certify models/mnist/smoothed --sigma 0.5             the first 500 test examples, 10,000 noise draws each
  redoubt certify model.keras --data test.npz --eps 0.1

Every certificate is also put to the test: the network is queried at random points of the eps-ball and where a
short attack leads. A misclassification there aborts the run, and nothing is written.

exit status: 0 done; 2 could not start, or a certificate was refuted
"""


class CertifyError(RedoubtError):
    """What cannot be certified; the message says why."""


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "certify",
        help="certified accuracy: correct throughout the eps-ball, whatever the attack; write a record",
        description="Certified accuracy: the share of examples provably correct throughout a ball around them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("target", metavar="TARGET", help="a bundle folder or a .keras file")
    add_rows(parser, "the examples", f"number of examples, from the first (default all; under noise {SMOOTHED})")
    bounds = parser.add_argument_group("bounds, L-inf")
    bounds.add_argument("--eps", type=float, nargs="+", help="in the unit of `redoubt attack --eps`")
    bounds.add_argument("--method", choices=METHODS, help=f"the strongest to try (default {METHODS[0]})")
    bounds.add_argument(
        "--limit", type=float, metavar="SECONDS", help=f"of branch and bound for each example (default {LIMIT:g})"
    )
    noise = parser.add_argument_group("randomized smoothing, L2, for classifiers")
    noise.add_argument("--sigma", type=float, help="standard deviation of the noise, in the units of eps")
    noise.add_argument("--radii", type=float, nargs="+", metavar="R", help=f"default {' '.join(map(str, RADII))}")
    noise.add_argument("--draws", type=count, metavar="N", help=f"noise samples per example (default {DRAWS})")
    noise.add_argument("--alpha", type=float, help=f"failure probability per example (default {ALPHA})")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: reports/certificates/TARGET")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; see `redoubt.cli.main` for what is returned and raised."""
    check_rows(args)
    params = _smoothing(args)
    if "://" in args.target:
        raise CertifyError(
            "a URL gives predictions only, and a certificate needs the network; certify the bundle it serves"
        )
    load_tensorflow()
    with saying(f"opening {args.target}"):
        from redoubt.cli.curve import CURVE, draw
        from redoubt.cli.rows import load_rows
        from redoubt.cli.targets import open_asked
        from redoubt.core.store import write_json
        from redoubt.evaluation import methods
        from redoubt.params.settings.base import NORMS
        from redoubt.training.determinism import make_deterministic

        make_deterministic(args.seed)
        opened = open_asked(args)
    with closing(opened) as target:
        points = args.points or (None if params is None else SMOOTHED)
        rows = load_rows(target, args.data, args.task, points)
        if params is None:
            found, by_method = _bounds(args, target, rows)
            given = {} if by_method is None else {"method": args.method, "limit": args.limit or LIMIT}
        else:
            found, by_method = _smoothed(params, args.seed, target, rows), None
            given = {**params.model_dump(exclude={"radii", "points"}), "seed": args.seed}
    path = (args.out or Path("reports", "certificates", folder_name(target))) / "record.json"
    more = {} if by_method is None else {"methods": methods.record(by_method)}
    norm: Norm = "linf" if params is None else "l2"
    sizes = [float(name.split()[1]) for name in found if name.startswith(NORMS[norm])]
    units = _raw_units(target, rows, norm, sizes)
    record = {**_record(target, rows, given, found), **more, "raw_units": units}
    write_json(path, record)
    draw([(eps, rate) for eps in sizes if (rate := found[f"{NORMS[norm]} {eps:g}"])], norm, path.with_name(CURVE))
    if args.json:
        print_json(record)
        return 0
    how = "bounds" if params is None else f"smoothing, sigma {params.sigma:g}, {params.draws:,} draws"
    title = f"{how} on {target.said}\nexamples: {len(rows.batch)}, {rows.source}"
    notes = units if by_method is None else [*methods.said(by_method), *units]
    _show(title, _rows_of(found, by_method), notes, [path, path.with_name(CURVE)])
    return 0


def _rows_of(found: dict[str, Any], by_method: "dict[str, Found] | None") -> list[tuple[str, str, Any]]:
    """Threat, method and share of each line of the table."""
    from redoubt.evaluation.metrics import rate

    lines = []
    for name, share in found.items():
        if by_method is None or name not in by_method:
            lines.append((name, "", share))
        else:
            lines += [(name, method, rate(each)) for method, each in by_method[name].certified.items()]
    return lines


def _smoothing(args: argparse.Namespace) -> "CertifyParams | None":
    """What `--sigma` and its like say; None where interval bounds are wanted."""
    from redoubt.params.settings.sections import CertifyParams

    if args.limit is not None and (args.method != "complete" or not 0 < args.limit < float("inf")):
        raise CertifyError("--limit is of --method complete, a number of seconds above 0")
    if args.sigma is None:
        for name in ("radii", "draws", "alpha"):
            if getattr(args, name) is not None:
                raise CertifyError(f"--{name} is of randomized smoothing: say the noise too, with --sigma")
        return None
    for name in ("eps", "method", "limit"):
        if getattr(args, name) is not None:
            raise CertifyError(f"--{name} is of bounds and --sigma of smoothing: leave one of them out")
    try:
        return CertifyParams(
            sigma=args.sigma,
            radii=tuple(args.radii or RADII),
            selection_draws=100,
            draws=args.draws or DRAWS,
            alpha=ALPHA if args.alpha is None else args.alpha,
            points=args.points or SMOOTHED,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"--{part}: " for part in first["loc"][:1])
        came = f"; {first['input']} came" if first["loc"] else ""
        raise CertifyError(f"{where}{first['msg'].removeprefix('Value error, ')}{came}") from None


def _bounds(
    args: argparse.Namespace, target: "Target", rows: "Rows"
) -> "tuple[dict[str, Any], dict[str, Found] | None]":
    """Certified accuracy within each L-inf eps, at 0 clean accuracy; and by method, where more than intervals is asked.

    Raises:
        RefutedError: a proven example is misclassified, at itself or somewhere in its eps-ball.
    """
    import numpy as np
    from tqdm import tqdm

    from redoubt.attacks.core.base import check_inputs
    from redoubt.attacks.core.problem import AttackProblem
    from redoubt.certify.batches import verify_batch
    from redoubt.certify.branch_and_bound import Limit
    from redoubt.certify.graph import check_bounds
    from redoubt.certify.piecewise import piecewise_linear
    from redoubt.certify.worst_case import certifier
    from redoubt.cli.rows import check_answers
    from redoubt.cli.threat import bounds_for, criterion_of, size_of
    from redoubt.evaluation import methods
    from redoubt.evaluation.metrics import rate

    criterion, network, batch = criterion_of(target, args.tolerance), target.network, rows.batch
    sizes = args.eps or [size_of(target, "linf")]
    bounds = bounds_for(target, batch.x)
    problem = AttackProblem(target.outputs, criterion, "linf", bounds)
    for eps in sizes:
        check_inputs(problem, batch.x, batch.y, eps)
    check_bounds(network)
    check_answers(problem, batch.x)
    certified, more = certifier(network, bounds, criterion), args.method not in (None, "interval")
    if more:
        piecewise_linear(network)
    found: dict[str, Any] = {}
    by_method: dict[str, Found] = {}
    for eps in tqdm(sorted({0.0, *sizes}), desc="interval bounds", unit="eps", disable=more):
        name = f"L-inf {eps:g}"
        if _is_vacuous(target, rows, eps):
            found[name] = None
            continue
        proven = certified(batch, eps)
        if more and eps:
            left = np.flatnonzero(~proven)
            how = args.method, Limit(seconds=args.limit or LIMIT)
            decisions = verify_batch(network, criterion, bounds, batch.take(left), eps, how)
            by_method[name] = methods.joined(proven, left, decisions, args.method)
            proven = by_method[name].proven
        _check(problem, batch, proven, eps, args.seed)
        found[name] = rate(proven)
    return found, by_method if more else None


def _check(problem: "AttackProblem", batch: "Batch", certified: "NDArray[np.bool_]", eps: float, seed: int) -> None:
    """Ask the network itself at each certified example, at a few points of its ball, and where a short attack leads."""
    import numpy as np

    from redoubt.attacks.core.gradient import PGD
    from redoubt.certify.refute import check_not_refuted, ends, inside, points

    if not certified.any():
        return
    proven, wrong = batch.take(np.flatnonzero(certified)), np.zeros_like(certified)
    x, y = proven.x, proven.y
    low, high = ends(x, eps, problem.bounds)
    # An attack may end a rounding outside of the box that was proven.
    switches = problem.bounds.switches_within(eps)
    found = inside(PGD(steps=STEPS)(problem, x, y, eps=eps, seed=seed), low, high, switches)
    for where, point in [*points(x, low, high, seed, switches), ("a point that PGD found in its eps-ball", found)]:
        wrong[certified] = problem.criterion.is_adversarial(problem.predict(point), y)
        check_not_refuted(f"L-inf {eps:g}", certified, wrong, where)


def _is_vacuous(target: "Target", rows: "Rows", eps: float) -> bool:
    """Whether nothing of any example can change within eps, so that a proof of it would say nothing."""
    from redoubt.cli.threat import bounds_for
    from redoubt.perturbable import immovable

    if target.schema is None or not eps:
        return False
    fixed = immovable(rows.batch.x, bounds_for(target, rows.batch.x), eps, target.schema)
    return fixed is not None and fixed.everything


def _raw_units(target: "Target", rows: "Rows", norm: "Norm", sizes: list[float]) -> list[str]:
    """What each size is in the units of the inputs, where they are known."""
    from redoubt.perturbable import grey_levels, in_raw_units

    schema, levels = target.schema, grey_levels(rows.batch.x)
    return [] if schema is None else [in_raw_units(schema, target.bounds, norm, eps, levels) for eps in sizes if eps]


def _smoothed(params: "CertifyParams", seed: int, target: "Target", rows: "Rows") -> dict[str, Any]:
    """The share that the smoothed network answers right, with certainty, within each L2 radius."""
    from redoubt.attacks.core.base import check_inputs
    from redoubt.attacks.core.criteria import Untargeted
    from redoubt.attacks.core.problem import AttackProblem
    from redoubt.certify.randomized_smoothing import certify_classes
    from redoubt.cli.threat import bounds_for
    from redoubt.evaluation.metrics import rate

    if not target.is_classification or target.network is None:
        raise CertifyError(f"{target.said} is a regressor; --sigma is for classifiers: give --eps")
    x, y = rows.batch.x, rows.batch.y
    check_inputs(AttackProblem(target.outputs, Untargeted(), "l2", bounds_for(target, x)), x, y, 0.0)
    found = certify_classes(target.network.predict_on_batch, x, params, target.bounds, seed, "smoothing")
    right = found.label == y
    shares: dict[str, Any] = {
        f"L2 {radius:g}": None if _is_vacuous(target, rows, radius) else rate(right & (found.radius >= radius))
        for radius in sorted({0.0, *params.radii})
    }
    return {**shares, "abstains": rate(found.label < 0)}


def _record(target: "Target", rows: "Rows", given: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """No time, no machine: the same run gives the same bytes."""
    return {
        "target": {"name": target.said, "kind": target.kind, "task": target.task, "digest": target.digest},
        "data": {"source": rows.source, "digest": rows.digest, "examples": len(rows.batch)},
        "given": given,
        "found": {name: value and value.model_dump() for name, value in found.items()},
    }


def _show(title: str, lines: list[tuple[str, str, Any]], notes: list[str], written: list[Path]) -> None:
    """Print the table, its sizes in raw units and where the files are."""
    from rich.console import Console
    from rich.table import Table

    from redoubt.cli.curve import bar

    by_method = any(method for _, method, _ in lines)
    heads = (
        "threat",
        *(["by"] if by_method else []),
        "certified accuracy",
        "95 % interval",
        *([] if by_method else [""]),
    )
    table = Table(*heads, title=title, title_justify="left")
    for name, method, value in lines:
        first = (name, method or "the network's own answers") if by_method else (name,)
        if value is None:
            table.add_row(*first, "not measured", "nothing can be perturbed")
            continue
        share, low, high = (f"{100 * part:.2f}" for part in (value.share, value.low, value.high))
        table.add_row(*first, f"{share} % of {value.n}", f"{low} to {high}", *([] if by_method else [bar(value.share)]))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for said in notes:
        console.print(said)
    for path in written:
        console.print(path)

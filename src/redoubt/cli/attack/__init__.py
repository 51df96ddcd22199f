"""The subcommand `attack`: its words, what they mean together, and the run from target to record."""

import argparse
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from redoubt.cli.waiting import load_tensorflow, saying
from redoubt.cli.words import (
    AskedError,
    add_access,
    add_json,
    add_rows,
    check_access,
    check_rows,
    count,
    folder_name,
    print_json,
)
from redoubt.scenarios.catalogue import CATALOGUE, Entry, find

if TYPE_CHECKING:
    from redoubt.attacks.core.problem import Outputs
    from redoubt.cli import Parser
    from redoubt.cli.attack.findings import Findings
    from redoubt.cli.attack.job import Job
    from redoubt.targets.contract import Target

SEED = 0
EFFORT = {
    "steps": "gradient steps",
    "restarts": "random restarts, each on the examples that are still robust",
    "queries": "query budget: per example, or in total for substitute",
}
EPILOG = """\
examples:
  redoubt attack --list                                        every attack, its threat model and its paper
  redoubt attack pgd models/digits/champion                    test split and eps of the task, from this project
  redoubt attack ensemble model.keras --data test.npz --eps 0.1
  redoubt attack carlini-wagner model.keras --data test.npz --eps 2 --targeted 7
  redoubt attack pgd models/digits/champion --knows-guard      adaptive: differentiates the guard too (BPDA and EOT)
  redoubt attack square http://127.0.0.1:3000 --task digits    a running service: queries only
  redoubt attack transfer http://127.0.0.1:3000 --task digits --proxy models/digits/natural
  redoubt attack transfer-matrix models/digits/champion        against proxies the attacker trains: logistic, MLP, CNNs
  redoubt attack landscape models/digits/natural               the loss along random, gradient and PGD directions

exit status: 0 done; 1 interrupted, partial results are kept and marked incomplete; 2 could not start
"""
LEGEND = """\
Threat models, by what the attacker knows; the less it needs, the more a successful attack means:
  gradients          white box: the weights; the setting in which robustness is measured; not available for a URL
  scores             black box, score-based: the score of every class for each query
  labels             black box, decision-based: the predicted class only
  another network    black box, transfer: a proxy trained on similar data, whose adversarial examples often transfer
  nothing            the input alone: a baseline
Robustness to one attack implies nothing about the others: report `ensemble`, the worst case of four.
"""


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "attack",
        help="attack a bundle, a Keras or ONNX file, a function or a URL; write a record and a figure",
        description="Attack a model and measure its robust accuracy. A last softmax or sigmoid is unwrapped to logits;"
        " perturbations stay within eps and within the bounds of the inputs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of the attack; see --list")
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="a bundle folder, a .keras or .onnx file, package.module:function, models:/NAME@ALIAS or a URL",
    )
    parser.add_argument("--list", action="store_true", help="list every attack and exit")
    _add_rows(parser)
    _add_threat(parser)
    add_access(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: reports/attacks/TARGET/NAME")
    add_json(parser)


def _add_rows(parser: argparse.ArgumentParser) -> None:
    more = find("transfer-matrix")
    points = f"number of examples, from the first (default {Entry.points}, {more.name} {more.points})"
    rows = add_rows(parser, "the examples", points)
    rows.add_argument(
        "--bundle", type=Path, metavar="FOLDER", help="the bundle that a URL serves (default models/TASK/champion)"
    )


def _add_threat(parser: argparse.ArgumentParser) -> None:
    threat = parser.add_argument_group("the attacker")
    threat.add_argument(
        "--eps",
        type=float,
        help="size of the perturbation: of a bundle, 1 is a pixel's range or a feature's standard deviation; of"
        " other targets it is in the unit of their --bounds",
    )
    threat.add_argument("--norm", choices=("linf", "l2"), help="default: the task's, else linf (carlini-wagner: l2)")
    threat.add_argument("--targeted", metavar="CLASS", help="target class; examples of that class are not counted")
    for option, says in EFFORT.items():
        threat.add_argument(f"--{option}", type=count, metavar="N", help=says)
    threat.add_argument(
        "--proxy",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="a proxy network of the attacker's, for transfer and transfer-matrix; repeatable",
    )
    threat.add_argument(
        "--knows-guard", action="store_true", help="adaptive attack on a bundle: differentiate through its guard"
    )
    threat.add_argument("--seed", type=int, default=SEED, help=f"random seed (default {SEED})")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; see `redoubt.cli.main` for what is returned and raised."""
    if args.list:
        print_json(_listed()) if args.json else _list()
        return 0
    if args.name is None or args.target is None:
        raise AskedError("say which attack and on what: redoubt attack NAME TARGET; `redoubt attack --list` names them")
    entry = find(args.name)
    _refuse_unread(entry, args)
    load_tensorflow()
    with saying(f"opening {args.target}"):
        from redoubt.cli.attack import learned, plain  # noqa: F401 - take seconds, and are needed below
        from redoubt.cli.attack.findings import show, write
        from redoubt.cli.targets import open_asked
        from redoubt.training.determinism import make_deterministic

        make_deterministic(args.seed)
        opened = open_asked(args, reads="data" not in entry.ignores)
    with closing(opened) as target:
        job = _job(entry, args, target)
        started = time.perf_counter()
        findings = _carry_out(job)
        seconds = time.perf_counter() - started
    written = write(args.out or Path("reports", "attacks", folder_name(target), entry.name), job, findings)
    if args.json:
        print(written[0].read_text(encoding="utf-8"), end="")
    else:
        show(job, findings, seconds, written)
    if findings.stopped is None:
        return 0
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"error: {findings.stopped}; partial results are kept and marked incomplete", markup=False
    )
    return 1


def _carry_out(job: "Job") -> "Findings":
    from redoubt.attacks.core.base import check_inputs
    from redoubt.cli.attack.learned import LEARNED
    from redoubt.cli.attack.plain import plain
    from redoubt.cli.rows import check_answers

    fixed = job.immovable
    if fixed is not None and fixed.everything:
        raise AskedError(f"robust accuracy is undefined: {fixed.says(job.norm, job.eps)}")
    if "data" not in job.entry.ignores:
        check_inputs(job.problem(), job.batch.x, job.batch.y, job.eps)
        check_answers(job.problem(), job.batch.x)
    if job.entry.make is None:
        return LEARNED[job.entry.name](job)
    return plain(job, job.entry.make(**job.options))


def _proxies(paths: list[Path], target: "Target") -> "dict[str, Outputs]":
    """Networks of the attacker's own, which must take and answer what the target does."""
    from redoubt.targets.contract import Opening
    from redoubt.targets.open import open_target

    found: dict[str, Outputs] = {}
    for path in map(str, paths):
        proxy = open_target(path, Opening(is_number=target.width == 1))
        if proxy.gradients is None:
            raise AskedError(f"{path} gives no gradients; expected a bundle folder or a .keras file")
        if target.shape not in (None, proxy.shape) or proxy.width != target.width:
            raise AskedError(
                f"{path} takes {proxy.shape} and has {proxy.width} outputs; {target.said} takes {target.shape}"
                f" and gives {target.width}: a proxy must have the same inputs and outputs"
            )
        found[path] = proxy.gradients
    return found


def _job(entry: Entry, args: argparse.Namespace, target: "Target") -> "Job":
    from redoubt.cli import threat
    from redoubt.cli.attack.job import Job
    from redoubt.cli.rows import load_rows, no_rows

    if target.gradients is None and entry.knows == "gradients":
        raise AskedError(
            f"{entry.name} is a white-box attack, and {target.said} gives no gradients"
            f"{f' ({target.notes[-1]})' if target.notes else ''}; {_without_gradients()} do without"
        )
    if args.knows_guard and target.guarded is None:
        raise AskedError(f"--knows-guard is for bundles; {target.said} has no guard to differentiate")
    norm = args.norm or entry.norm or threat.norm_of(target)
    sized, reads = "eps" not in entry.ignores, "data" not in entry.ignores
    return Job(
        entry=entry,
        options={name: getattr(args, name) or default for name, default in entry.options.items()},
        target=target,
        rows=load_rows(target, args.data, args.task, args.points or entry.points) if reads else no_rows(target),
        criterion=threat.criterion_of(target, args.tolerance),
        norm=norm,
        eps=(threat.size_of(target, norm) if args.eps is None else args.eps) if sized else 0.0,
        seed=args.seed,
        wanted=None if args.targeted is None else threat.class_of(target, args.targeted),
        proxies=_proxies(args.proxy, target),
        knows_guard=args.knows_guard,
    )


def _refuse_unread(entry: Entry, args: argparse.Namespace) -> None:
    """No word on the command line goes unheard."""
    unread = [*(name for name in EFFORT if name not in entry.options), *sorted(entry.ignores)]
    for name in unread:
        if getattr(args, name) not in (None, False):
            takes = ", ".join(f"--{option}" for option in entry.options) or "nothing"
            said = f"--{name.replace('_', '-')} does not apply to {entry.name}"
            raise AskedError(f"{said}, whose effort is set by {takes}: leave it out")
    if args.proxy and entry.knows != "another network":
        raise AskedError(f"{entry.name} does not take --proxy")
    if entry.name == "transfer" and not args.proxy:
        raise AskedError("transfer needs a proxy network of the attacker's: name at least one with --proxy")
    check_rows(args)
    check_access(args)


def _without_gradients() -> str:
    return ", ".join(entry.name for entry in CATALOGUE.values() if entry.knows != "gradients")


def _listed() -> list[dict[str, object]]:
    """The catalogue as data."""
    return [
        {"name": entry.name, "knows": entry.knows, "paper": entry.paper, "effort": entry.options, "says": entry.says}
        for entry in CATALOGUE.values()
    ]


def _list() -> None:
    """Plain lines: a terminal of any width shows them whole."""
    print(LEGEND)
    print("NAME            KNOWLEDGE        PAPER                 EFFORT (default)")
    for entry in CATALOGUE.values():
        effort = " ".join(f"--{name} {value}" for name, value in entry.options.items())
        print(f"\n{entry.name:<16}{entry.knows:<17}{entry.paper:<22}{effort}".rstrip())
        print(f"    {entry.says}")
    print("\nSee `redoubt attack --help` for how to run one.")

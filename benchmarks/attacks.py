"""Each attack here and in ART 1.20: same weights, same MNIST test images, equal steps.

Prints seconds, robust accuracy and their ratio, how near PGD comes to the gradients alone, and what memory it takes;
asserts nothing. ART runs with our batch size, its best case. Run from the project's top folder.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

import numpy as np
from rich.console import Console
from rich.table import Table

import pipelines._quiet  # noqa: F401
from benchmarks import limits, memory
from benchmarks.limits import Timing, timed
from benchmarks.mnist import EPS, Victim, images, test_rows, victims
from benchmarks.peer import CONSTANT, LEARNING_RATE, Effort, Peer, Run
from redoubt.attacks.apgd import APGD, APGDT
from redoubt.attacks.carlini_wagner import CarliniWagner
from redoubt.attacks.core.active_rows import until_adversarial
from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.problem import BATCH, AttackProblem
from redoubt.attacks.square import Square
from redoubt.core.types import PIXELS, Batch, Floats, Norm
from redoubt.params.load import load

POINTS, QUICK = 1000, Effort(apgd=20, queries=100, restarts=2, cw_steps=20, cw_points=50, repeats=1)
# Pixels from 0 to 1: PGD's step in L-inf; the L2 within which Carlini and Wagner's result counts, and all there is.
STEP, L2, FAR = 0.01, 1.5, 28.0
WARM, TARGETS = 16, 9
PACKAGES = ("tensorflow", "keras", "adversarial-robustness-toolbox")


@dataclass(frozen=True, eq=False)
class Contest:
    """Attacks of both sides; several of a side go in turn, each at the rows that withstood those before.

    Attributes:
        name: shown.
        ours: at least one.
        theirs: ART's; none where it has no such attack.
        norm: in which success is judged.
        points: rows attacked; None for all.
    """

    name: str
    ours: Sequence[Run]
    theirs: Sequence[Run] = ()
    norm: Norm = "linf"
    points: int | None = None


@dataclass(frozen=True)
class Result:
    """One side of a contest.

    Attributes:
        first: seconds by the clock of the first call, on a few rows: what compiling takes.
        timing: of a later call, on all rows.
        standing: share of the rows that withstood.
        x_adv: their perturbation.
    """

    first: float
    timing: Timing
    standing: float
    x_adv: Floats


def contests(victim: Victim, effort: Effort, seed: int) -> list[Contest]:
    """Every attack at equal steps, or queries."""
    peer, ours = Peer(victim, effort, STEP, seed), partial(_ours, victim.problem("linf"), victim.eps, seed)
    pgd = PGD(steps=effort.pgd, step_size=STEP / victim.eps)
    arts = [peer.pgd()]
    sequence = [peer.apgd("cross_entropy"), peer.apgd("difference_logits_ratio"), peer.square()]
    sequence += arts * effort.restarts
    found = [
        Contest("FGSM", [ours(fgsm())], [peer.fgsm()]),
        Contest(f"PGD-{effort.pgd}", [ours(pgd)], arts),
        Contest(f"PGD-{effort.pgd}, stops at success", [ours(replace(pgd, early_stop=True))], arts),
        Contest("APGD-CE", [ours(APGD(steps=effort.apgd))], [peer.apgd("cross_entropy")]),
        Contest("APGD-DLR", [ours(APGD(steps=effort.apgd, loss="dlr"))], [peer.apgd("difference_logits_ratio")]),
        Contest(f"APGD-T, {TARGETS} targets", [ours(APGDT(steps=effort.apgd, targets=TARGETS))]),
        Contest("Square", [ours(Square(queries=effort.queries))], [peer.square()]),
        Contest("ensemble", ensemble(victim, effort, seed), sequence),
        Contest("ensemble with APGD-T", ensemble(victim, effort, seed, TARGETS), sequence),
    ]
    return [*found, _carlini_wagner(victim, effort, seed, peer)] if victim.eps == EPS[victim.name][0] else found


def ensemble(victim: Victim, effort: Effort, seed: int, targets: int = 0) -> list[Run]:
    """APGD-CE, APGD-T (untargeted APGD-DLR where there are no targets), Square and PGD restarts."""
    ours = partial(_ours, victim.problem("linf"), victim.eps)
    dlr: Attack = APGDT(steps=effort.apgd, targets=targets) if targets else APGD(steps=effort.apgd, loss="dlr")
    pgd = PGD(steps=effort.pgd, step_size=STEP / victim.eps, early_stop=True)
    attacks = [APGD(steps=effort.apgd), dlr, Square(queries=effort.queries)]
    return [ours(seed, attack) for attack in attacks] + [ours(seed + start, pgd) for start in range(effort.restarts)]


def in_turn(problem: AttackProblem, runs: Sequence[Run], batch: Batch, eps: float) -> Floats:
    """One attack after another, each at the rows still standing."""
    attempts = (lambda rows, run=run: run(batch.x[rows], batch.y[rows]) for run in runs)
    return until_adversarial(problem, batch.x, batch.y, attempts, eps, 0)


def hold(victim: Victim, batch: Batch, effort: Effort, seed: int) -> Iterator[tuple[Contest, Result, Result | None]]:
    """Every contest and both sides' results; what ART has done once it need not do again."""
    known: dict[int, Result] = {}
    for contest in contests(victim, effort, seed):
        rows = batch.take(np.arange(min(contest.points or len(batch), len(batch))))
        ours = _side(contest.ours, contest.norm, victim, rows, effort)
        if contest.theirs and id(contest.theirs) not in known:
            known[id(contest.theirs)] = _side(contest.theirs, contest.norm, victim, rows, effort)
        yield contest, ours, known.get(id(contest.theirs))


def _carlini_wagner(victim: Victim, effort: Effort, seed: int, peer: Peer) -> Contest:
    """It has an eps of its own, in L2; both sides' results count within it only, but are left as they are."""
    search = CarliniWagner(
        steps=effort.cw_steps, searches=effort.cw_searches, constant=CONSTANT, learning_rate=LEARNING_RATE
    )
    ours = _ours(victim.problem("l2"), FAR, seed, search)
    return Contest(f"C&W L2 within {L2}", [ours], [peer.carlini_wagner()], "l2", effort.cw_points)


def _ours(problem: AttackProblem, eps: float, seed: int, attack: Attack) -> Run:
    return lambda x, y: attack(problem, x, y, eps=eps, seed=seed)


def _side(runs: Sequence[Run], norm: Norm, victim: Victim, batch: Batch, effort: Effort) -> Result:
    problem, few = victim.problem(norm), batch.take(np.arange(min(WARM, len(batch))))
    problem.predict(few.x)
    began = time.perf_counter()
    for run in runs:
        run(few.x, few.y)
    first = time.perf_counter() - began
    kept = []

    def attack() -> None:
        x_adv = in_turn(problem, runs, batch, victim.eps) if len(runs) > 1 else runs[0](batch.x, batch.y)
        kept.append(x_adv)

    timing = timed(attack, effort.repeats)
    right = ~problem.criterion.is_adversarial(problem.predict(kept[-1]), batch.y)
    far = distance(kept[-1] - batch.x, norm, PIXELS) > (victim.eps if norm == "linf" else L2) * (1 + 1e-4)
    return Result(first, timing, float(np.mean(right | far)), kept[-1])


def show_contests(console: Console, victim: Victim, found: Sequence[tuple[Contest, Result, Result | None]]) -> None:
    """One network's table."""
    table = Table(title="wall seconds (CPU seconds); first: compilation and a first call on a few examples")
    for name in ("network, eps", "attack"):
        table.add_column(name, no_wrap=True)
    for name in (
        "first, ours",
        "first, ART",
        "ours",
        "ART",
        "speed-up over ART (x)",
        "robust accuracy, ours",
        "robust accuracy, ART",
    ):
        table.add_column(name, justify="right")
    for contest, ours, theirs in found:
        row = [victim.label, contest.name, f"{ours.first:.1f}"]
        if theirs is None:
            table.add_row(*row, "-", _seconds(ours.timing), "-", "-", f"{ours.standing:.1%}", "-")
            continue
        both = [_seconds(ours.timing), _seconds(theirs.timing), _ratio(theirs.timing, ours.timing)]
        table.add_row(*row, f"{theirs.first:.1f}", *both, f"{ours.standing:.1%}", f"{theirs.standing:.1%}")
    console.print(table)


def show_distances(console: Console, victim: Victim, batch: Batch, ours: Result, theirs: Result) -> None:
    """What minimizes a distance is compared by it, on the rows that both sides broke."""
    x, y = batch.x[: len(ours.x_adv)], batch.y[: len(ours.x_adv)]
    problem = victim.problem("l2")
    clean = ~problem.criterion.is_adversarial(problem.predict(x), y)
    sizes = [distance(each.x_adv - x, "l2", PIXELS) for each in (ours, theirs)]
    broke = [problem.criterion.is_adversarial(problem.predict(each.x_adv), y) & clean for each in (ours, theirs)]
    both = broke[0] & broke[1]
    means = [f"{size[both].mean():.3f}" if both.any() else "-" for size in sizes]
    counts = [f"{each.sum()} of {clean.sum()}" for each in broke]
    console.print(f"{victim.name}, C&W L2: fools {counts[0]} (ART {counts[1]}), mean L2 {means[0]} (ART {means[1]})")


def show_floor(console: Console, victim: Victim, batch: Batch, steps: int, peak: float) -> None:
    """How near PGD, ours and ART's, comes to the gradients alone, timed one after the other."""
    ours = _ours(victim.problem("linf"), victim.eps, 0, PGD(steps=steps, step_size=STEP / victim.eps))
    theirs = Peer(victim, Effort(pgd=steps), STEP, 0).pgd()
    for run in (ours, theirs):
        run(batch.x[:WARM], batch.y[:WARM])
    floor = limits.floor(victim.network, batch.x, steps)
    pgd, art = (timed(partial(run, batch.x, batch.y), limits.ROUNDS) for run in (ours, theirs))
    rate = limits.multiplications(victim.network) * len(batch) * steps / floor.wall
    console.print(
        f"{victim.name}: the floor of PGD-{steps}, {steps} forward-backward passes, is {_seconds(floor)} s."
        f" Ours takes {_ratio(pgd, floor)} x it, ART's {_ratio(art, floor)} x, all that can be gained."
        f" The floor does {rate / 1e9:.0f} G multiply-adds per second, {rate / peak:.0%} of this machine's best"
        f" convolution ({peak / 1e9:.0f} G), and PGD {floor.wall / pgd.wall * rate / peak:.0%}."
    )


def show_memory(console: Console) -> None:
    """What 10,000 images take."""
    for kind in memory.KINDS:
        held = memory.measure(kind)
        console.print(
            f"{kind} on {memory.POINTS:,} images: at most {held['most'] / 1024:.2f} GiB, of which"
            f" {held['before'] / 1024:.2f} were there before: TensorFlow, the network and all of MNIST"
        )


def _ratio(more: Timing, less: Timing) -> str:
    return f"{more.wall / less.wall:.2f} ({more.cpu / less.cpu:.2f})"


def _seconds(timing: Timing) -> str:
    return f"{timing.wall:.2f} ({timing.cpu:.2f})"


def main() -> None:
    """Hold every contest and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("--points", type=int, default=POINTS, help=f"test images attacked (default {POINTS})")
    parser.add_argument("--quick", action="store_true", help="fewer steps, one run each, no memory: is it working?")
    arguments = parser.parse_args()
    effort, seed, console = QUICK if arguments.quick else Effort(), load().seed, Console(width=150)
    raw = images()
    batch = test_rows(raw, arguments.points, seed)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    console.print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {packages}; seed {seed}; batches of {BATCH}")
    peak = limits.peak_rate()
    for victim in victims(raw, seed):
        if victim.eps == EPS[victim.name][0]:
            console.print(f"{victim.name}: {victim.origin}")
            show_floor(console, victim, batch, effort.pgd, peak)
        with console.status(f"attacking {victim.label}"):
            found = list(hold(victim, batch, effort, seed))
        show_contests(console, victim, found)
        for contest, ours, theirs in found:
            if contest.norm == "l2" and theirs:
                show_distances(console, victim, batch, ours, theirs)
    if not arguments.quick:
        show_memory(console)


if __name__ == "__main__":
    main()

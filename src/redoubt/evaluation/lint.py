"""Is an evaluation to be believed? Checks that real robustness passes and masked gradients fail.

After arXiv 1802.00420, 1902.06705 and the flags of AutoAttack (arXiv 2003.01690): each check names what was seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from redoubt.evaluation.verdict import Cell, Check

Flags = NDArray[np.bool_]
SURE = 0.01
MARGIN = 0.02
FOLDED, BLIND = 0.5, 0.1
NO_GRADIENT = 0.02
RESTARTS = 0.05


@dataclass(frozen=True)
class Evidence:
    """What the checks look at, all on the same rows, undefended, in one norm.

    Attributes:
        cells: rising in eps; the last is not beyond the budget's cell.
        budget: eps of the budget.
        lost: at the budget, the rows each attack breaks: noise, transfer (if there is one), square, fgsm, pgd, and
            `white box`, the union of all attacks that use gradients.
        everywhere: share that stands under PGD with an eps that reaches every input; None if some inputs cannot change.
        dead: share of unperturbed rows whose gradient is 0 or not a number.
        repeats: whether the network answers twice the same.
        logits: whether the outputs of the unperturbed rows do not sum to one.
        draws: random draws that the guard declares.
        guard_repeats: whether the guarded model answers the same under two seeds.
    """

    cells: list[Cell]
    budget: float
    lost: Mapping[str, Flags]
    everywhere: float | None
    dead: float
    repeats: bool
    logits: bool
    draws: int
    guard_repeats: bool


def lint(evidence: Evidence) -> list[Check]:
    """All checks, in the order they are shown."""
    of_attacks = [
        _everything_falls(evidence),
        *_falls_with_eps(evidence),
        _more_steps(evidence),
        _not_folded(evidence),
        *_order(evidence),
        _gradients(evidence),
        _restarts(evidence),
    ]
    return [
        *(_or_proven(check, evidence) for check in of_attacks),
        Check(
            name="outputs are logits",
            passed=evidence.logits,
            found="the outputs do not sum to one" if evidence.logits else "the outputs sum to one: probabilities",
        ),
        _randomness(evidence),
    ]


def _or_proven(check: Check, evidence: Evidence) -> Check:
    """Weak attacks matter only for what they may have missed: where bounds prove the rest, nothing can be."""
    cell = next(cell for cell in evidence.cells if cell.eps == evidence.budget)
    if check.passed or cell.certified is None or cell.undefended.share - cell.certified.share > MARGIN:
        return check
    proof = f"bounds prove {_percent(cell.certified.share)} of the {_percent(cell.undefended.share)} that stand"
    return Check(name=check.name, passed=True, found=f"{check.found}; but {proof}")


def _everything_falls(evidence: Evidence) -> Check:
    name = "accuracy falls to 0 as eps grows"
    if evidence.everywhere is None:
        return Check(name=name, passed=True, found="does not apply: some inputs cannot change, at any eps")
    found = f"with an eps that reaches every input, {_percent(evidence.everywhere)} stand"
    return Check(name=name, passed=evidence.everywhere <= MARGIN, found=found)


def _falls_with_eps(evidence: Evidence) -> list[Check]:
    """For the worst case, and for FGSM by itself: what one large step misses and a small one finds is masked."""
    checks = []
    for name in ("undefended", "fgsm"):
        cells = [cell for cell in evidence.cells if cell.eps <= evidence.budget]
        shares = [getattr(cell, name).share for cell in cells]
        rise = max((later - min(shares[: i + 1]) for i, later in enumerate(shares[1:])), default=0.0)
        shown = ", ".join(f"{_percent(share)} at {cell.eps:g}" for share, cell in zip(shares, cells, strict=True))
        label = "the worst case" if name == "undefended" else "accuracy under FGSM"
        checks.append(Check(name=f"{label} falls with eps", passed=rise <= MARGIN, found=shown))
    return checks


def _more_steps(evidence: Evidence) -> Check:
    return _no_weaker("many steps find what one step finds", "pgd", "fgsm", evidence.lost)


def _not_folded(evidence: Evidence) -> Check:
    """Fails if one step finds hardly more than chance does, where many steps break most: catastrophic overfitting."""
    noise, one, many = (float(evidence.lost[name].mean()) for name in ("noise", "fgsm", "pgd"))
    stand = [_percent(1.0 - lost) for lost in (noise, one, many)]
    return Check(
        name="one step and many steps see the same surface",
        passed=one > noise + BLIND or many - one <= FOLDED,
        found=f"{stand[0]} stand under noise, {stand[1]} under FGSM, {stand[2]} under PGD",
    )


def _order(evidence: Evidence) -> list[Check]:
    chain = ["white box", "square", "transfer", "noise"]
    known = [name for name in chain if name in evidence.lost]
    return [
        _no_weaker(f"{strong} is no weaker than {weak}", strong, weak, evidence.lost)
        for strong, weak in pairwise(known)
    ]


def _no_weaker(name: str, strong: str, weak: str, lost: Mapping[str, Flags]) -> Check:
    """Fails if `weak` breaks clearly more rows: by a sign test on the rows that only one breaks, and by 2 points."""
    only_strong = int(np.count_nonzero(lost[strong] & ~lost[weak]))
    only_weak = int(np.count_nonzero(lost[weak] & ~lost[strong]))
    excess = (only_weak - only_strong) / len(lost[strong])
    disagreeing = only_strong + only_weak
    sure = disagreeing > 0 and binomtest(only_weak, disagreeing, alternative="greater").pvalue < SURE
    found = f"only {strong} breaks {only_strong} rows, only {weak} {only_weak}"
    return Check(name=name, passed=not (sure and excess > MARGIN), found=found)


def _gradients(evidence: Evidence) -> Check:
    return Check(
        name="gradients are neither zero nor NaN",
        passed=evidence.dead <= NO_GRADIENT,
        found=f"{_percent(evidence.dead)} of the unperturbed rows have no usable gradient",
    )


def _restarts(evidence: Evidence) -> Check:
    cell = next(cell for cell in evidence.cells if cell.eps == evidence.budget)
    gained = sum(count for name, count in cell.broken if name == "pgd restart") / cell.pgd.n
    found = f"random restarts of PGD break {_percent(gained)} more"
    return Check(name="restarts change little", passed=gained <= RESTARTS, found=found)


def _randomness(evidence: Evidence) -> Check:
    honest = evidence.repeats and evidence.guard_repeats == (evidence.draws == 0)
    network = "answers twice the same" if evidence.repeats else "answers differently from call to call"
    found = f"the network {network}; the guard declares {evidence.draws} draws"
    return Check(name="randomness is declared", passed=honest, found=found)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

"""Is an evaluation to be believed? Checks that real robustness passes and masked gradients fail.

After arXiv 1802.00420, 1902.06705 and the flags of AutoAttack (arXiv 2003.01690): each check names what was seen.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from redoubt.evaluation.verdict import Cell, Check
from redoubt.perturbable import listed

Flags = NDArray[np.bool_]
SURE = 0.01
MARGIN = 0.02
FOLDED, BLIND = 0.5, 0.1
NO_GRADIENT = 0.02
RESTARTS = 0.05


@dataclass(frozen=True)
class AttackSuccess:
    """Which rows of an undefended network each attack breaks at one threat; each was run on all of them.

    Attributes:
        noise: under random noise of full size.
        fgsm: in one step.
        pgd: in many steps, from one start.
        white_box: by anybody who uses gradients; in L2 by whole numbers taken one at a time, too.
        square: by Square, which sees outputs only; None away from the budget.
        transfer: by perturbations made on other networks; None where there are none.
        by_restarts: how many rows only a further random start of an attack breaks.
    """

    noise: Flags
    fgsm: Flags
    pgd: Flags
    white_box: Flags
    square: Flags | None = None
    transfer: Flags | None = None
    by_restarts: int = 0


@dataclass(frozen=True)
class Unlimited:
    """What breaks the same rows when every value that can change at all may take any value of the box.

    Attributes:
        attacked: rows that gradients break, in many steps.
        searched: rows that a search without gradients breaks; None where the attack left it nothing to find.
        tried: points of the box that the search tried per row.
        fixed: features that cannot change at any eps.
        importance: share of all features' permutation importance that those carry; None where it is unknown.
    """

    attacked: Flags
    searched: Flags | None = None
    tried: int = 0
    fixed: tuple[str, ...] = ()
    importance: float | None = None


@dataclass(frozen=True)
class Evidence:
    """What the checks look at, all on the same rows, undefended, in one norm.

    Attributes:
        cells: rising in eps; the last is not beyond the budget's cell.
        budget: eps of the budget.
        lost: at the budget, the rows that each attack breaks.
        unlimited: what breaks them without a limit.
        dead: share of unperturbed rows whose gradient is 0 or not a number.
        repeats: whether the network answers twice the same.
        logits: whether the outputs of the unperturbed rows do not sum to one.
        draws: random draws that the guard declares.
        guard_repeats: whether the guarded model answers the same under two seeds.
    """

    cells: list[Cell]
    budget: float
    lost: AttackSuccess
    unlimited: Unlimited
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
    proven, left = cell.certified, cell.undefended
    if check.passed or proven is None or left is None or left.share - proven.share > MARGIN:
        return check
    proof = f"bounds prove {_percent(proven.share)} of the {_percent(left.share)} that stand"
    return Check(name=check.name, passed=True, found=f"{check.found}; but {proof}")


def _everything_falls(evidence: Evidence) -> Check:
    """Fails if gradients break clearly fewer rows than points tried at random: there were more to break.

    A wide tolerance, or features that no attacker can change, may leave rows that nothing breaks; a search of the same
    box says how many those are.
    """
    name, found = "accuracy falls to 0 as eps grows", evidence.unlimited
    left = _left(found.attacked)
    said = f"with an eps that reaches every value, {_percent(left)} are robust under PGD"
    if found.fixed:
        carry = "" if found.importance is None else f", with {_percent(found.importance)} of the permutation importance"
        said += f"; {listed(found.fixed)} cannot change at any eps{carry}"
    if found.searched is None:
        return Check(name=name, passed=left <= MARGIN, found=said)
    said += f"; {found.tried} points of the same box, tried without gradients, leave {_percent(_left(found.searched))}"
    unbroken = _percent(_left(found.attacked | found.searched))
    said += f"; {unbroken} cannot be broken by anything tried, even with all movable features free"
    passed = not _clearly_weaker(found.attacked, found.searched)
    return Check(name=name, passed=passed, found=said)


def _left(lost: Flags) -> float:
    return float((~lost).mean())


def _falls_with_eps(evidence: Evidence) -> list[Check]:
    """For the worst case, and for FGSM by itself: what one large step misses and a small one finds is masked."""
    checks = []
    cells = [cell for cell in evidence.cells if cell.eps <= evidence.budget]
    columns = {
        "the worst case": [cell.undefended for cell in cells],
        "accuracy under FGSM": [cell.fgsm for cell in cells],
    }
    for label, rates in columns.items():
        shares = [each.share for each in rates if each is not None]
        rise = max((later - min(shares[: i + 1]) for i, later in enumerate(shares[1:])), default=0.0)
        shown = ", ".join(f"{_percent(share)} at {cell.eps:g}" for share, cell in zip(shares, cells, strict=True))
        checks.append(Check(name=f"{label} falls with eps", passed=rise <= MARGIN, found=shown))
    return checks


def _more_steps(evidence: Evidence) -> Check:
    return _no_weaker("many steps find what one step finds", ("pgd", evidence.lost.pgd), ("fgsm", evidence.lost.fgsm))


def _not_folded(evidence: Evidence) -> Check:
    """Fails if one step finds hardly more than chance does, where many steps break most: catastrophic overfitting."""
    found = evidence.lost
    noise, one, many = (float(each.mean()) for each in (found.noise, found.fgsm, found.pgd))
    stand = [_percent(1.0 - lost) for lost in (noise, one, many)]
    return Check(
        name="one step and many steps see the same surface",
        passed=one > noise + BLIND or many - one <= FOLDED,
        found=f"{stand[0]} stand under noise, {stand[1]} under FGSM, {stand[2]} under PGD",
    )


def _order(evidence: Evidence) -> list[Check]:
    found = evidence.lost
    chain = [
        ("white box", found.white_box),
        ("square", found.square),
        ("transfer", found.transfer),
        ("noise", found.noise),
    ]
    known = [(name, flags) for name, flags in chain if flags is not None]
    return [_no_weaker(f"{strong[0]} is no weaker than {weak[0]}", strong, weak) for strong, weak in pairwise(known)]


def _no_weaker(name: str, strong: tuple[str, Flags], weak: tuple[str, Flags]) -> Check:
    """Fails if `weak` breaks clearly more rows: by a sign test on the rows that only one breaks, and by 2 points."""
    only_strong, only_weak = _only(strong[1], weak[1])
    found = f"only {strong[0]} breaks {only_strong} rows, only {weak[0]} {only_weak}"
    return Check(name=name, passed=not _clearly_weaker(strong[1], weak[1]), found=found)


def _clearly_weaker(strong: Flags, weak: Flags) -> bool:
    """Whether the one that should be strong breaks fewer rows: by a sign test, and by 2 points."""
    only_strong, only_weak = _only(strong, weak)
    disagreeing = only_strong + only_weak
    sure = disagreeing > 0 and binomtest(only_weak, disagreeing, alternative="greater").pvalue < SURE
    return sure and (only_weak - only_strong) / len(strong) > MARGIN


def _only(strong: Flags, weak: Flags) -> tuple[int, int]:
    return int(np.count_nonzero(strong & ~weak)), int(np.count_nonzero(weak & ~strong))


def _gradients(evidence: Evidence) -> Check:
    return Check(
        name="gradients are neither zero nor NaN",
        passed=evidence.dead <= NO_GRADIENT,
        found=f"{_percent(evidence.dead)} of the unperturbed rows have no usable gradient",
    )


def _restarts(evidence: Evidence) -> Check:
    gained = evidence.lost.by_restarts / len(evidence.lost.pgd)
    found = f"random restarts of PGD break {_percent(gained)} more"
    return Check(name="restarts change little", passed=gained <= RESTARTS, found=found)


def _randomness(evidence: Evidence) -> Check:
    honest = evidence.repeats and evidence.guard_repeats == (evidence.draws == 0)
    network = "answers twice the same" if evidence.repeats else "answers differently from call to call"
    found = f"the network {network}; the guard declares {evidence.draws} draws"
    return Check(name="randomness is declared", passed=honest, found=found)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

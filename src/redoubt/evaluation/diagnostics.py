"""Is an evaluation to be believed? Checks that real robustness passes and masked gradients fail.

After arXiv 1802.00420, 1902.06705 and the flags of AutoAttack (arXiv 2003.01690): each check names what was seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from redoubt.evaluation.results import Check, ThreatResult
from redoubt.perturbable import listed

Flags = NDArray[np.bool_]
SURE = 0.01
MARGIN = 0.02
FOLDED, BLIND = 0.5, 0.1
NO_GRADIENT = 0.02
RESTARTS = 0.05


@dataclass(frozen=True)
class Unbounded:
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
class Observed:
    """What the checks look at, all on the same rows, undefended, in one norm.

    Attributes:
        cells: rising in eps; the last is not beyond the budget's cell.
        budget: eps of the budget.
        is_adversarial: at the budget, the rows each attack breaks: noise, transfer (if there is one), square, fgsm,
            pgd, and `white box`, the union of all attacks that use gradients.
        unbounded: what breaks them without a limit.
        dead: share of unperturbed rows whose gradient is 0 or not a number.
        repeats: whether the network answers twice the same.
        logits: whether the outputs of the unperturbed rows do not sum to one.
        draws: random draws that the guard declares.
        guard_repeats: whether the guarded model answers the same under two seeds.
    """

    cells: list[ThreatResult]
    budget: float
    is_adversarial: Mapping[str, Flags]
    unbounded: Unbounded
    dead: float
    repeats: bool
    logits: bool
    draws: int
    guard_repeats: bool


def gradient_masking_checks(observed: Observed) -> list[Check]:
    """All checks, in the order they are shown."""
    of_attacks = [
        _everything_falls(observed),
        *_falls_with_eps(observed),
        _more_steps(observed),
        _not_folded(observed),
        *_order(observed),
        _gradients(observed),
        _restarts(observed),
    ]
    return [
        *(_or_proven(check, observed) for check in of_attacks),
        Check(
            name="outputs are logits",
            passed=observed.logits,
            found="the outputs do not sum to one" if observed.logits else "the outputs sum to one: probabilities",
        ),
        _randomness(observed),
    ]


def _or_proven(check: Check, observed: Observed) -> Check:
    """Weak attacks matter only for what they may have missed: where bounds prove the rest, nothing can be."""
    cell = next(cell for cell in observed.cells if cell.eps == observed.budget)
    proven, left = cell.certified, cell.undefended
    if check.passed or proven is None or left is None or left.share - proven.share > MARGIN:
        return check
    proof = f"bounds prove {_percent(proven.share)} of the {_percent(left.share)} that stand"
    return Check(name=check.name, passed=True, found=f"{check.found}; but {proof}")


def _everything_falls(observed: Observed) -> Check:
    """Fails if gradients break clearly fewer rows than points tried at random: there were more to break.

    A wide tolerance, or features that no attacker can change, may leave rows that nothing breaks; a search of the same
    box says how many those are.
    """
    name, found = "accuracy falls to 0 as eps grows", observed.unbounded
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


def _left(is_adversarial: Flags) -> float:
    return float((~is_adversarial).mean())


def _falls_with_eps(observed: Observed) -> list[Check]:
    """For the worst case, and for FGSM by itself: what one large step misses and a small one finds is masked."""
    checks = []
    for name in ("undefended", "fgsm"):
        cells = [cell for cell in observed.cells if cell.eps <= observed.budget]
        shares = [getattr(cell, name).share for cell in cells]
        rise = max((later - min(shares[: i + 1]) for i, later in enumerate(shares[1:])), default=0.0)
        shown = ", ".join(f"{_percent(share)} at {cell.eps:g}" for share, cell in zip(shares, cells, strict=True))
        label = "the worst case" if name == "undefended" else "accuracy under FGSM"
        checks.append(Check(name=f"{label} falls with eps", passed=rise <= MARGIN, found=shown))
    return checks


def _more_steps(observed: Observed) -> Check:
    return _no_weaker("many steps find what one step finds", "pgd", "fgsm", observed.is_adversarial)


def _not_folded(observed: Observed) -> Check:
    """Fails if one step finds hardly more than chance does, where many steps break most: catastrophic overfitting."""
    noise, one, many = (float(observed.is_adversarial[name].mean()) for name in ("noise", "fgsm", "pgd"))
    stand = [_percent(1.0 - is_adversarial) for is_adversarial in (noise, one, many)]
    return Check(
        name="one step and many steps see the same surface",
        passed=one > noise + BLIND or many - one <= FOLDED,
        found=f"{stand[0]} stand under noise, {stand[1]} under FGSM, {stand[2]} under PGD",
    )


def _order(observed: Observed) -> list[Check]:
    chain = ["white box", "square", "transfer", "noise"]
    known = [name for name in chain if name in observed.is_adversarial]
    return [
        _no_weaker(f"{strong} is no weaker than {weak}", strong, weak, observed.is_adversarial)
        for strong, weak in pairwise(known)
    ]


def _no_weaker(name: str, strong: str, weak: str, is_adversarial: Mapping[str, Flags]) -> Check:
    """Fails if `weak` breaks clearly more rows: by a sign test on the rows that only one breaks, and by 2 points."""
    only_strong, only_weak = _only(is_adversarial[strong], is_adversarial[weak])
    found = f"only {strong} breaks {only_strong} rows, only {weak} {only_weak}"
    return Check(name=name, passed=not _clearly_weaker(is_adversarial[strong], is_adversarial[weak]), found=found)


def _clearly_weaker(strong: Flags, weak: Flags) -> bool:
    """Whether the one that should be strong breaks fewer rows: by a sign test, and by 2 points."""
    only_strong, only_weak = _only(strong, weak)
    disagreeing = only_strong + only_weak
    sure = disagreeing > 0 and binomtest(only_weak, disagreeing, alternative="greater").pvalue < SURE
    return sure and (only_weak - only_strong) / len(strong) > MARGIN


def _only(strong: Flags, weak: Flags) -> tuple[int, int]:
    return int(np.count_nonzero(strong & ~weak)), int(np.count_nonzero(weak & ~strong))


def _gradients(observed: Observed) -> Check:
    return Check(
        name="gradients are neither zero nor NaN",
        passed=observed.dead <= NO_GRADIENT,
        found=f"{_percent(observed.dead)} of the unperturbed rows have no usable gradient",
    )


def _restarts(observed: Observed) -> Check:
    cell = next(cell for cell in observed.cells if cell.eps == observed.budget)
    gained = sum(count for name, count in cell.broken if name == "pgd restart") / len(observed.is_adversarial["pgd"])
    found = f"random restarts of PGD break {_percent(gained)} more"
    return Check(name="restarts change little", passed=gained <= RESTARTS, found=found)


def _randomness(observed: Observed) -> Check:
    honest = observed.repeats and observed.guard_repeats == (observed.draws == 0)
    network = "answers twice the same" if observed.repeats else "answers differently from call to call"
    found = f"the network {network}; the guard declares {observed.draws} draws"
    return Check(name="randomness is declared", passed=honest, found=found)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

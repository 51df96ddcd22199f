"""Is an evaluation to be believed? Checks that real robustness passes and masked gradients fail.

After arXiv 1802.00420, 1902.06705 and the flags of AutoAttack (arXiv 2003.01690): each check names what was seen.
"""

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
        is_adversarial: at the budget, the rows that each attack breaks.
        unbounded: what breaks them without a limit.
        dead: share of unperturbed rows whose gradient is 0 or not a number.
        repeats: whether the network answers twice the same.
        logits: whether the outputs of the unperturbed rows do not sum to one.
        draws: random draws that the guard declares.
        guard_repeats: whether the guarded model answers the same under two seeds.
    """

    cells: list[ThreatResult]
    budget: float
    is_adversarial: AttackSuccess
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
    cells = [cell for cell in observed.cells if cell.eps <= observed.budget]
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


def _more_steps(observed: Observed) -> Check:
    return _no_weaker(
        "many steps find what one step finds",
        ("pgd", observed.is_adversarial.pgd),
        ("fgsm", observed.is_adversarial.fgsm),
    )


def _not_folded(observed: Observed) -> Check:
    """Fails if one step finds hardly more than chance does, where many steps break most: catastrophic overfitting."""
    found = observed.is_adversarial
    noise, one, many = (float(each.mean()) for each in (found.noise, found.fgsm, found.pgd))
    stand = [_percent(1.0 - is_adversarial) for is_adversarial in (noise, one, many)]
    return Check(
        name="one step and many steps see the same surface",
        passed=one > noise + BLIND or many - one <= FOLDED,
        found=f"{stand[0]} stand under noise, {stand[1]} under FGSM, {stand[2]} under PGD",
    )


def _order(observed: Observed) -> list[Check]:
    found = observed.is_adversarial
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


def _gradients(observed: Observed) -> Check:
    return Check(
        name="gradients are neither zero nor NaN",
        passed=observed.dead <= NO_GRADIENT,
        found=f"{_percent(observed.dead)} of the unperturbed rows have no usable gradient",
    )


def _restarts(observed: Observed) -> Check:
    gained = observed.is_adversarial.by_restarts / len(observed.is_adversarial.pgd)
    found = f"random restarts of PGD break {_percent(gained)} more"
    return Check(name="restarts change little", passed=gained <= RESTARTS, found=found)


def _randomness(observed: Observed) -> Check:
    honest = observed.repeats and observed.guard_repeats == (observed.draws == 0)
    network = "answers twice the same" if observed.repeats else "answers differently from call to call"
    found = f"the network {network}; the guard declares {observed.draws} draws"
    return Check(name="randomness is declared", passed=honest, found=found)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

"""Is an evaluation to be believed? Checks that real robustness passes and masked gradients fail.

After arXiv 1802.00420, 1902.06705 and the flags of AutoAttack (arXiv 2003.01690): each check names what was seen.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

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
    """Which examples of an undefended network each attack fools at one threat; each was run on all of them.

    Attributes:
        noise: under random noise of full size.
        fgsm: in one step.
        pgd: in many steps, from one start.
        white_box: by anybody who uses gradients; in L2 by whole numbers taken one at a time, too.
        square: by Square, which sees outputs only; None away from the budget.
        transfer: by perturbations made on other networks; None where there are none.
        by_restarts: how many examples only a further random restart of an attack fools.
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
    """What fools the model on the same examples when every value that can change at all may take any value of the box.

    Attributes:
        attacked: examples that gradients break, in many steps.
        searched: examples that a search without gradients fools; None where the attack left it nothing to find.
        tried: points of the box that the search tried per example.
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
    """What the checks look at, all on the same examples, undefended, in one norm.

    Attributes:
        cells: rising in eps; the last is not beyond the budget's cell.
        budget: eps of the budget.
        is_adversarial: at the budget, the examples that each attack fools.
        unbounded: what fools them without a limit.
        dead: share of unperturbed examples whose gradient is 0 or not a number.
        repeats: whether the network is deterministic.
        logits: whether the outputs of the unperturbed examples do not sum to one.
        draws: random draws that the guard declares.
        guard_repeats: whether the guarded model predicts the same under two seeds.
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
    proof = f"bounds certify {_percent(proven.share)} of {_percent(left.share)} robust accuracy"
    return Check(name=check.name, passed=True, found=f"{check.found}; but {proof}")


def _everything_falls(observed: Observed) -> Check:
    """Fails if gradients break clearly fewer examples than points tried at random: there were more to break.

    A wide tolerance, or features that no attacker can change, may leave examples that nothing fools; a search of the
    same box says how many those are.
    """
    name, found = "robust accuracy reaches 0 under an unbounded attack", observed.unbounded
    left = _left(found.attacked)
    said = f"under PGD with an eps that spans the whole input box, robust accuracy is {_percent(left)}"
    if found.fixed:
        carry = "" if found.importance is None else f", with {_percent(found.importance)} of the permutation importance"
        said += f"; {listed(found.fixed)} cannot change at any eps{carry}"
    if found.searched is None:
        return Check(name=name, passed=left <= MARGIN, found=said)
    said += f"; random search over {found.tried} points of the box leaves {_percent(_left(found.searched))}"
    unbroken = _percent(_left(found.attacked | found.searched))
    said += f"; {unbroken} withstand both, even with every mutable feature free"
    passed = not _clearly_weaker(found.attacked, found.searched)
    return Check(name=name, passed=passed, found=said)


def _left(is_adversarial: Flags) -> float:
    return float((~is_adversarial).mean())


def _falls_with_eps(observed: Observed) -> list[Check]:
    """For the worst case, and for FGSM by itself: what one large step misses and a small one finds is masked."""
    checks = []
    cells = [cell for cell in observed.cells if cell.eps <= observed.budget]
    columns = {
        "worst-case robust accuracy": [cell.undefended for cell in cells],
        "robust accuracy under FGSM": [cell.fgsm for cell in cells],
    }
    for label, rates in columns.items():
        shares = [each.share for each in rates if each is not None]
        rise = max((later - min(shares[: i + 1]) for i, later in enumerate(shares[1:])), default=0.0)
        shown = ", ".join(f"{_percent(share)} at {cell.eps:g}" for share, cell in zip(shares, cells, strict=True))
        checks.append(Check(name=f"{label} falls with eps", passed=rise <= MARGIN, found=shown))
    return checks


def _more_steps(observed: Observed) -> Check:
    return _no_weaker(
        "iterative attacks are no weaker than single-step",
        ("pgd", observed.is_adversarial.pgd),
        ("fgsm", observed.is_adversarial.fgsm),
    )


def _not_folded(observed: Observed) -> Check:
    """Fails if one step finds hardly more than chance does, where many steps break most: catastrophic overfitting."""
    found = observed.is_adversarial
    noise, one, many = (float(each.mean()) for each in (found.noise, found.fgsm, found.pgd))
    stand = [_percent(1.0 - is_adversarial) for is_adversarial in (noise, one, many)]
    return Check(
        name="no catastrophic overfitting to a single step",
        passed=one > noise + BLIND or many - one <= FOLDED,
        found=f"robust accuracy {stand[0]} under noise, {stand[1]} under FGSM, {stand[2]} under PGD",
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
    """Fails if `weak` fools clearly more examples: by a sign test on those that only one fools, and by 2 points."""
    only_strong, only_weak = _only(strong[1], weak[1])
    found = f"{only_strong} examples fooled by {strong[0]} only, {only_weak} by {weak[0]} only"
    return Check(name=name, passed=not _clearly_weaker(strong[1], weak[1]), found=found)


def _clearly_weaker(strong: Flags, weak: Flags) -> bool:
    """Whether the one that should be strong fools fewer examples: by a sign test, and by 2 points."""
    only_strong, only_weak = _only(strong, weak)
    if (only_weak - only_strong) / len(strong) <= MARGIN:
        return False
    # Slow to import, and needed only where something is suspicious.
    from scipy.stats import binomtest

    return bool(binomtest(only_weak, only_strong + only_weak, alternative="greater").pvalue < SURE)


def _only(strong: Flags, weak: Flags) -> tuple[int, int]:
    return int(np.count_nonzero(strong & ~weak)), int(np.count_nonzero(weak & ~strong))


def _gradients(observed: Observed) -> Check:
    return Check(
        name="gradients are neither zero nor NaN",
        passed=observed.dead <= NO_GRADIENT,
        found=f"{_percent(observed.dead)} of the clean examples have a zero or non-finite gradient",
    )


def _restarts(observed: Observed) -> Check:
    gained = observed.is_adversarial.by_restarts / len(observed.is_adversarial.pgd)
    found = f"random restarts of PGD fool {_percent(gained)} more"
    return Check(name="random restarts add little", passed=gained <= RESTARTS, found=found)


def _randomness(observed: Observed) -> Check:
    honest = observed.repeats and observed.guard_repeats == (observed.draws == 0)
    network = "is deterministic" if observed.repeats else "gives different outputs from call to call"
    found = f"the network {network}; the guard declares {observed.draws} random draws"
    return Check(name="randomness is declared", passed=honest, found=found)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

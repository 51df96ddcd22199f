"""Which attacks are run, and in which order: cheap ones first, on everything that the access allows."""

from collections.abc import Iterator
from dataclasses import dataclass

from redoubt.attacks.apgd import APGD, APGDT
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.ensemble import Member
from redoubt.attacks.hopskipjump import HopSkipJump
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.targets.contract import Access, Kind

STEPS, TARGETS, RESTARTS = 40, 9, 2
# Queries per example: of a first look, and of a thorough search.
FEW, MANY = 100, 1000
# The name of the attack that every example meets.
FIRST = "pgd"
NOISE = Member("noise", Noise(), uses_gradients=False)
FGSM = Member("fgsm", fgsm())


@dataclass(frozen=True)
class Step:
    """One attack at one eps.

    Attributes:
        eps: size of the perturbation.
        member: the attack.
        alone: on every example, so that attacks compare; else on those that are still robust.
    """

    eps: float
    member: Member
    alone: bool = False


@dataclass(frozen=True)
class Scope:
    """What a plan depends on.

    Attributes:
        access: of the target.
        given: eps that were asked for, rising; attacked with everything.
        between: further eps for the curve, attacked with what is cheap.
        classes: scores of the target.
        queries: that may be asked per example in all; None sets no limit.
        repeats: draws of a random model.
        transfer: from a proxy, where that is tried.
        searches: what is tried beside, where the columns of a table are related.
    """

    access: Access
    given: tuple[float, ...]
    between: tuple[float, ...]
    classes: int
    queries: int | None
    repeats: int
    transfer: Member | None = None
    searches: tuple[Member, ...] = ()


def plan(scope: Scope) -> list[Step]:
    """The steps, in order."""
    if scope.access in ("scores", "labels"):
        return list(_by_queries(scope))
    return list(_by_gradients(scope))


def pgd(repeats: int) -> Member:
    """The attack that every example meets."""
    return Member(FIRST, PGD(steps=STEPS // 2, eot=repeats))


def _by_gradients(scope: Scope) -> Iterator[Step]:
    eot, every, given = scope.repeats, sorted({*scope.given, *scope.between}), scope.given
    stops = eot == 1
    for member in (NOISE, FGSM, pgd(eot)):
        yield from (Step(eps, member, alone=True) for eps in every)
    apgd = Member("apgd-ce", APGD(steps=STEPS, eot=eot, early_stop=stops))
    yield from (Step(eps, apgd) for eps in every)
    margin = Member("pgd-margin", PGD(steps=STEPS, eot=eot, loss="margin", early_stop=stops))
    targeted = Member("apgd-t", APGDT(steps=STEPS, targets=min(TARGETS, max(scope.classes - 1, 1)), eot=eot))
    for member in (margin, targeted, *scope.searches):
        yield from (Step(eps, member) for eps in given)
    few, many = _searched(scope, len(every))
    # Without gradients, on all examples: if it wins where gradients did not, they are masked.
    yield from (Step(given[-1], _square(queries), alone=True) for queries in few)
    restart = PGD(steps=STEPS, eot=eot, early_stop=stops)
    for start in range(1, RESTARTS + 1):
        yield from (Step(eps, Member("pgd restart", restart, restart=start)) for eps in given)
    yield from (Step(eps, _square(queries)) for eps in given for queries in many)


def _by_queries(scope: Scope) -> Iterator[Step]:
    every = sorted({*scope.given, *scope.between})
    yield from (Step(eps, NOISE, alone=True) for eps in every)
    if scope.transfer is not None:
        yield from (Step(eps, scope.transfer) for eps in every)
    few, each = _shares(scope, len(every))
    if scope.access == "scores":
        yield from (Step(eps, _square(few)) for eps in every if few)
        yield from (Step(eps, _square(each)) for eps in scope.given)
        # Of a budget Square takes what there is.
        searches = scope.searches if scope.queries is None else ()
        yield from (Step(eps, member) for member in searches for eps in scope.given)
    jump = Member("hopskipjump", HopSkipJump(queries=each), uses_gradients=False)
    yield from (Step(eps, jump) for eps in scope.given)


def _searched(scope: Scope, every: int) -> tuple[list[int], list[int]]:
    """Queries per example of the first and the thorough search beside gradients; none where a budget has none left.

    What attacks with gradients find is judged by queries, too.
    """
    if scope.queries is None:
        return [FEW], [MANY]
    given = len(scope.given)
    judged = scope.repeats * (4 * every + (2 + len(scope.searches) + RESTARTS) * given)
    left = scope.queries - judged - (1 + scope.repeats) * (1 + given)
    few = min(FEW, left // 4)
    many = min(MANY, (left - few) // given)
    return ([few], [many]) if few >= 1 else ([], [])


def _shares(scope: Scope, every: int) -> tuple[int, int]:
    """Queries per example of a first look at each eps, 0 for none, and of each thorough search.

    A fourth of a budget goes into the first look, so that the eps that were asked for get the rest.
    """
    if scope.queries is None:
        return FEW, MANY
    # An attack's result is judged, and its inputs are asked about once by the attacks' own contract.
    aside = 1 + scope.repeats
    left = scope.queries - every * scope.repeats * (1 if scope.transfer is None else 2)
    few = min(FEW, max(0, left // (4 * every) - aside)) if scope.access == "scores" else 0
    searches = len(scope.given) * (2 if scope.access == "scores" else 1)
    each = (left - (every * (few + aside) if few else 0)) // searches - aside
    return few, max(1, min(MANY, each))


def _square(queries: int) -> Member:
    return Member("square", Square(queries=queries), uses_gradients=False)


def thorough_search(queries: int | None = None) -> Member:
    """By queries, as long as a plan lets it: without a limit, or with so many for each example."""
    return _square(MANY if queries is None else max(1, min(MANY, queries)))


# What no audit tries yet, whatever the access.
NEVER = (
    "attacks that change other things than values within eps: patches, rotations, blur, words",
    "poisoning of the training set, and theft of the model",
)


def uncounted(access: Access, kind: Kind) -> list[str]:
    """What a model was made to say without its being a query, in words."""
    found = []
    if access not in ("scores", "labels"):
        found.append("passes through a copy of the model, of attacks that follow its gradients")
    if access == "gradients and bounds":
        found.append("bounds, computed from its weights")
    if kind in ("onnx", "callable", "mlflow", "http"):
        found.append("the first examples, a few of each class, by which its answers were read when it was opened")
    return found


def not_tried(access: Access, *, l2: bool, transfer: bool) -> list[str]:
    """What the audit leaves out, in words."""
    found = []
    if access in ("scores", "labels"):
        found.append("attacks that follow gradients: this access has none, so robust accuracy may be far too high")
    if not transfer:
        found.append("transfer from a network trained on the model's answers")
    if access == "labels":
        found.append("attacks on scores: the model gives labels alone")
    if access != "gradients and bounds":
        found.append("certificates: bounds need a network of layers that have them")
    elif l2:
        found.append("certificates in L2: interval bounds are for L-inf")
    return [*found, *NEVER]

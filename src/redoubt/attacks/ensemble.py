"""The worst case as one attack, after AutoAttack (arXiv 2003.01690): each member on the examples still robust."""

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from redoubt.attacks.apgd import APGD, APGDT
from redoubt.attacks.core.active_rows import until_adversarial
from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.genetic import GeneticSearch
from redoubt.attacks.square import Square
from redoubt.core.types import Bounds, Floats


@dataclass(frozen=True)
class Member:
    """One of the attacks whose worst case is taken.

    Attributes:
        name: what reports call it; repeats of an attack share one.
        attack: how it perturbs.
        uses_gradients: whether it follows gradients of the model, rather than its outputs or chance alone.
        restart: added to its seed; above 0 it is a repeat from another random start.
    """

    name: str
    attack: Attack
    uses_gradients: bool = True
    restart: int = 0

    @property
    def is_white_box(self) -> bool:
        """Whether it knows the model: by gradients, or as the search beside them where columns are related."""
        return self.uses_gradients or isinstance(self.attack, GeneticSearch)

    def within(self, bounds: Bounds) -> "Member":
        """The same by its name there: Auto-PGD that repairs relations at each step is CAPGD (arXiv 2406.00775)."""
        is_repaired = bounds.relations is not None and self.name.startswith("apgd")
        return replace(self, name=f"c{self.name}") if is_repaired else self


@dataclass(frozen=True, kw_only=True)
class Ensemble(Attack):
    """APGD-CE, PGD from several random starts, APGD-T, then Square; misclassified clean examples are left as they are.

    One PGD maximizes the margin: for a confident network, cross-entropy loses the true logit in float32. Where columns
    are related it is CAA (arXiv 2406.00775): CAPGD and an evolutionary search, and what else it has.

    Attributes:
        steps: gradient steps of each attack that takes them, >= 1.
        targets: wrong classes that APGD-T tries, >= 1.
        queries: budget of Square per example, >= 1.
        restarts: random starts of PGD on the cross-entropy, >= 0.
        eot: gradients summed per step over a random model's draws.
    """

    steps: int = 100
    targets: int = 9
    queries: int = 1000
    restarts: int = 5
    eot: int = 1

    @property
    def members(self) -> list[Member]:
        """Its attacks in the order tried, those that use gradients first."""
        steps, eot = self.steps, self.eot
        pgd = PGD(steps=steps, eot=eot, early_stop=True)
        return [
            Member("apgd-ce", APGD(steps=steps, eot=eot)),
            Member("pgd-margin", PGD(steps=steps, eot=eot, loss="margin", early_stop=True)),
            *[Member("pgd restart", pgd, restart=start) for start in range(1, self.restarts + 1)],
            Member("apgd-t", APGDT(steps=steps, targets=self.targets, eot=eot)),
            Member("square", Square(queries=self.queries), uses_gradients=False),
        ]

    def members_within(self, bounds: Bounds) -> list[Member]:
        """Its attacks where columns may be related or switched: with a search, which no gradient misleads: CAA."""
        return [*(each.within(bounds) for each in self.members), *searches(bounds, self.queries)]

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`; each member switches mutable categories in its own way."""
        attempts = (
            lambda rows, each=each: each.attack.perturb_and_switch(problem, x[rows], y[rows], eps, seed + each.restart)
            for each in self.members_within(problem.bounds)
        )
        return until_adversarial(problem, x, y, [lambda rows: x[rows], *attempts], eps, seed)

    def perturb_and_switch(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """As `perturb`."""
        return self.perturb(problem, x, y, eps, seed)


def searches(bounds: Bounds, queries: int) -> list[Member]:
    """What is tried beside gradients where they do not know what a repair will change, or a switch of a category."""
    if bounds.relations is None and bounds.switches is None:
        return []
    return [Member("genetic search", GeneticSearch(queries=queries), uses_gradients=False)]

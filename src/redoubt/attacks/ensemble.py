"""The worst case as one attack, after AutoAttack (arXiv 2003.01690): each member on the examples still robust."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from redoubt.attacks.active_rows import until_adversarial
from redoubt.attacks.apgd import APGD, APGDT
from redoubt.attacks.base import Attack
from redoubt.attacks.gradient import PGD
from redoubt.attacks.problem import AttackProblem
from redoubt.attacks.square import Square
from redoubt.types import Floats


@dataclass(frozen=True, kw_only=True)
class Ensemble(Attack):
    """APGD-CE, PGD from several random starts, APGD-T, then Square; an example that wins unperturbed is left as it is.

    One PGD climbs the margin: of a network that is sure of itself, cross-entropy forgets the true logit in float32.

    Attributes:
        steps: gradient steps of each attack that takes them, >= 1.
        targets: wrong classes that APGD-T tries, >= 1.
        queries: answers per example that Square may take, >= 1.
        restarts: random starts of PGD on the cross-entropy, >= 0.
        eot: gradients summed per step over a random model's draws.
    """

    steps: int = 100
    targets: int = 9
    queries: int = 1000
    restarts: int = 5
    eot: int = 1

    @property
    def members(self) -> list[tuple[str, Attack, int]]:
        """Its attacks in the order tried, those that use gradients first, each with a name and its start's number."""
        steps, eot = self.steps, self.eot
        pgd = PGD(steps=steps, eot=eot, early_stop=True)
        return [
            ("apgd-ce", APGD(steps=steps, eot=eot), 0),
            ("pgd-margin", PGD(steps=steps, eot=eot, loss="margin", early_stop=True), 0),
            *[("pgd restart", pgd, start) for start in range(1, self.restarts + 1)],
            ("apgd-t", APGDT(steps=steps, targets=self.targets, eot=eot), 0),
            ("square", Square(queries=self.queries), 0),
        ]

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`."""
        attempts = (
            lambda rows, attack=attack, start=start: attack.perturb(problem, x[rows], y[rows], eps, seed + start)
            for _, attack, start in self.members
        )
        return until_adversarial(problem, x, y, [lambda rows: x[rows], *attempts], seed)

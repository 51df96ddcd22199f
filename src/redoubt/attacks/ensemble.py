"""The worst case as one attack, after AutoAttack (arXiv 2003.01690): each member on the rows still standing."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from redoubt.attacks.apgd import APGD, APGDT
from redoubt.attacks.contract import Attack, Problem
from redoubt.attacks.gradient import PGD
from redoubt.attacks.square import Square
from redoubt.attacks.standing import until_won
from redoubt.tasks import Floats


@dataclass(frozen=True, kw_only=True)
class Ensemble(Attack):
    """APGD-CE, APGD-T, Square, then PGD from several random starts; a row that wins unperturbed is left as it is.

    Attributes:
        steps: gradient steps of each attack that takes them, >= 1.
        targets: wrong classes that APGD-T tries, >= 1.
        queries: answers per row that Square may take, >= 1.
        restarts: random starts of PGD, >= 1.
        eot: gradients summed per step over a random model's draws.
    """

    steps: int = 100
    targets: int = 9
    queries: int = 1000
    restarts: int = 5
    eot: int = 1

    @property
    def attacks(self) -> list[Attack]:
        """Its members, in the order in which they are tried."""
        return [
            APGD(steps=self.steps, eot=self.eot),
            APGDT(steps=self.steps, targets=self.targets, eot=self.eot),
            Square(queries=self.queries),
            *[PGD(steps=self.steps, eot=self.eot, stop_when_won=True)] * self.restarts,
        ]

    def perturb(self, problem: Problem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`."""
        attempts = (
            lambda rows, place=place, attack=attack: attack.perturb(problem, x[rows], y[rows], eps, seed + place)
            for place, attack in enumerate(self.attacks)
        )
        return until_won(problem, x, y, [lambda rows: x[rows], *attempts], seed)

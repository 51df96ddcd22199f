"""Every attack, every norm, every tiny task."""

from dataclasses import dataclass

from redoubt.attacks.contract import Attack, Problem, of_network
from redoubt.attacks.gradient import PGD, fgsm
from redoubt.attacks.noise import Noise
from redoubt.params import Norm
from tests.tiny import Case

ATTACKS: dict[str, Attack] = {
    "noise": Noise(),
    "fgsm": fgsm(),
    "pgd": PGD(steps=5),
    "pgd-from-the-input": PGD(steps=5, random_start=False),
    "pgd-eot": PGD(steps=3, step_size=0.5, eot=2),
}
NORMS: tuple[Norm, ...] = ("linf", "l2")


@dataclass(frozen=True, eq=False)
class Threat:
    """A tiny task under attack in one norm; the problem keeps the compiled attacks."""

    case: Case
    problem: Problem


def threaten(case: Case, norm: Norm) -> Threat:
    """The task's own aim, in a norm."""
    return Threat(case, Problem(of_network(case.network), case.criterion, norm, case.bounds))

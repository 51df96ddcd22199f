"""Every attack, every norm, every tiny task."""

from dataclasses import dataclass

from redoubt.attacks.apgd import APGD, APGDT
from redoubt.attacks.carlini_wagner import CarliniWagner
from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.gradient import PGD, Restarts, fgsm
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.ensemble import Ensemble
from redoubt.attacks.hopskipjump import HopSkipJump
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.core.types import Norm
from redoubt.scenarios.course_attack import GradientDescent
from tests.support.tiny import Case

# An ensemble's members and what restarts are those above, so that each is compiled once for a problem.
ATTACKS: dict[str, Attack] = {
    "noise": Noise(),
    "fgsm": fgsm(),
    "pgd": PGD(steps=5),
    "pgd-from-the-input": PGD(steps=5, random_start=False),
    "pgd-eot": PGD(steps=3, step_size=0.5, eot=2),
    "pgd-momentum": PGD(steps=6, momentum=1.0, loss="margin", early_stop=True),
    "pgd-restarts": Restarts(PGD(steps=5), 2),
    "gradient-descent": GradientDescent(steps=3),
    "apgd": APGD(steps=3),
    "apgd-dlr": APGD(steps=3, loss="dlr", eot=2),
    "apgd-targeted": APGDT(steps=3, targets=2),
    "carlini-wagner": CarliniWagner(steps=20, searches=2, learning_rate=0.1),
    "ensemble": Ensemble(steps=3, targets=2, queries=10, restarts=2),
    "square": Square(queries=20),
    "hop-skip-jump": HopSkipJump(queries=40, samples=8),
}
NORMS: tuple[Norm, ...] = ("linf", "l2")


@dataclass(frozen=True, eq=False)
class Threat:
    """A tiny task under attack in one norm; the problem keeps the compiled attacks."""

    case: Case
    problem: AttackProblem


def threaten(case: Case, norm: Norm) -> Threat:
    """The task's own aim, in a norm."""
    return Threat(case, AttackProblem(of_network(case.network), case.criterion, norm, case.bounds))

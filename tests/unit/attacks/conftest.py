"""Every attack, every norm, every tiny task: compiled once, tried many times."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

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
    """A tiny task under attack in one norm."""

    case: Case
    problem: Problem


@pytest.fixture(scope="session")
def threats(trained: Callable[[str], Case]) -> Callable[[str, Norm], Threat]:
    """A threat by the names of its task and norm; attacks stay compiled."""

    @functools.cache
    def make(name: str, norm: Norm) -> Threat:
        case = trained(name)
        return Threat(case, Problem(of_network(case.network), case.criterion, norm, case.bounds))

    return make


@pytest.fixture(scope="module", params=NORMS)
def threat(request: pytest.FixtureRequest, case: Case, threats: Callable[[str, Norm], Threat]) -> Threat:
    """Each of them in turn."""
    return threats(case.name, request.param)

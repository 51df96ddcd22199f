"""The worst case is no better for the defender than any of its members."""

from collections.abc import Callable

import numpy as np
import pytest

from redoubt.attacks.criteria import Untargeted
from redoubt.attacks.ensemble import Ensemble
from redoubt.params.base import Norm
from redoubt.types import Floats
from tests.tiny import IMAGE
from tests.unit.attacks.threats import NORMS, Threat

SMALL = Ensemble(steps=5, targets=2, queries=20, restarts=2)
EPS: dict[Norm, float] = {"linf": 0.2, "l2": 0.8}


def won(threat: Threat, x: Floats) -> np.ndarray:
    return threat.problem.criterion.won(threat.problem.answers(x), threat.case.test.y)


def test_its_members_are_the_reference_ones() -> None:
    names = [name for name, *_ in SMALL.members]
    assert names == ["apgd-ce", "pgd-margin", "pgd restart", "pgd restart", "apgd-t", "square"]


@pytest.mark.parametrize("norm", NORMS)
def test_it_wins_what_any_member_wins(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    threat = threats(IMAGE, norm)
    x, y = threat.case.test.x, threat.case.test.y
    worst = won(threat, SMALL(threat.problem, x, y, eps=EPS[norm], seed=0))
    for name, attack, start in SMALL.members:
        if name != "square":
            alone = won(threat, attack(threat.problem, x, y, eps=EPS[norm], seed=start))
            assert np.all(worst >= alone), attack
    assert won(threat, x).mean() < worst.mean() < 1


def test_what_wins_already_is_left_alone(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(IMAGE, "linf")
    x, wrong = threat.case.test.x, (threat.case.test.y + 1) % 3
    already = Untargeted().won(threat.problem.answers(x), wrong)
    assert already.mean() > 0.9
    moved = SMALL(threat.problem, x, wrong, eps=0.2, seed=0)
    assert np.array_equal(moved[already], x[already])

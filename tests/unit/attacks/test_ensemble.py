"""The worst case is no better for the defender than any of its members."""

from collections.abc import Callable

import numpy as np
import pytest

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.ensemble import Ensemble
from redoubt.core.types import Floats, Norm
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE

SMALL = Ensemble(steps=5, targets=2, queries=20, restarts=2)
EPS: dict[Norm, float] = {"linf": 0.2, "l2": 0.8}


def adversarial(threat: Threat, x: Floats) -> np.ndarray:
    return threat.problem.criterion.is_adversarial(threat.problem.predict(x), threat.case.test.y)


def test_its_members_are_the_reference_ones() -> None:
    names = [each.name for each in SMALL.members]
    assert names == ["apgd-ce", "pgd-margin", "pgd restart", "pgd restart", "apgd-t", "square"]
    assert [each.name for each in SMALL.members if not each.uses_gradients] == ["square"]
    assert [each.restart for each in SMALL.members] == [0, 0, 1, 2, 0, 0]


@pytest.mark.parametrize("norm", NORMS)
def test_it_wins_what_any_member_wins(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    threat = threats(IMAGE, norm)
    x, y = threat.case.test.x, threat.case.test.y
    worst = adversarial(threat, SMALL(threat.problem, x, y, eps=EPS[norm], seed=0))
    for each in SMALL.members:
        if each.uses_gradients:
            alone = adversarial(threat, each.attack(threat.problem, x, y, eps=EPS[norm], seed=each.restart))
            assert np.all(worst >= alone), each
    assert adversarial(threat, x).mean() < worst.mean() < 1


def test_what_wins_already_is_left_alone(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(IMAGE, "linf")
    x, wrong = threat.case.test.x, (threat.case.test.y + 1) % 3
    already = Untargeted().is_adversarial(threat.problem.predict(x), wrong)
    assert already.mean() > 0.9
    x_adv = SMALL(threat.problem, x, wrong, eps=0.2, seed=0)
    assert np.array_equal(x_adv[already], x[already])

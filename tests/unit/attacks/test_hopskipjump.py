"""How near HopSkipJump comes where the distance to the boundary is known, and where it starts."""

from collections.abc import Callable

import numpy as np
import pytest

from redoubt.attacks.core.criteria import Targeted, Untargeted
from redoubt.attacks.core.problem import AttackProblem, of_callable
from redoubt.attacks.hopskipjump import STARTS, HopSkipJump
from redoubt.core.types import PIXELS, Bounds, Floats, Norm
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE

WEIGHTS = np.float32([3.0, -1.0, -2.0, 0.5, 1.5, -0.7])
SPREADS = np.float32([1.0, 2.0, 0.5, 1.0, 0.1, 1.0])


def labels(chosen: Floats) -> Floats:
    """Answers that hold a label and nothing else."""
    return np.where(chosen[:, None], np.float32([-1, 1]), np.float32([1, -1]))


def plane(norm: Norm) -> tuple[AttackProblem, Floats, Floats]:
    """A boundary, some points on one side of it, and their distances in units of the spreads."""
    bounds = Bounds(np.full(6, -9, np.float32), np.full(6, 9, np.float32), SPREADS)
    x = np.random.default_rng(0).uniform(0, 2, (8, 6)).astype(np.float32)
    far = x @ WEIGHTS + 12
    slope = WEIGHTS * SPREADS
    distances = far / (np.abs(slope).sum() if norm == "linf" else np.linalg.norm(slope))
    return (
        AttackProblem(of_callable(lambda x: labels(x @ WEIGHTS + 12 < 0), 2), Untargeted(), norm, bounds),
        x,
        distances,
    )


@pytest.mark.parametrize("norm", NORMS)
def test_labels_alone_lead_to_the_nearest_point_of_a_plane(norm: Norm) -> None:
    problem, x, distances = plane(norm)
    for row, distance in enumerate(distances):
        for share, wins in ((1.1, True), (0.98, False)):
            done = HopSkipJump(queries=3000).count(
                problem, x[row : row + 1], np.zeros(1, int), eps=share * distance, seed=0
            )
            assert (done.x_adv @ WEIGHTS + 12 < 0).all() == wins
            assert np.array_equal(done.x_adv, x[row : row + 1]) != wins
            assert (done.queries[0] < 2000) == wins


@pytest.mark.parametrize("norm", NORMS)
def test_more_queries_come_nearer(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    threat, eps = threats(IMAGE, norm), {"linf": 0.25, "l2": 1.0}[norm]
    x, y, problem = threat.case.test.x, threat.case.test.y, threat.problem
    few, many = (
        float((HopSkipJump(queries=queries)(problem, x, y, eps=eps, seed=0) != x).any(axis=(1, 2, 3)).mean())
        for queries in (60, 1000)
    )
    assert few + 0.2 < many


@pytest.mark.parametrize("norm", NORMS)
def test_a_target_is_reached_from_a_row_that_is_answered_so(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    """Noise is answered as the middle class, so the other two have to come from other rows."""
    threat = threats(IMAGE, norm)
    problem = AttackProblem(threat.problem.outputs, Targeted(), norm, PIXELS)
    wanted = (threat.case.test.y + 1) % 3
    eps = {"linf": 0.5, "l2": 3.0}[norm]
    x_adv = HopSkipJump(queries=500)(problem, threat.case.test.x, wanted, eps=eps, seed=0)
    reached = Targeted().is_adversarial(threat.case.network(x_adv).numpy(), wanted)
    assert all(reached[wanted == target].mean() >= 0.9 for target in range(3))


def test_without_a_start_a_row_is_given_up() -> None:
    """What wins is so rare that neither noise nor another row has it: 1 query, and one per start."""
    problem = AttackProblem(of_callable(lambda x: labels(x[:, 0] > 0.999999), 2), Untargeted(), "l2", PIXELS)
    x = np.random.default_rng(0).uniform(0, 0.9, (5, 3)).astype(np.float32)
    done = HopSkipJump().count(problem, x, np.zeros(5, int), eps=2.0, seed=0)
    assert np.array_equal(done.x_adv, x)
    assert done.queries.tolist() == [1 + STARTS] * 5


def test_another_row_is_a_start_where_noise_is_none() -> None:
    """Noise is never so bright on the whole."""
    problem = AttackProblem(of_callable(lambda x: labels(x.mean(axis=1) > 0.8), 2), Untargeted(), "l2", PIXELS)
    x = np.random.default_rng(0).uniform(0.3, 0.6, (3, 50)).astype(np.float32)
    x[2] += 0.4
    distances = (0.8 - x.mean(axis=1)) * np.sqrt(50)
    done = HopSkipJump().count(problem, x, np.zeros(3, int), eps=1.1 * float(distances[0]), seed=0)
    assert done.queries[2] == 1
    assert done.x_adv[0].mean() > 0.8
    alone = HopSkipJump().count(problem, x[:2], np.zeros(2, int), eps=2.0 * float(distances[0]), seed=0)
    assert alone.queries.tolist() == [1 + STARTS] * 2

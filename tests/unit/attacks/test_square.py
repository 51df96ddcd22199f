"""What Square achieves where the best attack is known, and how its squares shrink."""

from collections.abc import Callable

import numpy as np
import pytest

from redoubt.attacks.core.criteria import Targeted, Untargeted
from redoubt.attacks.core.problem import AttackProblem, of_callable
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square, _bump, _half
from redoubt.core.types import PIXELS, Bounds, Floats, Norm
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE, NUMBER

WIDE = Bounds(np.float32(-9), np.float32(9), np.float32(1))


def against_a_plane(weights: Floats, norm: Norm, bounds: Bounds, eps: float, queries: int) -> float:
    """How far Square moves a linear margin that it cannot close, as a share of the farthest possible."""

    def answer(x: Floats) -> Floats:
        side = (x.reshape(len(x), -1) @ weights.ravel() + 1e3) / 2
        return np.stack([side, -side], axis=1)

    x = np.random.default_rng(1).uniform(-1, 1, (6, *weights.shape)).astype(np.float32)
    x_adv = Square(queries=queries)(
        AttackProblem(of_callable(answer, 2), Untargeted(), norm, bounds), x, np.zeros(6, int), eps=eps, seed=0
    )
    slope = (weights * bounds.scale).ravel()
    farthest = eps * (np.abs(slope).sum() if norm == "linf" else np.linalg.norm(slope))
    return float(((x - x_adv).reshape(6, -1) @ weights.ravel()).min() / farthest)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("inputs", [1, 2, 5, 12], ids=str)
def test_a_table_against_a_plane(norm: Norm, inputs: int) -> None:
    rng = np.random.default_rng(inputs)
    weights = rng.normal(0, 1, inputs).astype(np.float32)
    bounds = Bounds(np.float32(-9), np.float32(9), rng.uniform(0.2, 2, inputs).astype(np.float32))
    assert against_a_plane(weights, norm, bounds, 0.3, queries=300) > (0.999 if norm == "linf" else 0.95)


@pytest.mark.parametrize("shape", [(6, 6, 1), (5, 8, 3)], ids=str)
def test_an_image_against_a_plane(shape: tuple[int, int, int]) -> None:
    """L-inf comes to the very corner in time; in L2 the bumps are too coarse for noise of single pixels."""
    weights = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    assert against_a_plane(weights, "linf", WIDE, 0.3, queries=800) > 0.95
    smooth = np.tile(np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None, None], (1, *shape[1:]))
    assert against_a_plane(smooth, "l2", WIDE, 0.3, queries=1000) > 0.7


@pytest.mark.parametrize("norm", NORMS)
def test_pixels_beyond_reach_stay(norm: Norm) -> None:
    scale = np.ones((6, 6, 1), np.float32)
    scale[:3] = 0
    x = np.full((4, 6, 6, 1), 0.5, np.float32)
    problem = AttackProblem(
        of_callable(lambda x: np.stack([x.sum((1, 2, 3)), 0 * x[:, 0, 0, 0]], 1), 2),
        Untargeted(),
        norm,
        Bounds(np.float32(0), np.float32(1), scale),
    )
    x_adv = Square(queries=50)(problem, x, np.zeros(4, int), eps=0.2, seed=0)
    assert np.array_equal(x_adv[:, :3], x[:, :3])
    assert np.all(x_adv[:, 3:].sum(axis=(1, 2, 3)) < 9)


@pytest.mark.parametrize("norm", NORMS)
def test_it_beats_noise_and_more_queries_beat_few(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    threat, eps = threats(IMAGE, norm), {"linf": 0.25, "l2": 1.2}[norm]
    x, y, problem = threat.case.test.x, threat.case.test.y, threat.problem

    def broken(x_adv: Floats) -> float:
        return float(problem.criterion.is_adversarial(problem.predict(x_adv), y).mean())

    noise = broken(Noise()(problem, x, y, eps=eps, seed=0))
    few, many = (broken(Square(queries=queries)(problem, x, y, eps=eps, seed=0)) for queries in (30, 300))
    assert noise + 0.1 < few < many


@pytest.mark.parametrize("norm", NORMS)
def test_it_hits_a_target(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    threat = threats(IMAGE, norm)
    problem = AttackProblem(threat.problem.outputs, Targeted(), norm, PIXELS)
    wanted = (threat.case.test.y + 1) % 3
    x_adv = Square(queries=300)(problem, threat.case.test.x, wanted, eps={"linf": 0.5, "l2": 3.0}[norm], seed=0)
    assert Targeted().is_adversarial(threat.case.network(x_adv).numpy(), wanted).mean() >= 0.9


def test_numbers_are_driven_out_of_tolerance_on_both_sides(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(NUMBER, "linf")
    x_adv = Square(queries=60)(threat.problem, threat.case.test.x, threat.case.test.y, eps=0.6, seed=0)
    change = threat.case.network(x_adv).numpy()[:, 0] - threat.case.test.y
    assert (change > 60).any()
    assert (change < -60).any()


def test_squares_shrink_as_the_queries_run_out() -> None:
    square = Square(queries=10_000)
    steps = [0, 1, 10, 11, 50, 51, 201, 501, 1001, 2001, 4001, 6001, 8001, 9999]
    shares = [None, 0.8, 0.8, *(0.8 / 2**k for k in (1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9))]
    assert [square._share(step) for step in steps] == pytest.approx(shares)
    assert Square(queries=100, p_init=0.4)._share(99) == 0.4 / 512


def test_bumps() -> None:
    assert _half(1, 3).tolist() == [[0.25, 1.25, 0.25]]
    assert np.allclose(_half(5, 5)[0], 1 / 9)
    assert np.allclose(_half(5, 5)[2], [1 / 9, 1 / 4 + 1 / 9, 1 + 1 / 4 + 1 / 9, 1 / 4 + 1 / 9, 1 / 9])
    for side in (1, 2, 3, 7):
        assert np.linalg.norm(_bump(side)) == pytest.approx(1)
        assert np.all(_bump(side)[: side // 2] > 0)
        assert np.all(_bump(side)[side // 2 :] < 0)

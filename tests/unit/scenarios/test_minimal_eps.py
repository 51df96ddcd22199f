"""The smallest eps that wins: known of a linear model, and never more than an attack has shown."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.problem import AttackError, AttackProblem
from redoubt.core.types import Batch, Bounds, Floats, Norm
from redoubt.scenarios.minimal_eps import attacks, minimal_eps
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE

KERNEL = np.float32([[3.0, 0.0], [0.0, 1.0], [-2.0, 0.0]])
BOUNDS = Bounds(np.full(3, -99, np.float32), np.full(3, 99, np.float32), np.float32([1.0, 2.0, 0.5]))
TOLERANCE = 0.004


@dataclass(frozen=True)
class Logged(Attack):
    """An attack, and the rows and eps it was asked for."""

    attack: Attack
    log: list[tuple[int, float]]

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        self.log.append((len(x), eps))
        return self.attack.perturb(problem, x, y, eps, seed)


def line(norm: Norm) -> AttackProblem:
    return AttackProblem(lambda x, seed: tf.matmul(x, KERNEL), Untargeted(), norm, BOUNDS)


@pytest.mark.parametrize("norm", NORMS)
def test_of_a_linear_model_it_is_the_distance_to_the_boundary(norm: Norm) -> None:
    x = np.random.default_rng(0).normal(0, 1, (60, 3)).astype(np.float32)
    margin, slope = x @ KERNEL @ [1, -1], (KERNEL[:, 0] - KERNEL[:, 1]) * BOUNDS.scale
    y = (margin < 0).astype(np.int64)
    y[:4] = 1 - y[:4]
    far = np.abs(margin) / (np.abs(slope).sum() if norm == "linf" else np.linalg.norm(slope))
    largest, log = float(np.median(far)), list[tuple[int, float]]()
    found = minimal_eps(Logged(fgsm(), log), line(norm), Batch(x, y), largest=largest, tolerance=TOLERANCE, seed=0)
    assert np.all(found[:4] == 0)
    right, reached = np.arange(60) >= 4, far < largest
    assert np.all(np.isinf(found[right & ~reached]))
    near = right & reached
    assert np.all((found[near] >= far[near] * (1 - 1e-5)) & (found[near] <= far[near] + TOLERANCE))
    halvings = np.ceil(np.log2(largest / TOLERANCE))
    assert sum(rows for rows, _ in log) == len(x) + halvings * near.sum(), "rows were attacked for nothing"
    assert len({eps for _, eps in log}) == len(log), "rows of equal eps were attacked apart"


@pytest.mark.parametrize("norm", NORMS)
def test_at_the_eps_it_names_the_attack_wins(threats: Callable[..., Threat], norm: Norm) -> None:
    threat, attack = threats(IMAGE, norm), PGD(steps=10, random_start=False)
    x, y = threat.case.test.x[:24], threat.case.test.y[:24]
    found = minimal_eps(
        attack, threat.problem, Batch(x, y), largest={"linf": 0.5, "l2": 3.0}[norm], tolerance=0.02, seed=0
    )
    assert np.isfinite(found).mean() > 0.5
    for row in np.flatnonzero(np.isfinite(found))[:8]:
        x_adv = attack(threat.problem, x[row : row + 1], y[row : row + 1], eps=found[row], seed=0)
        assert threat.problem.criterion.is_adversarial(threat.problem.predict(x_adv), y[row : row + 1]).all()


@pytest.mark.parametrize("largest", [0.5, 0.003])
def test_a_bar_ends_where_it_was_said_to(largest: float) -> None:
    """Some rows are won from the start, some never; the others are halved to the end."""
    x = np.random.default_rng(0).normal(0, 1, (40, 3)).astype(np.float32)
    y = (x @ KERNEL @ [1, -1] < 0).astype(np.int64)
    y[:4] = 1 - y[:4]
    with tqdm(total=40 * attacks(largest, TOLERANCE), file=io.StringIO()) as bar:
        found = minimal_eps(fgsm(), line("linf"), Batch(x, y), largest=largest, tolerance=TOLERANCE, seed=0, bar=bar)
        assert bar.n == bar.total
    assert not np.isfinite(found).all()


def test_no_rows_no_eps() -> None:
    none = minimal_eps(
        fgsm(),
        line("linf"),
        Batch(np.zeros((0, 3), np.float32), np.zeros(0, np.int64)),
        largest=1.0,
        tolerance=0.1,
        seed=0,
    )
    assert none.shape == (0,)


@pytest.mark.parametrize(("largest", "tolerance"), [(0.0, 0.1), (-1.0, 0.1), (1.0, 0.0), (float("nan"), 0.1)], ids=str)
def test_what_cannot_be_searched_is_refused(largest: float, tolerance: float) -> None:
    x, y = np.zeros((1, 3), np.float32), np.zeros(1, np.int64)
    with pytest.raises(AttackError, match=f"largest is {largest} and tolerance {tolerance}; both must be above 0"):
        minimal_eps(fgsm(), line("linf"), Batch(x, y), largest=largest, tolerance=tolerance, seed=0)

"""Carlini and Wagner's attack: distances that are known, and what eps means for it."""

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.carlini_wagner import CarliniWagner
from redoubt.attacks.core.criteria import Criterion, Targeted, Tolerance, Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.core.types import PIXELS, Batch, Bounds, Floats
from redoubt.scenarios.minimal_eps import minimal_eps
from tests.support.threats import Threat
from tests.support.tiny import IMAGE

KERNEL = np.float32([[3.0, 0.0], [0.0, 1.0], [-2.0, 0.0], [5.0, 0.0]])
# Units and ranges of different size, and an input that must not change.
BOUNDS = Bounds(np.float32([-9, -30, -4, 0]), np.float32([9, 20, 5, 2]), np.float32([1.0, 2.0, 0.5, 0.0]))
ATTACK = CarliniWagner(steps=300, learning_rate=0.05)


def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.matmul(x, KERNEL)


@functools.cache
def line(criterion: Criterion) -> tuple[AttackProblem, Floats, NDArray[np.int64]]:
    x: Floats = np.float32([[1, 0.2, 0.1, 0.5], [0.5, 0.1, -0.4, 0.2], [2, -1, 1, 0], [-9, 3, 0.5, 2]])
    return AttackProblem(outputs, criterion, "l2", BOUNDS), x, (x @ KERNEL).argmax(axis=1)


def known(x: Floats, margin: float = 0.0) -> Floats:
    slope = np.linalg.norm((KERNEL[:, 0] - KERNEL[:, 1]) * BOUNDS.scale)
    return (np.abs(x @ KERNEL @ [1, -1]) + margin) / slope


@pytest.mark.parametrize("kappa", [0.0, 1.5])
def test_against_a_line_the_distance_is_known(kappa: float) -> None:
    problem, x, y = line(Untargeted())
    x_adv = replace(ATTACK, kappa=kappa)(problem, x, y, eps=50.0, seed=0)
    found = distance(x_adv - x, "l2", BOUNDS)
    assert np.all(found >= known(x, kappa) * (1 - 1e-4))
    assert found == pytest.approx(known(x, kappa), rel=0.03)
    assert np.all(Untargeted().margin(tf.constant(x_adv @ KERNEL), y).numpy() > kappa)
    assert np.array_equal(x_adv[:, 3], x[:, 3])


def test_a_target_is_reached_by_the_same_road() -> None:
    problem, x, y = line(Targeted())
    x_adv = ATTACK(problem, x, 1 - y, eps=50.0, seed=0)
    assert Targeted().is_adversarial(x_adv @ KERNEL, 1 - y).all()
    assert distance(x_adv - x, "l2", BOUNDS) == pytest.approx(known(x), rel=0.03)


def test_of_a_number_it_finds_the_edge_of_the_tolerance() -> None:
    slope = np.float32([[3.0], [1.0], [0.0], [7.0]])
    problem = AttackProblem(lambda x, seed: tf.matmul(x, slope), Tolerance(0.6), "l2", BOUNDS)
    x = line(Untargeted())[1][:3]
    y = (x @ slope)[:, 0] + np.float32(0.1)
    x_adv = ATTACK(problem, x, y, eps=50.0, seed=0)
    assert Tolerance(0.6).is_adversarial(x_adv @ slope, y).all()
    assert distance(x_adv - x, "l2", BOUNDS) == pytest.approx(0.5 / np.hypot(3.0, 2.0), rel=0.05)


def test_a_row_is_won_where_its_distance_is_within_eps() -> None:
    problem, x, y = line(Untargeted())
    far = known(x)
    eps = float(np.sort(far)[1:3].mean())
    x_adv = ATTACK(problem, x, y, eps=eps, seed=0)
    assert np.array_equal(Untargeted().is_adversarial(x_adv @ KERNEL, y), far < eps)
    whole = ATTACK(problem, x, y, eps=50.0, seed=0)
    assert np.allclose(x_adv[far < eps], whole[far < eps], atol=1e-5)


def test_what_cannot_be_won_comes_back_as_it_was() -> None:
    problem = AttackProblem(lambda x, seed: 0.0 * x[:, :2] + [2.0, 0.0], Untargeted(), "l2", BOUNDS)
    x = line(Untargeted())[1]
    x_adv = CarliniWagner(steps=5, searches=2)(problem, x, np.zeros(len(x), np.int64), eps=1.0, seed=0)
    assert np.array_equal(x_adv, x)


def test_no_distance_is_much_above_what_pgd_finds(threats: Callable[..., Threat]) -> None:
    """And most are below: this is the attack that looks for the smallest."""
    threat = threats(IMAGE, "l2")
    x, y = threat.case.test.x[:24], threat.case.test.y[:24]
    by_pgd = minimal_eps(PGD(steps=20), threat.problem, Batch(x, y), largest=4.0, tolerance=0.02, seed=0)
    x_adv = ATTACK(threat.problem, x, y, eps=8.0, seed=0)
    assert Untargeted().is_adversarial(threat.problem.predict(x_adv), y).all()
    found = distance(x_adv - x, "l2", PIXELS)
    assert np.isfinite(by_pgd).all()
    assert np.all(found <= 1.1 * by_pgd + 0.02)
    assert np.mean(found <= by_pgd) > 0.7


def test_black_and_white_pixels_move_in_a_few_steps() -> None:
    """Most pixels of a scanned digit sit at an end of the box, where a tanh has no slope."""
    weights = np.linspace(-1, 1, 16, dtype=np.float32).reshape(16, 1) @ np.float32([[1.0, -1.0]])
    x: Floats = np.float32(np.arange(16) >= 8)[None]
    box = Bounds(np.zeros(16, np.float32), np.ones(16, np.float32), np.ones(16, np.float32))
    problem = AttackProblem(lambda x, seed: tf.matmul(x, weights), Untargeted(), "l2", box)
    x_adv = CarliniWagner(steps=30, searches=3, constant=1.0, learning_rate=0.05)(
        problem, x, np.zeros(1, np.int64), eps=4.0, seed=0
    )
    # Along the weights to the line: every pixel can go that way.
    nearest = np.linalg.norm((x @ weights)[0, 0] / np.linalg.norm(weights[:, 0]))
    assert Untargeted().is_adversarial(problem.predict(x_adv), np.zeros(1)).all()
    assert distance(x_adv - x, "l2", box)[0] < 1.1 * nearest

"""Whole numbers that an L2 step along the gradient cannot reach, and one feature alone can."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.whole_steps import WholeSteps
from redoubt.core.types import Bounds, Floats

FLAGS = 6
BOX = Bounds(
    np.zeros(FLAGS, np.float32), np.ones(FLAGS, np.float32), np.full(FLAGS, 0.5, np.float32), np.ones(FLAGS, np.bool_)
)
X = np.array(list(itertools.product([0, 1], repeat=FLAGS)), np.float32)
WEIGHTS = np.float32([1, -1, 0.8, 0.6, -0.7, 0.4])


def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    value = tf.linalg.matvec(x, tf.constant(WEIGHTS)) - 0.3
    return tf.stack([-value, value], axis=1)


PROBLEM = AttackProblem(outputs, Untargeted(), "l2", BOX)
Y = (X @ WEIGHTS - 0.3 > 0).astype(np.int64)


def broken(x_adv: Floats) -> np.ndarray:
    return (x_adv @ WEIGHTS - 0.3 > 0).astype(np.int64) != Y


def within(flips: int) -> np.ndarray:
    """Which rows some change of so many flags breaks."""
    found = np.zeros(len(X), np.bool_)
    for places in itertools.combinations(range(FLAGS), flips):
        other = X.copy()
        other[:, places] = 1 - other[:, places]
        found |= broken(other)
    return found


@pytest.mark.parametrize(("eps", "flips"), [(2.0, 1), (2.5, 1), (2.9, 2)])
def test_it_finds_all_that_there_is_of_a_linear_model(eps: float, flips: int) -> None:
    x_adv = WholeSteps()(PROBLEM, X, Y, eps=eps, seed=0)
    assert distance(x_adv - X, "l2", BOX).max() <= eps * 1.0001
    assert np.array_equal(broken(x_adv), within(1) | within(flips))
    assert broken(x_adv).sum() > broken(PGD(steps=20)(PROBLEM, X, Y, eps=eps, seed=0)).sum()


def test_where_no_whole_number_is_near_it_changes_nothing() -> None:
    assert np.array_equal(WholeSteps()(PROBLEM, X, Y, eps=1.9, seed=0), X)

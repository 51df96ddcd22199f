"""Answers that part, and how much that costs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy

from redoubt.attacks.core.criteria import Criterion, Tolerance, Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import PIXELS
from redoubt.training.methods.trades import Divergence, TradesObjective
from redoubt.training.trainer import StepState

STEP_STATE = StepState(tf.constant(0.2), tf.constant(1.0), tf.constant([1, 2]))


@given(st.integers(0, 99), st.integers(2, 5))
def test_classes_part_by_kullback_and_leibler(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    others, said = rng.normal(0, 3, (2, 6, classes)).astype(np.float32)
    found = Divergence(Untargeted()).loss(tf.constant(others), tf.constant(said)).numpy()
    assert np.allclose(found, entropy(softmax(said, axis=1), softmax(others, axis=1), axis=1), atol=1e-5)


@pytest.mark.parametrize("criterion", [Untargeted(), Tolerance(2.0)], ids=["classes", "numbers"])
def test_equal_answers_do_not_part(criterion: Criterion) -> None:
    said = tf.constant(
        np.random.default_rng(0).normal(0, 3, (6, 3 if criterion.is_classification else 1)).astype(np.float32)
    )
    assert np.allclose(Divergence(criterion).loss(said, said), 0.0, atol=1e-6)
    assert np.allclose(Divergence(criterion).margin(said, said), 0.0, atol=1e-6)


def test_numbers_part_by_the_criterion() -> None:
    found = Divergence(Tolerance(2.0)).loss(tf.constant([[5.0], [1.0]]), tf.constant([[1.0], [2.0]]))
    assert np.allclose(found, [4.0, 0.25])


def trades(beta: float) -> tuple[TradesObjective, tf.Tensor, tf.Tensor, tf.Tensor]:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="ones")])
    rng = np.random.default_rng(0)
    network.layers[-1].kernel.assign(rng.normal(0, 2, (4, 3)))
    x, x_adv = (tf.constant(rng.uniform(0.3, 0.7, (8, 4)).astype(np.float32)) for _ in range(2))
    problem = AttackProblem(of_network(network), Untargeted(), "linf", PIXELS)
    return TradesObjective(network, problem, PGD(steps=3), beta), x, x_adv, tf.constant(rng.integers(3, size=8))


def test_the_loss_is_right_on_the_input_and_of_one_opinion_around_it() -> None:
    losses = {beta: trades(beta) for beta in (1.0, 6.0)}
    objective, x, x_adv, y = losses[1.0]
    said, others = objective.network(x).numpy(), objective.network(x_adv).numpy()
    wrong = -np.log(softmax(said, axis=1)[np.arange(8), y.numpy()]).mean()
    apart = entropy(softmax(said, axis=1), softmax(others, axis=1), axis=1).mean()
    assert apart > 0.01
    for beta, (objective, x, x_adv, y) in losses.items():
        outputs, loss = objective.loss(x, x_adv, y, STEP_STATE)
        assert np.allclose(outputs, said)
        assert float(loss) == pytest.approx(wrong + beta * apart, rel=1e-5)


def test_inputs_are_moved_to_where_answers_part_whatever_the_truth() -> None:
    objective, x, _, y = trades(1.0)
    x_adv = objective.inputs(x, y, STEP_STATE)
    assert np.array_equal(x_adv, objective.inputs(x, (y + 1) % 3, STEP_STATE))
    said = objective.network(x)
    apart = Divergence(Untargeted())
    noisy = x + 0.2 * np.sign(np.random.default_rng(1).normal(size=x.shape)).astype(np.float32)
    assert np.mean(apart.loss(objective.network(x_adv), said)) > np.mean(apart.loss(objective.network(noisy), said))

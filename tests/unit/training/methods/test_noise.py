"""Noise to learn from, and the smoothed network that an attacker sees."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from scipy.stats import entropy

from redoubt.attacks.core.criteria import Tolerance, Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.core.types import Bounds
from redoubt.training.methods.noise import ENTROPY, NoiseObjective, disagreement, noise, under_noise
from redoubt.training.trainer import StepState
from tests.support.tiny import IMAGE, TABLE, Case

STEP_STATE = StepState(tf.constant(0.3), tf.constant(1.0), tf.constant([1, 2]))


def test_noise_has_the_right_spread_in_each_unit_and_spares_what_must_not_change() -> None:
    bounds = Bounds(np.full(3, -9, np.float32), np.full(3, 9, np.float32), np.float32([1.0, 100.0, 0.0]))
    one, again, other = (noise((5000, 3), 0.5, bounds, tf.constant([1, seed])).numpy() for seed in (1, 1, 2))
    assert np.allclose(one.std(axis=0), [0.5, 50.0, 0.0], rtol=0.03)
    assert np.allclose(one.mean(axis=0), 0.0, atol=[0.03, 3.0, 0.0])
    assert np.array_equal(one, again)
    assert abs(np.corrcoef(one[:, 0], other[:, 0])[0, 1]) < 0.1


def test_a_batch_of_gaussian_training_is_the_rows_under_fresh_noise(case: Case) -> None:
    objective = NoiseObjective(case.network, AttackProblem(case.network, case.criterion, "l2", case.bounds), 0.25)
    x, y = np.repeat(case.test.x, 20, axis=0), np.repeat(case.test.y, 20, axis=0)
    added = objective.inputs(tf.constant(x), tf.constant(y), STEP_STATE).numpy() - x
    varies = np.broadcast_to(case.bounds.scale, added.shape[1:]) > 0
    spread = added.std(axis=0) / np.where(varies, np.broadcast_to(case.bounds.scale, varies.shape), 1)
    assert np.allclose(spread[varies], 0.25, rtol=0.1)
    assert np.all(added[:, ~varies] == 0)
    outputs, loss = objective.loss(x, tf.constant(x + added), tf.constant(y), STEP_STATE)
    assert np.allclose(outputs, case.network(x + added), rtol=1e-5, atol=1e-5)
    assert float(loss) == pytest.approx(float(tf.reduce_mean(case.criterion.loss(outputs, y))))


@pytest.mark.parametrize("draws", [1, 4])
def test_the_smoothed_network_is_the_mean_over_its_draws(case: Case, draws: int) -> None:
    x, seed = case.test.x[:6], tf.constant([3, 4])
    found = under_noise(case.network, 0.4, draws, case.bounds)(tf.constant(x), seed).numpy()
    added = noise((draws, *x.shape), 0.4, case.bounds, seed + [0, 2]).numpy()
    each = np.stack([case.network(x + one).numpy() for one in added])
    if case.schema.labels:
        assert np.allclose(found, np.log(softmax(each.astype(float), axis=2).mean(axis=0)), rtol=1e-4, atol=1e-5)
        assert np.allclose(np.exp(found).sum(axis=1), 1.0, atol=1e-5)
    else:
        assert np.allclose(found, each.mean(axis=0), rtol=1e-5)
    assert (np.ptp(each, axis=0).max() > 0.01) == (draws > 1)


def test_classes_under_noise_agree_with_their_mean_and_the_mean_is_decided() -> None:
    each = np.random.default_rng(0).normal(0, 3, (2, 6, 4)).astype(np.float32)
    shares = softmax(each.astype(float), axis=2)
    mean = shares.mean(axis=0)
    parted = np.mean([entropy(mean, one, axis=1) for one in shares], axis=0)
    found = disagreement(Untargeted(), [tf.constant(one) for one in each], 5.0)
    assert parted.min() > 0.001
    assert np.allclose(found, 5.0 * parted + ENTROPY * entropy(mean, axis=1), rtol=1e-4)
    alike = disagreement(Untargeted(), [tf.constant(each[0])] * 2, 5.0)
    assert np.allclose(alike, ENTROPY * entropy(shares[0], axis=1), atol=1e-5)


def test_numbers_under_noise_agree_with_their_mean() -> None:
    found = disagreement(Tolerance(2.0), [tf.constant([[5.0], [1.0]]), tf.constant([[1.0], [1.0]])], 3.0)
    assert np.allclose(found, [3.0 * (2.0 / 2.0) ** 2, 0.0])


def test_consistent_training_asks_two_draws_of_each_row(case: Case) -> None:
    problem = AttackProblem(case.network, case.criterion, "l2", case.bounds)
    x, y = tf.constant(case.test.x[:8]), tf.constant(case.test.y[:8])
    single, consistent = (NoiseObjective(case.network, problem, 0.4, consistency=weight) for weight in (0.0, 3.0))
    x_adv = consistent.inputs(x, y, STEP_STATE)
    first, second = x_adv[:8], x_adv[8:]
    assert not np.allclose(first, second)
    outputs, loss = consistent.loss(x, x_adv, y, STEP_STATE)
    each = [single.loss(x, half, y, STEP_STATE) for half in (first, second)]
    parted = disagreement(case.criterion, [answers for answers, _ in each], 3.0)
    assert np.allclose(outputs, each[0][0], rtol=1e-5, atol=1e-5)
    assert float(loss) == pytest.approx(float((each[0][1] + each[1][1]) / 2 + tf.reduce_mean(parted)), rel=1e-4)


@pytest.mark.parametrize("name", [IMAGE, TABLE])
def test_smoothed_training_moves_to_where_the_smoothed_network_gives_way(
    trained: Callable[[str], Case], name: str
) -> None:
    case = trained(name)
    smoothed = under_noise(case.network, 0.3, 2, case.bounds)
    problem = AttackProblem(smoothed, case.criterion, "l2", case.bounds)
    x, y = tf.constant(case.test.x), tf.constant(case.test.y)
    still, attack = NoiseObjective(case.network, problem, 0.3), NoiseObjective(case.network, problem, 0.3, PGD(steps=4))
    change = attack.inputs(x, y, STEP_STATE) - still.inputs(x, y, STEP_STATE)
    many = under_noise(case.network, 0.3, 100, case.bounds)
    seed = tf.constant([7, 8])
    before, after = (tf.reduce_mean(case.criterion.loss(many(each, seed), y)) for each in (x, x + change))
    assert after > 1.5 * before

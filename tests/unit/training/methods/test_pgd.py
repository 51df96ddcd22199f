"""Where attacked training batches start, and what is learned from them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.core.types import Bounds, Norm
from redoubt.training.methods.pgd import AdversarialObjective, perturb_batch
from redoubt.training.trainer import StepState

WIDE = Bounds(np.float32([-9, -90, -9]), np.float32([9, 90, 9]), np.float32([1.0, 10.0, 0.0]))
STILL = PGD(steps=1, step_size=0.0)
NORMS: list[Norm] = ["linf", "l2"]


def linear(norm: Norm) -> AttackProblem:
    """Two logits, the first falling with both inputs."""
    return AttackProblem(
        lambda x, seed: tf.stack([-x[:, 0] - 0.1 * x[:, 1], x[:, 2]], axis=1), Untargeted(), norm, WIDE
    )


def x_adv(norm: Norm, attack: PGD, update: int = 1) -> np.ndarray:
    x, y = tf.zeros((400, 3)), tf.zeros(400, tf.int64)
    return perturb_batch(attack, linear(norm), x, y, tf.constant(0.5), tf.constant([4, update])).numpy()


@pytest.mark.parametrize("norm", NORMS)
def test_batches_start_all_over_the_ball(norm: Norm) -> None:
    start = x_adv(norm, STILL)
    size = distance(start, norm, WIDE)
    assert size.max() <= 0.5 * (1 + 1e-5)
    assert size.max() > 0.45
    assert np.all(start[:, 2] == 0), "an input that must not change"
    for column, unit in ((0, 1.0), (1, 10.0)):
        assert abs(np.mean(start[:, column])) < 0.06 * unit
        assert np.std(start[:, column]) > 0.2 * unit
    assert np.array_equal(start, x_adv(norm, STILL))
    assert not np.allclose(start, x_adv(norm, STILL, update=2), atol=0.01)


def test_a_long_step_of_a_linear_model_ends_in_the_worst_corner() -> None:
    """As of `fast`, whose one step of 1.25 eps may start anywhere."""
    end = x_adv("linf", PGD(steps=1, step_size=2.0))
    assert np.allclose(end, np.float32([0.5, 5.0, 0.0]))


def test_it_learns_from_the_attacked_inputs_alone() -> None:
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    objective = AdversarialObjective(network, [(linear("linf"), 1.0)], STILL)
    rng = np.random.default_rng(0)
    x, far = (tf.constant(rng.normal(size=(8, 3)).astype(np.float32)) for _ in range(2))
    y, step_state = (
        tf.constant(rng.integers(2, size=8)),
        StepState(tf.constant(0.1), tf.constant(1.0), tf.constant([1, 1])),
    )
    outputs, loss = objective.loss(x, far, y, step_state)
    assert np.array_equal(outputs, network(far))
    assert float(loss) == pytest.approx(float(tf.reduce_mean(Untargeted().loss(network(far), y))))

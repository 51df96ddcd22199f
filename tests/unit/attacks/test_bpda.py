"""A network that hides behind saturated pixels is seen through, and one that does not is left alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from redoubt.attacks.core.bpda import straight_through
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import PIXELS


def contrasted(width: float = 0.4) -> keras.Sequential:
    """Two classes by the sum of four pixels, each taken for black or white but in the middle."""
    gain, black = 1 / width, 0.5 - width / 2
    head = layers.Dense(2)
    network = keras.Sequential(
        [keras.Input((4,)), layers.Rescaling(gain, offset=-black * gain), layers.ReLU(max_value=1.0), head]
    )
    head.set_weights([np.float32([[0, 1]] * 4), np.float32([0, -2])])
    return network


def gradient(answer: object, x: np.ndarray) -> np.ndarray:
    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(answer(given)[:, 1])  # type: ignore[operator]
    return tape.gradient(total, given).numpy()


def test_values_are_the_networks_own() -> None:
    network, x = contrasted(), np.random.default_rng(0).random((50, 4), np.float32)
    assert np.array_equal(straight_through(network)(tf.constant(x)), network(x))


def test_a_saturated_pixel_has_a_gradient() -> None:
    network, x = contrasted(), np.float32([[0.0, 0.2, 0.5, 1.0]])
    assert (gradient(network, x) != 0).tolist() == [[False, False, True, False]]
    assert np.allclose(gradient(straight_through(network), x), 1 / 0.4)


def test_a_pixel_that_saturates_in_every_one_of_its_channels_has_a_gradient() -> None:
    ramps = layers.Conv2D(2, 1, trainable=False)
    network = keras.Sequential(
        [keras.Input((1, 1, 1)), ramps, layers.ReLU(max_value=1.0), layers.Flatten(), layers.Dense(2)]
    )
    ramps.set_weights([np.float32([[[[5.0, 10.0]]]]), np.float32([-1.0, -6.0])])
    network.layers[-1].set_weights([np.float32([[0, 1], [0, 1]]), np.zeros(2, np.float32)])
    x = np.full((1, 1, 1, 1), 0.1, np.float32)
    assert gradient(network, x).item() == 0
    assert gradient(straight_through(network), x).item() == 15


def test_an_attack_from_the_input_itself_wins_where_a_plain_gradient_is_blind() -> None:
    network, x, y = contrasted(), np.full((1, 4), 0.25, np.float32), np.zeros(1, np.int64)
    right = {}
    for name, outputs in {"blind": lambda x, seed: network(x), "seeing": of_network(network)}.items():
        problem = AttackProblem(outputs, Untargeted(), "linf", PIXELS)
        x_adv = PGD(steps=10, random_start=False)(problem, x, y, eps=0.3, seed=0)
        right[name] = bool(network(x_adv).numpy().argmax() == 0)
    assert right == {"blind": True, "seeing": False}


@pytest.mark.parametrize("inner", [True, False])
def test_only_what_stands_before_the_first_weights_is_seen_through(inner: bool) -> None:
    before = [layers.Dense(4, kernel_initializer="identity")] if inner else []
    network = keras.Sequential([keras.Input((4,)), *before, layers.ReLU(max_value=0.5), layers.Dense(2)])
    x = np.full((1, 4), 0.9, np.float32)
    assert np.any(gradient(straight_through(network), x)) is np.bool_(not inner)


def test_a_function_is_asked_as_it_is() -> None:
    def double(x: tf.Tensor, training: bool) -> tf.Tensor:
        assert not training
        return 2 * x

    assert straight_through(double)(tf.ones((1, 2))).numpy().tolist() == [[2.0, 2.0]]

"""The ascent arrives, penalties remove ink, and the hardened network looks where the ink is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from redoubt.core.types import Batch, Floats
from redoubt.studies.convolution.dreams import flipped, toward
from redoubt.studies.convolution.maximized import favourites, likeness, maximize, repetition, saliency, up_to
from redoubt.studies.convolution.what_cnn_learns import NETWORKS, PENALTIES
from tests.unit.studies.conftest import Run


def network() -> keras.Sequential:
    kernel = keras.initializers.HeNormal(seed=3)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="tanh", kernel_initializer=kernel, name="first"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=4)),
        ]
    )


def images(rows: int) -> Floats:
    return np.random.default_rng(0).random((rows, 6, 6, 1)).astype(np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_image_excites_a_unit_more_than_any_digit_does(name: str, quick: Run) -> None:
    numbers = quick("what_cnn_learns").numbers
    assert numbers[f"{name}/filter/over_best_digit"] > 1.2
    assert numbers[f"{name}/neuron/over_best_digit"] > 1.2


@pytest.mark.parametrize("name", NETWORKS)
def test_filters_like_textures_and_neurons_less_so(name: str, quick: Run) -> None:
    numbers = quick("what_cnn_learns").numbers
    gains = [
        numbers[f"{name}/{kind}/repeats"] - numbers[f"{name}/{kind}/noise_repeats"] for kind in ("filter", "neuron")
    ]
    assert gains[0] > 0.05
    assert gains[0] > gains[1]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_the_network_is_sure_of_what_is_no_digit_and_a_penalty_brings_it_nearer(
    name: str, penalty: str, quick: Run
) -> None:
    numbers = quick("what_cnn_learns").numbers
    assert numbers[f"{name}/output/none/probability"] > 0.9
    assert numbers[f"{name}/output/none/alike"] < 0.5
    assert numbers[f"{name}/output/{penalty}/alike"] > numbers[f"{name}/output/none/alike"] + 0.03


def test_hardening_brings_gradients_back_to_digits(quick: Run) -> None:
    numbers = quick("what_cnn_learns").numbers
    assert numbers["hardened/under_attack"] > numbers["natural/under_attack"] + 0.2
    names = ["saliency/with_ink", "saliency/classes", *(f"output/{penalty}/toward" for penalty in PENALTIES)]
    for name in names:
        assert numbers[f"hardened/{name}"] > numbers[f"natural/{name}"] + 0.05, name


def test_salient_pixels_matter_and_the_dream_grows(quick: Run) -> None:
    numbers = quick("what_cnn_learns").numbers
    assert numbers["hardened/flipped/salient"] < numbers["hardened/flipped/random"] - 0.1
    for name in NETWORKS:
        assert numbers[f"{name}/dream_energy"] > 1.2


def test_the_ascent_finds_the_best_corner_and_the_penalised_optimum() -> None:
    weights = np.random.default_rng(1).normal(size=(4, 4, 1)).astype(np.float32)
    start = np.full((1, 4, 4, 1), 0.5, np.float32)
    found = maximize(lambda x: tf.reduce_sum(x * weights, axis=[1, 2, 3]), start, 400)
    assert np.allclose(found[0], weights > 0, atol=0.01)
    with_l1 = maximize(lambda x: tf.reduce_sum(x * weights, axis=[1, 2, 3]), start, 400, l1=0.7)
    assert np.allclose(with_l1[0], weights > 0.7, atol=0.01)
    with_l2 = maximize(lambda x: tf.reduce_sum(x * weights, axis=[1, 2, 3]), start, 400, l2=1.0)
    assert np.allclose(with_l2[0], np.clip(weights / 2, 0, 1), atol=0.03)


def test_every_row_has_its_own_penalty() -> None:
    start = np.full((2, 4, 4, 1), 0.5, np.float32)
    found = maximize(lambda x: tf.reduce_sum(x, axis=[1, 2, 3]), start, 60, l1=np.array([0.0, 2.0], np.float32))
    assert found[0].min() == 1.0
    assert found[1].max() == 0.0


def test_a_part_is_the_layers_output_and_slides_over_larger_images() -> None:
    net = network()
    part = up_to(net, "first")
    x = images(2)
    assert np.allclose(part(x), net.layers[0](x))
    assert up_to(net, "first", 9).output_shape == (None, 7, 7, 4)
    best, values = favourites(part, x[:1], 20)
    before = np.asarray(part(x[:1])).mean(axis=(0, 1, 2))
    assert best.shape == (4, 6, 6, 1)
    assert (values > before).all()


def test_saliency_is_the_size_of_the_finite_difference() -> None:
    net, x, y = network(), images(2), np.array([0, 2])
    found = saliency(net, Batch(x, y))
    for row in range(2):
        for place in ((0, 0), (3, 4)):
            up, down = x.copy(), x.copy()
            up[row][place] += 1e-2
            down[row][place] -= 1e-2
            change = np.asarray(net(up))[row, y[row]] - np.asarray(net(down))[row, y[row]]
            assert found[row][place] == pytest.approx(abs(change) / 2e-2, rel=0.02, abs=1e-3)


def test_likeness_knows_a_training_image_again() -> None:
    x = images(4)
    train = Batch(x, np.array([0, 0, 1, 1]))
    alike, named = likeness(x[[1, 2]] * 0.5, np.array([0, 0]), train)
    assert alike[0] == pytest.approx(1.0)
    assert named.tolist() == [1.0, 0.0]


def test_direction_is_1_on_the_way_to_the_class_mean() -> None:
    x = images(30)
    train = Batch(x, np.arange(30) % 10)
    means = np.stack([x[train.y == digit].mean(axis=0) for digit in range(10)])
    middle = x.mean(axis=0)
    assert toward((middle + 0.3 * (means - middle))[None], train) == pytest.approx(1.0, abs=1e-5)
    assert toward((middle - 0.3 * (means - middle))[None], train) == pytest.approx(-1.0, abs=1e-5)


def test_stripes_repeat_and_noise_does_not() -> None:
    stripes = np.tile([0.0, 0.0, 1.0, 1.0], (16, 4))
    assert repetition(stripes) == pytest.approx(1.0)
    assert repetition(np.random.default_rng(0).random((16, 16))) < 0.5


def test_flipping_turns_the_pixels_of_the_highest_score() -> None:
    x = images(1)
    score = np.zeros((1, 6, 6))
    score[0, 2, 3], score[0, 5, 5] = 2.0, 1.0
    changed = np.argwhere(flipped(x, score)[0, ..., 0] != x[0, ..., 0])
    assert changed.tolist() == [[2, 3], [5, 5]]

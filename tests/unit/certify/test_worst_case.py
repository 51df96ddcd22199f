"""The worst that a box of inputs can be answered, class against class."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.core.criteria import Tolerance, Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.certify.interval import Box, through
from redoubt.certify.worst_case import ball, worst_logits, worst_outputs
from redoubt.core.types import Bounds, Floats

layers = keras.layers
seeds, widths = st.integers(0, 10**6), st.sampled_from([0.0, 1e-3, 0.3, 3.0])


def made(seed: int, width: float, bias: bool = True) -> tuple[keras.layers.Dense, Floats, Floats, Floats]:
    """A last layer of 3 classes, and boxes of what it reads."""
    rng = np.random.default_rng(seed)
    last = layers.Dense(3, use_bias=bias)
    last.build((None, 5))
    last.set_weights([rng.normal(0, 2, each.shape) for each in last.weights])
    centre, reach = rng.normal(0, 1, (4, 5)), rng.uniform(0, 1, (4, 5)) * width
    return last, (centre - reach).astype(np.float32), (centre + reach).astype(np.float32), rng.integers(3, size=4)


def box(low: Floats, high: Floats) -> Box:
    return Box(tf.constant(low), tf.constant(high))


@settings(max_examples=40)
@given(seeds, widths, st.booleans())
def test_leads_are_exact_and_tighter_than_the_logits_own_bounds(seed: int, width: float, bias: bool) -> None:
    last, low, high, y = made(seed, width, bias)
    found = worst_logits(last, box(low, high), tf.constant(y)).numpy()
    kernel = last.kernel.numpy().astype(float)
    lead = kernel[:, None, :] - kernel[:, y][:, :, None]
    offset = last.bias.numpy()[None] - last.bias.numpy()[y][:, None] if bias else 0.0
    # Each input stands at the end that the difference of two weights prefers.
    ends = np.maximum(np.einsum("frc,rf->frc", lead, low), np.einsum("frc,rf->frc", lead, high))
    exact = ends.sum(axis=0) + offset
    others = np.arange(3)[None] != y[:, None]
    assert np.all(found[others] >= exact[others])
    assert np.allclose(found[others], exact[others], rtol=1e-3, atol=1e-4)
    assert np.all(found[~others] == 0)
    logits = through([last], box(low, high))
    own = logits.high.numpy() - logits.low.numpy()[np.arange(4), y][:, None]
    assert np.all(found[others] <= own[others] + 1e-4)


def test_where_inputs_move_logits_together_the_leads_alone_say_so() -> None:
    """All classes rise with the one input: nothing can change, though each logit moves by 10."""
    last = layers.Dense(2, use_bias=False)
    last.build((None, 1))
    last.set_weights([np.float32([[5.0, 5.0]])])
    features = box(np.float32([[-1.0]]), np.float32([[1.0]]))
    assert worst_logits(last, features, tf.constant([0]))[0, 1] < 1e-4
    logits = through([last], features)
    assert logits.high[0, 1] - logits.low[0, 0] > 9.9


@pytest.mark.parametrize("odd", [layers.Dense(3, activation="relu"), layers.ReLU(), layers.Flatten()], ids=str)
def test_another_last_layer_has_the_logits_own_bounds(odd: keras.layers.Layer) -> None:
    _, low, high, y = made(1, 0.3)
    low, high = low[:, :3], high[:, :3]
    odd.build((None, 3))
    found = worst_logits(odd, box(low, high), tf.constant(y)).numpy()
    ends = through([odd], box(low, high))
    expected = ends.high.numpy() - ends.low.numpy()[np.arange(4), y][:, None]
    expected[np.arange(4), y] = 0
    assert np.allclose(found, expected, atol=1e-6)
    for point in np.random.default_rng(0).uniform(low, high, (50, 4, 3)).astype(np.float32):
        outputs = odd(point).numpy()
        assert np.all(outputs - outputs[np.arange(4), y][:, None] <= found + 1e-5)


@pytest.mark.parametrize("size", [(0.0, 0.0), (0.5, 0.5)], ids=["point", "box"])
def test_of_a_number_the_worst_is_the_end_further_from_the_truth(size: tuple[float, float]) -> None:
    network = keras.Sequential([keras.Input((1,)), layers.Rescaling(2.0, offset=1.0)])
    x, y = np.float32([[1.0], [1.0], [1.0]]), np.float32([0.0, 3.4, 9.0])
    found = worst_outputs(network, box(x - size[0], x + size[1]), tf.constant(y), Tolerance(1.0)).numpy()
    assert np.allclose(found[:, 0], [3, 3, 3] if size == (0.0, 0.0) else [4, 2, 2])


def test_what_is_not_won_by_the_worst_outputs_is_won_nowhere() -> None:
    last, low, high, y = made(5, 0.1)
    network = keras.Sequential([keras.Input((5,)), last])
    adversarial = Untargeted().is_adversarial(
        worst_outputs(network, box(low, high), tf.constant(y), Untargeted()).numpy(), y
    )
    points = np.random.default_rng(0).uniform(low, high, (200, 4, 5)).astype(np.float32)
    somewhere = np.any([Untargeted().is_adversarial(network(point).numpy(), y) for point in points], axis=0)
    assert not np.any(somewhere & ~adversarial)


@settings(max_examples=40)
@given(seeds, st.floats(0, 2))
def test_a_ball_is_all_of_the_box_within_eps(seed: int, eps: float) -> None:
    rng = np.random.default_rng(seed)
    bounds = Bounds(np.float32([0, -50, 0]), np.float32([1, 50, 1]), np.float32([1.0, 30.0, 0.0]))
    x = rng.uniform(bounds.lower, bounds.upper, (6, 3)).astype(np.float32)
    found = ball(tf.constant(x), eps, bounds)
    low, high = found.low.numpy(), found.high.numpy()
    assert np.all((low <= x) & (x <= high))
    for end in (low, high):
        assert distance(end - x, "linf", bounds).max() <= eps * (1 + 1e-4) + 1e-5
        bounds.check(end)
    # Whoever stays short of the end could have gone on only by leaving the bounds.
    assert np.all((high >= x + eps * bounds.scale - 1e-3) | (high == bounds.upper))
    assert np.all((low <= x - eps * bounds.scale + 1e-3) | (low == bounds.lower))


def test_a_lead_that_is_lost_where_each_logit_is_rounded_is_not_certified() -> None:
    """In exact arithmetic the second class leads by 0.0125 at least; float32 knows no such steps at a million."""
    last = layers.Dense(2)
    network = keras.Sequential([keras.Input((1,)), last])
    last.set_weights([np.float32([[0.05, 0.0]]), np.float32([1e6 - 0.0625, 1e6])])
    x, y = np.float32([[0.5]]), np.array([1])
    worst = worst_outputs(network, box(x - 0.5, x + 0.5), tf.constant(y), Untargeted()).numpy()
    assert network(np.float32([[1.0]])).numpy().argmax() == 0
    assert Untargeted().is_adversarial(worst, y).all()

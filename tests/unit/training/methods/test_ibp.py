"""Certified training: what it loses on, what keeps bounds narrow, and where it starts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.certify.interval import Box
from redoubt.certify.worst_case import ball, worst_outputs
from redoubt.core.types import Floats
from redoubt.data.prepare.scaling import fit
from redoubt.models.networks import build
from redoubt.params.recipes import Ibp
from redoubt.params.settings.networks import Linear
from redoubt.training.methods.ibp import TINY, IbpObjective, initialize, regularizer
from redoubt.training.trainer import StepState
from tests.support.methods import EPS, MODELS, context
from tests.support.tiny import IMAGE, NAMES, SCHEMAS, TABLE, rows

SEED = tf.constant([1, 2])


def at(eps: float, share: float = 1.0) -> StepState:
    return StepState(tf.constant(eps, tf.float32), tf.constant(share, tf.float32), SEED)


def certified(
    task: str, natural: tuple[float, float], regularize: float = 0.0, normalize: bool = False
) -> tuple[IbpObjective, tf.Tensor, tf.Tensor]:
    model = MODELS[task].model_copy(update={"normalize": normalize})
    on = context(task, Ibp(method="ibp", epochs=1, model=model))
    problem = AttackProblem(of_network(on.network), on.criterion, "linf", on.bounds)
    return IbpObjective(on.network, problem, natural, regularize), tf.constant(on.train.x), tf.constant(on.train.y)


@pytest.mark.parametrize("task", NAMES)
@pytest.mark.parametrize("normalize", [False, True], ids=["plain", "normalized"])
def test_of_a_ball_of_no_size_the_worst_is_the_point(task: str, normalize: bool) -> None:
    """Also in training, where batch normalization knows only the batch."""
    objective, x, y = certified(task, (0.0, 0.0), normalize=normalize)
    outputs, loss = objective.loss(x, x, y, at(0.0))
    expected = objective.network(x, training=True)
    assert np.allclose(outputs, expected, rtol=1e-5, atol=1e-5)
    natural = float(tf.reduce_mean(objective.problem.criterion.loss(expected, y)))
    assert float(loss) == pytest.approx(natural, rel=1e-3)


@pytest.mark.parametrize("task", NAMES)
def test_the_loss_is_a_mean_of_both_whose_weights_follow_the_ramp(task: str) -> None:
    eps = EPS[task]["linf"]
    objective, x, y = certified(task, (0.8, 0.2))
    network, criterion = objective.network, objective.problem.criterion
    points = float(tf.reduce_mean(criterion.loss(network(x), y)))
    worst_ends = worst_outputs(network, ball(x, eps, objective.problem.bounds), y, criterion)
    worst = float(tf.reduce_mean(criterion.loss(worst_ends, y)))
    assert worst > 1.2 * points
    for share, weight in ((0.0, 0.8), (0.5, 0.5), (1.0, 0.2)):
        loss = float(objective.loss(x, x, y, at(eps, share))[1])
        assert loss == pytest.approx(weight * points + (1 - weight) * worst, rel=1e-3)


def test_regularizers_end_with_the_ramp() -> None:
    losses = {}
    for weight in (0.0, 2.0):
        objective, x, y = certified(IMAGE, (0.5, 0.5), weight)
        losses[weight] = [float(objective.loss(x, x, y, at(0.1, share))[1]) for share in (0.25, 0.75, 1.0)]
    added = np.subtract(losses[2.0], losses[0.0])
    assert added[0] == pytest.approx(3 * added[1], rel=1e-3)
    assert added[0] > 0.1
    assert added[2] == 0


def test_the_points_are_the_inputs_unless_an_attack_moves_them() -> None:
    objective, x, y = certified(IMAGE, (0.5, 0.5))
    assert objective.inputs(x, y, at(0.1)) is x


def boxes(*each: tuple[list[float], float]) -> list[Box]:
    """Of centres and one width."""
    return [Box(tf.constant([centre]) - width / 2, tf.constant([centre]) + width / 2) for centre, width in each]


BALANCED = [3.0, 3.0, -3.0, -3.0]


@pytest.mark.parametrize(
    ("befores", "expected"),
    [
        ([], 0.0),
        ([(BALANCED, 1.0)], 0.0),
        ([(BALANCED, 1.0), (BALANCED, 1.0)], 0.0),
        ([(BALANCED, 2.0)], 0.0),
        ([(BALANCED, 4.0)], 0.5),
        ([(BALANCED, 1.0), (BALANCED, 4.0)], 0.25),
        # All on: there is neither mean nor variance on the other side.
        ([([3.0, 3.0, 3.0, 3.0], 1.0)], 1.0),
        # 6 on the one side and 3 on the other is just right; the spreads from the mean 0.75 are 10.125 and 14.0625.
        ([([3.0, 3.0, -3.0, 0.0], 1.0)], 0.0),
        # 9 to 3 misses a sixth of the mean, half of 1/3; the spreads 6.75 and 20.25 too.
        ([([3.0, 3.0, 3.0, -3.0], 1.0)], 1 / 3),
    ],
    ids=["none", "balanced", "two", "twice-as-wide", "four-times", "mean", "all-on", "half", "third"],
)
def test_regularizers_of_known_boxes(befores: list[tuple[list[float], float]], expected: float) -> None:
    inputs = boxes(([0.0, 1.0], 1.0))[0]
    assert float(regularizer(inputs, boxes(*befores))) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.01, 5))
def test_regularizers_are_those_of_the_paper(seed: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.normal(rng.normal(), 2, (3, 8, 5)).astype(np.float32)
    reach = rng.uniform(0, width, centres.shape).astype(np.float32)
    befores = [Box(tf.constant(c - r), tf.constant(c + r)) for c, r in zip(centres, reach, strict=True)]
    inputs = Box(tf.zeros((8, 2)), tf.ones((8, 2)))
    expected = np.mean([missing(1.0 / (2 * r).mean()) + tilt(c, r) for c, r in zip(centres, reach, strict=True)])
    assert float(regularizer(inputs, befores)) == pytest.approx(expected, abs=1e-3)


def missing(ratio: float) -> float:
    return max(0.0, 0.5 - ratio) / 0.5


def tilt(centre: Floats, reach: Floats) -> float:
    """Arithmetic of arXiv 2103.17268, equations 9 to 11, in the plainest form."""
    on, off, spread = centre - reach > 0, centre + reach < 0, (centre - centre.mean()) ** 2
    pairs = (centre[on].sum(), -centre[off].sum()), (spread[on].sum(), spread[off].sum())
    return sum(0.5 * missing(min(a, b) / max(a, b, TINY)) for a, b in pairs)


def test_wider_bounds_cost_more() -> None:
    inputs = boxes(([0.0], 1.0))[0]
    costs = [float(regularizer(inputs, boxes((BALANCED, width)))) for width in (1.0, 2.5, 3.0, 5.0)]
    assert costs == sorted(set(costs))


def test_weights_start_where_bounds_keep_their_width() -> None:
    network = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            keras.layers.Conv2D(32, 3, name="convolution", bias_initializer="ones"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(),
            keras.layers.Dense(50, name="dense", bias_initializer="ones"),
            keras.layers.Dense(50, use_bias=False, name="plain"),
        ]
    )
    untouched = [np.asarray(v) for v in network.get_layer("norm").weights]
    initialize(network, seed=3)
    for name, fan_in in (("convolution", 36), ("dense", 1152), ("plain", 50)):
        kernel = np.asarray(network.get_layer(name).kernel)
        assert kernel.std() == pytest.approx(np.sqrt(2 * np.pi) / fan_in, rel=0.06)
        assert abs(kernel.mean()) < 0.1 * kernel.std()
    assert not np.any(network.get_layer("convolution").bias)
    assert not np.any(network.get_layer("dense").bias)
    assert all(np.array_equal(a, b) for a, b in zip(untouched, network.get_layer("norm").weights, strict=True))
    first = network.get_weights()
    initialize(network, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, network.get_weights(), strict=True))
    initialize(network, seed=4)
    assert not np.allclose(first[0], network.get_weights()[0])


def test_what_is_not_trained_is_not_drawn_anew() -> None:
    """The two sides of the logistic network."""
    network = build(Linear(kind="linear"), SCHEMAS[TABLE], fit(rows(TABLE, 50), SCHEMAS[TABLE]), 1)
    initialize(network, seed=3)
    assert np.array_equal(network.get_layer("two_sided").kernel, [[-0.5, 0.5]])

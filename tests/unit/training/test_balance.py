"""Classes weigh alike in whatever is trained, and where they do not weigh nothing changes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from redoubt.attacks.core.criteria import Untargeted
from redoubt.compute import spread
from redoubt.core.types import Batch
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.models.networks import build
from redoubt.params.settings.networks import Linear, Mlp
from redoubt.training.balance import class_weights
from redoubt.training.fit import Plan, compile_network, fit, measure, on_rows
from redoubt.training.sweep import Folds, Point, cross_validate
from redoubt.training.trainer import StepState
from redoubt.training.weighted import Weighted
from tests.support.methods import HARDENINGS, context, hardening, recipes
from tests.support.tiny import SCHEMAS, TABLE, rows

WEIGHTS = (0.5, 4.0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50))
def test_weights_are_1_in_the_mean_and_every_class_weighs_the_same(y: list[int]) -> None:
    weights = class_weights(np.array(y), 4, "weights")
    assert weights is not None
    each = np.array(weights)[y]
    assert each.mean() == pytest.approx(1.0)
    sums = [each[np.array(y) == label].sum() for label in set(y)]
    assert sums == pytest.approx([sums[0]] * len(sums))
    assert all(weight == 0 for label, weight in enumerate(weights) if label not in y)
    assert class_weights(np.array(y), 4, "none") is None


@pytest.mark.parametrize("method", HARDENINGS)
def test_what_a_hardening_learns_from_weighs_by_class(method: str) -> None:
    """On examples of one class its loss is that class's weight times what it was, divergences and bounds included."""
    recipe, batch = recipes(TABLE)[method], rows(TABLE, 256)
    x, y = (tf.constant(each[:64]) for each in (batch.x, batch.y))
    step_state = StepState(tf.constant(0.1), tf.constant(1.0), tf.constant([4, 2]))
    plain, weighed = (hardening(recipe, context(TABLE, recipe, weights=each)).trainer for each in (None, WEIGHTS))
    for label, weight in enumerate(WEIGHTS):
        some = tf.where(y == label)[:8, 0]
        ours, theirs = tf.gather(x, some), tf.gather(y, some)
        x_adv = plain.objective.inputs(ours, theirs, step_state)
        one, other = (float(each.objective.loss(ours, x_adv, theirs, step_state)[1]) for each in (plain, weighed))
        assert one > 0
        assert other == pytest.approx(weight * one, rel=1e-5)


def test_a_hardening_keeps_the_epoch_that_is_best_by_weight() -> None:
    recipe = recipes(TABLE)["gaussian"]
    plain, weighed = (
        hardening(recipe, context(TABLE, recipe, weights=each)).robust_validation() for each in (None, (3.0, 3.0))
    )
    assert weighed.pop("loss") == pytest.approx(3 * plain.pop("loss"), rel=1e-6)
    assert weighed == plain, "what is right depends on the weights"


def test_an_attack_wants_the_same_of_a_weighed_example() -> None:
    outputs, y = np.float32([[1, 2], [3, 1], [0, 5]]), np.array([0, 0, 1])
    plain, weighed = Untargeted(), Weighted(Untargeted(), WEIGHTS)
    assert np.array_equal(plain.is_adversarial(outputs, y), weighed.is_adversarial(outputs, y))
    asked = tf.constant(outputs), tf.constant(y)
    assert np.array_equal(plain.margin(*asked), weighed.margin(*asked))
    loss = weighed.loss(*asked) / plain.loss(*asked)
    assert loss.numpy() == pytest.approx(np.float32([0.5, 0.5, 4.0]))
    assert weighed.directions(outputs, y, 1)[0] == plain.directions(outputs, y, 1)[0]


def rare(count: int, seed: int) -> Batch:
    """One example in twenty is of class 1, and overlaps with those of class 0."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) % 20 == 0).astype(np.int64)
    x = rng.normal(size=(count, 4)).astype(np.float32)
    x[:, 0] += 1.5 * y
    return Batch(x, y)


def test_a_rare_class_is_found_once_it_weighs() -> None:
    train, test = rare(800, 1), rare(800, 2)
    recall = {}
    for balance in ("none", "weights"):
        weights = class_weights(train.y, 2, balance)
        network = build(Linear(kind="linear"), SCHEMAS[TABLE], fit_scaler(train, SCHEMAS[TABLE]), seed=1)
        plan = Plan(epochs=8, batch_size=32, learning_rate=0.05, seed=4)
        compile_network(network, plan, len(train), 2, weights)
        history = fit(network, network, train, on_rows(network, train, weights), plan)
        answered = network(test.x).numpy().argmax(axis=1)
        recall[balance] = (answered == test.y)[test.y == 1].mean()
        # What Keras measures while it learns is the same loss.
        assert history[-1]["loss"] == pytest.approx(history[-1]["val_loss"], abs=0.1)
    assert recall["none"] < 0.2
    assert recall["weights"] > 0.6


def test_measured_loss_weighs_as_the_one_that_is_learnt_from() -> None:
    logits, y = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32), np.arange(30) % 2
    network = build(Mlp(kind="mlp", units=(2,)), SCHEMAS[TABLE], fit_scaler(rows(TABLE, 40), SCHEMAS[TABLE]), seed=1)
    compile_network(network, Plan(epochs=1, batch_size=8, learning_rate=0.1), 30, 2, WEIGHTS)
    found = measure(logits, Batch(logits, y), WEIGHTS)["loss"]
    assert found == pytest.approx(float(network.loss(y, logits)), rel=1e-5)
    # As `train` leaves it: an architecture that any Keras reads.
    compile_network(network, Plan(epochs=1, batch_size=8, learning_rate=0.1), 30, 2)
    assert "Weighted" not in network.to_json()


@pytest.mark.timeout(200)
def test_the_sweep_weighs_too() -> None:
    batch, schema = rare(200, 1), SCHEMAS[TABLE]
    fold = np.arange(len(batch)) // 20 % 2
    scalers = [fit_scaler(batch.take(np.flatnonzero(fold != number)), schema) for number in (0, 1)]
    point = Point(Linear(kind="linear"), 32, 0.05)
    folds = [Folds(batch, fold, scalers, balance) for balance in ("none", "weights")]
    plain, weighed = spread(cross_validate, [(point, each, schema, 2, 1) for each in folds], "sweep")
    assert plain[0][-1]["val_loss"] < 0.75 * weighed[0][-1]["val_loss"]

"""Which batch gets furthest, by what measure; batches hold every row once; the clock only where asked."""

import numpy as np
import pytest

from redoubt.core.types import Batch
from redoubt.params.settings.networks import Mlp
from redoubt.studies.deep.minibatch import BATCHES, COURSE, RATE, STUDY, Learner, multiply_adds_per_number, ordered
from redoubt.studies.digit_networks import new_network
from redoubt.studies.given import Given
from tests.unit.studies.conftest import Run

ROWS = 40


@pytest.fixture(scope="module")
def learner() -> Learner:
    rng = np.random.default_rng(0)
    train = Batch(rng.random((ROWS, 4, 4, 1)).astype(np.float32), rng.integers(10, size=ROWS))
    return Learner(new_network(Mlp(kind="mlp", units=(8,)), train.x, 0), train)


@pytest.mark.parametrize("data", ["quick", "course"])
def test_in_equal_epochs_small_batches_get_further(data: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(data)("minibatch").numbers
    right = [numbers[f"accuracy_equal_epochs/batch_{batch}"] for batch in BATCHES]
    assert right == sorted(right, reverse=True)
    assert right[1] > right[2] + 0.1 > right[3] + 0.2


@pytest.mark.parametrize("data", ["quick", "course"])
def test_in_equal_updates_one_example_is_worst_and_a_thousand_hardly_better_than_ten(
    data: str, request: pytest.FixtureRequest
) -> None:
    numbers = request.getfixturevalue(data)("minibatch").numbers
    one, ten, _, thousand = (numbers[f"accuracy_equal_updates/batch_{batch}"] for batch in BATCHES)
    assert ten > one + 0.05
    assert abs(thousand - ten) < 0.05


def test_updates_per_epoch_fall_with_the_batch_as_in_the_course(quick: Run) -> None:
    numbers = quick("minibatch").numbers
    assert COURSE[1][1] / COURSE[10][1] == 10
    assert numbers["updates_per_epoch/batch_1"] / numbers["updates_per_epoch/batch_10"] == 10
    assert numbers["updates_per_epoch/batch_1000"] == 1


def test_rows_together_give_the_gradient_of_rows_one_by_one(quick: Run) -> None:
    assert quick("minibatch").numbers["one_by_one_off"] < 1e-12


@pytest.mark.parametrize("batch", [1, 5, 40])
def test_every_epoch_has_every_row_once(batch: int) -> None:
    order = ordered(ROWS, batch, 3 * ROWS // batch, np.random.default_rng(0))
    for epoch in order.reshape(3, ROWS):
        assert sorted(epoch.tolist()) == list(range(ROWS))


def test_the_compiled_loop_is_gradient_descent(learner: Learner) -> None:
    import tensorflow as tf

    learner.restart()
    order = ordered(ROWS, 8, 3, np.random.default_rng(0))
    learner.learn(order)
    found = learner.network.get_weights()
    learner.restart()
    for rows in order:
        with tf.GradientTape() as tape:
            outputs = learner.network(tf.gather(learner._x, rows))
            labels = tf.gather(learner._y, rows)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))
        weights = [each.value for each in learner.network.trainable_variables]
        for weight, slope in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(RATE * slope)
    for got, expected in zip(found, learner.network.get_weights(), strict=True):
        assert np.allclose(got, expected, atol=1e-6)


def test_multiply_adds_per_number_grow_with_the_batch_up_to_a_bound() -> None:
    by_batch = [multiply_adds_per_number(batch, 64, 32) for batch in BATCHES]
    assert by_batch == sorted(by_batch)
    assert by_batch[0] < 1
    assert by_batch[-1] < 64 * 32 / (64 + 32)
    assert multiply_adds_per_number(2, 3, 5) == 2 * 15 / (15 + 6 + 10)


def test_seconds_are_kept_out_unless_asked_for(quick: Run) -> None:
    assert not [name for name in quick("minibatch").numbers if "second" in name or "time" in name]
    sizes = STUDY.sizes(rows=1000, epochs=1, updates=100, timed=True)
    numbers = STUDY.run(Given(course=False, seed=20), sizes, 20).numbers
    assert all(numbers[f"seconds_per_epoch/batch_{batch}"] > 0 for batch in BATCHES)
    # A thousand updates against one: no load on the machine makes up for that.
    assert numbers["seconds_per_epoch/batch_1"] > numbers["seconds_per_epoch/batch_1000"]
    assert numbers["accuracy_equal_time/batch_10"] > 0.3

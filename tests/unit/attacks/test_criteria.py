from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import EvadeDetector, Targeted, Tolerance, Untargeted, criterion_for
from redoubt.params.load import load


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_classes(classes: int) -> None:
    rng = np.random.default_rng(classes)
    logits, y = rng.normal(size=(50, classes)).astype(np.float32), rng.integers(classes, size=50)
    best = logits.argmax(axis=1)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(chances[np.arange(50), y])
    assert np.array_equal(Untargeted().is_adversarial(logits, y), best != y)
    assert np.array_equal(Targeted().is_adversarial(logits, y), best == y)
    assert np.allclose(Untargeted().loss(tf.constant(logits), tf.constant(y)), expected, atol=1e-5)
    assert np.allclose(Targeted().loss(tf.constant(logits), tf.constant(y)), -expected, atol=1e-5)


def test_numbers() -> None:
    values, y = np.float32([[100], [141], [59], [140], [np.nan], [np.inf]]), np.full(6, 100, np.float32)
    assert Tolerance(40.0).is_adversarial(values, y).tolist() == [False, True, True, False, True, True]
    loss = Tolerance(40.0).loss(tf.constant(values[:3]), tf.constant(y[:3].astype(np.float64))).numpy()
    assert loss.tolist() == pytest.approx([0, (41 / 40) ** 2, (41 / 40) ** 2])


def test_unnoticed_means_the_aim_and_no_flag() -> None:
    logits = [[2.0, 1.0], [1.0, 2.0], [1.0, 2.0], [2.0, 1.0]]
    outputs = np.float32([[*row, score] for row, score in zip(logits, [0.1, 0.1, 0.9, 0.9], strict=True)])
    y, criterion = np.zeros(4, np.int64), EvadeDetector(Untargeted(), threshold=0.5)
    assert criterion.is_adversarial(outputs, y).tolist() == [False, True, False, False]
    margin = criterion.margin(tf.constant(outputs), tf.constant(y)).numpy()
    assert np.array_equal(margin > 0, criterion.is_adversarial(outputs, y))


def test_a_row_that_fools_the_vote_climbs_down_the_score() -> None:
    """Selective gradients: first the aim, then the detector, never both at once."""
    outputs = tf.Variable([[2.0, 1.0, 0.9], [1.0, 2.0, 0.9]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(EvadeDetector(Untargeted(), threshold=0.5).loss(outputs, tf.constant([0, 0])))
    gradient = tape.gradient(loss, outputs).numpy()
    assert gradient[0, 2] == 0
    assert (gradient[0, :2] != 0).all()
    assert gradient[1, 2] < 0
    assert (gradient[1, :2] == 0).all()


def test_the_aim_follows_from_the_task(project: Path) -> None:
    params = load(project / "params.yaml")
    assert criterion_for(params.task("digits")) == criterion_for(params.task("diagnosis")) == Untargeted()
    evolution = params.task("evolution")
    assert evolution.tolerance is not None
    assert criterion_for(evolution) == Tolerance(evolution.tolerance)

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.criteria import Targeted, Tolerance, Untargeted, aim
from redoubt.params import load


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_classes(classes: int) -> None:
    rng = np.random.default_rng(classes)
    logits, y = rng.normal(size=(50, classes)).astype(np.float32), rng.integers(classes, size=50)
    best = logits.argmax(axis=1)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(chances[np.arange(50), y])
    assert np.array_equal(Untargeted().won(logits, y), best != y)
    assert np.array_equal(Targeted().won(logits, y), best == y)
    assert np.allclose(Untargeted().loss(tf.constant(logits), tf.constant(y)), expected, atol=1e-5)
    assert np.allclose(Targeted().loss(tf.constant(logits), tf.constant(y)), -expected, atol=1e-5)


def test_numbers() -> None:
    values, y = np.float32([[100], [141], [59], [140], [np.nan], [np.inf]]), np.full(6, 100, np.float32)
    assert Tolerance(40.0).won(values, y).tolist() == [False, True, True, False, True, True]
    loss = Tolerance(40.0).loss(tf.constant(values[:3]), tf.constant(y[:3].astype(np.float64))).numpy()
    assert loss.tolist() == pytest.approx([0, (41 / 40) ** 2, (41 / 40) ** 2])


def test_the_aim_follows_from_the_task(project: Path) -> None:
    params = load(project / "params.yaml")
    assert aim(params.task("digits")) == aim(params.task("diagnosis")) == Untargeted()
    evolution = params.task("evolution")
    assert evolution.tolerance is not None
    assert aim(evolution) == Tolerance(evolution.tolerance)

"""A network hardened by plain FGSM, until it masks its gradient from a single step: catastrophic overfitting."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from redoubt.core.types import Batch
from tests.support.planted import audited, opened

L = keras.layers
EPS, EPOCHS, TRAINED, SIZE = 0.4, 40, 1200, 64
LABELS = tuple(map(str, range(10)))


def digits() -> Batch:
    bunch = load_digits()
    return Batch((bunch.images[..., None] / 16).astype(np.float32), bunch.target.astype(np.int64))


@pytest.fixture(scope="module")
def hardened() -> keras.Model:
    """By steps of full size from the input itself, as in arXiv 1412.6572; see arXiv 2001.03994 on what comes of it."""
    keras.utils.set_random_seed(0)
    dense = [L.Dense(128, activation="relu"), L.Dense(128, activation="relu"), L.Dense(10)]
    network = keras.Sequential([L.Input((8, 8, 1)), L.Flatten(), *dense])
    optimizer = keras.optimizers.Adam(3e-3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = loss(y, network(x))
        x_adv = tf.clip_by_value(x + EPS * tf.sign(tape.gradient(found, x)), 0, 1)
        with tf.GradientTape() as tape:
            found = loss(y, network(x_adv))
        weights = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(found, weights), weights, strict=True))

    train, rng = digits().take(np.arange(TRAINED)), np.random.default_rng(0)
    for _ in range(EPOCHS):
        order = rng.permutation(TRAINED)
        for start in range(0, TRAINED, SIZE):
            rows = order[start : start + SIZE]
            step(tf.constant(train.x[rows]), tf.constant(train.y[rows]))
    return network


def test_one_step_is_fooled_and_the_audit_is_not(hardened: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = digits().take(np.arange(TRAINED, TRAINED + 100))
    found = audited(opened(hardened, batch, LABELS), batch, monkeypatch, eps=EPS)
    assert found.headline.by_attack["fgsm"].share > 0.6, "the lie: what is told of FGSM alone"
    assert found.worst.share < 0.05
    (said,) = (check.found for check in found.checks if check.name == "no catastrophic overfitting to a single step")
    assert "under FGSM" in said


def test_who_looks_at_few_attacks_is_told(hardened: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bounds there is no proof that nothing was missed: the verdict is stamped by what FGSM shows."""
    batch, inputs = digits().take(np.arange(TRAINED, TRAINED + 100)), L.Input((8, 8, 1))
    network = keras.Model(inputs, 1.0 * hardened(inputs) + 0.0 * keras.ops.mean(inputs))
    found = audited(opened(network, batch, LABELS), batch, monkeypatch, eps=EPS, whole=False)
    assert found.verdict.startswith("NOT TRUSTED")
    names = {check.name for check in found.failed}
    assert "no catastrophic overfitting to a single step" in names
    assert "robust accuracy under FGSM falls with eps" in names

"""Eps that rises, and weights that are averaged."""

from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
import tensorflow as tf

from redoubt.params.recipes import Pgd
from redoubt.training.fit import Plan, compile_network, fit
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import WARM_UP, StepState, Trainer
from tests.support.methods import context, hardening
from tests.support.tiny import TABLE, rows


@pytest.mark.parametrize(
    ("updates", "expected"),
    [(4, [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]), (0, [1.0] * 7), (1, [0.0] + [1.0] * 6)],
    ids=["rising", "at-once", "in-one"],
)
def test_a_share_rises_to_1_and_stays(updates: int, expected: list[float]) -> None:
    ramp = EpsSchedule(0.4, updates)
    assert [float(ramp.share(tf.constant(update))) for update in range(7)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ramp", "batch_size", "updates"), [(0.4, 32, 32), (0.4, 100, 12), (0.0, 32, 0), (1.0, 32, 80)], ids=str
)
def test_a_ramp_takes_its_share_of_all_updates(ramp: float, batch_size: int, updates: int) -> None:
    recipe = Pgd(method="pgd", train_eps=0.3, epochs=10, ramp=ramp, batch_size=batch_size)
    assert hardening(recipe, context(TABLE, recipe)).model.schedule == EpsSchedule(0.3, updates)


@dataclass(eq=False)
class Plain:
    """Learns from the rows as they are, and notes each moment."""

    network: keras.Model
    seen: list[tuple[float, ...]] = field(default_factory=list)

    def inputs(self, x: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tf.Tensor:
        if tf.executing_eagerly():
            self.seen.append(
                (round(float(step_state.eps), 6), float(step_state.share), *step_state.seed.numpy().tolist())
            )
        return x

    def loss(self, x: tf.Tensor, x_adv: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = self.network(x_adv, training=True)
        return outputs, tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, outputs, from_logits=True))


def small() -> keras.Model:
    """Its batch normalization has statistics, which are averaged too, and its dropout a seed, which is not."""
    norm, drop = keras.layers.BatchNormalization(), keras.layers.Dropout(0.1, seed=1)
    first, last = (keras.layers.Dense(2, kernel_initializer=keras.initializers.HeNormal(seed)) for seed in (1, 2))
    return keras.Sequential([keras.Input((4,)), norm, first, drop, last])


def test_every_update_has_an_eps_and_a_seed_of_its_own() -> None:
    network, train, plan = small(), rows(TABLE, 64), Plan(epochs=2, batch_size=32, learning_rate=0.02)
    objective = Plain(network)
    trainer = Trainer(network, objective, EpsSchedule(0.3, 2), seed=4)
    compile_network(trainer, plan, len(train), 2)
    trainer.run_eagerly = True
    fit(trainer, network, train, lambda: {"loss": 1.0}, plan)
    assert objective.seen == [(0.0, 0.0, 4, 0), (0.15, 0.5, 4, 1), (0.3, 1.0, 4, 2), (0.3, 1.0, 4, 3)]


class Weights(keras.callbacks.Callback):
    """The network's, update by update."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[np.ndarray]] = []

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.seen.append(self.model.network.get_weights())


@pytest.mark.parametrize("average", [0.05, 0.9])
def test_averaged_weights_are_a_moving_average_that_warms_up(average: float) -> None:
    network, batch = small(), rows(TABLE, 100)
    expected = network.get_weights()
    trainer, weights = Trainer(network, Plain(network), EpsSchedule(0.0, 0), seed=1, average=average), Weights()
    trainer.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trainer.fit(batch.x / 1000, batch.y, batch_size=20, epochs=2, callbacks=[weights], verbose=0)
    assert len(weights.seen) == 10
    for update, now in enumerate(weights.seen, start=1):
        keep = min(average, update / (update + WARM_UP))
        expected = [keep * old + (1 - keep) * new for old, new in zip(expected, now, strict=True)]
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(trainer.kept.get_weights(), expected, strict=True))
    assert not np.allclose(trainer.kept.get_weights()[0], network.get_weights()[0], atol=1e-6)


def test_what_is_averaged_is_not_trained() -> None:
    network = small()
    trainer = Trainer(network, Plain(network), EpsSchedule(0.0, 0), seed=1, average=0.9)
    assert trainer.trainable_variables == network.trainable_variables
    assert trainer.kept is not network
    assert Trainer(network, Plain(network), EpsSchedule(0.0, 0), seed=1).kept is network

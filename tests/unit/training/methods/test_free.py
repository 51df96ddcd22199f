"""One perturbation per place in the batch, kept from update to update."""

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.geometry import distance, project, steepest_step
from redoubt.core.types import Batch, Norm
from redoubt.params.recipes import Free
from redoubt.training.fit import Plan
from redoubt.training.methods.free import FreeTrainer
from redoubt.training.recipes import plan_for
from tests.support.methods import EPS, Trainings, context, hardening, recipes
from tests.support.tiny import IMAGE, NAMES


def of(task: str, norm: Norm) -> tuple[FreeTrainer, Batch]:
    recipe = Free(method="free", norm=norm, epochs=12, replays=2, ramp=0.0)
    ready = hardening(recipe, context(task, recipe))
    assert isinstance(ready.trainer, FreeTrainer)
    return ready.trainer, ready.train


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("task", NAMES)
def test_an_update_moves_the_perturbation_one_step_and_keeps_it_in_the_ball(task: str, norm: Norm) -> None:
    trainer, train = of(task, norm)
    bounds, eps = trainer.problem.bounds, EPS[task][norm]
    x, y = tf.constant(train.x[:32]), tf.constant(train.y[:32])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = trainer.problem.criterion.loss(trainer.network(x, training=True), y)
    step = eps * steepest_step(tape.gradient(loss, x), norm, bounds)
    expected = project(x, x + step, tf.constant(eps), norm, bounds) - x
    before = trainer.network.get_weights()
    trainer.train_step((x, y))
    coarse = 1e-5 * np.abs(train.x).max(axis=0)
    assert np.all(np.abs(trainer.delta.numpy() - expected.numpy()) <= coarse)
    assert np.median(distance(trainer.delta.numpy(), norm, bounds)) > 0.5 * eps
    assert any(not np.array_equal(a, b) for a, b in zip(before, trainer.network.get_weights(), strict=True))
    # Other rows in the same places: the perturbation is carried on, and drawn back into their own ball.
    for _ in range(2):
        trainer.train_step((tf.constant(train.x[32:64]), tf.constant(train.y[32:64])))
        change = trainer.delta.numpy()
        assert distance(change, norm, bounds).max() <= eps * (1 + 1e-3)
        assert np.all(train.x[32:64] + change >= bounds.lower - coarse)
        assert np.all(train.x[32:64] + change <= bounds.upper + coarse)


def test_the_perturbation_of_the_update_before_is_what_is_learned_from() -> None:
    trainer, train = of(IMAGE, "linf")
    x, y = tf.constant(train.x[:32]), tf.constant(train.y[:32])
    trainer.train_step((x, y))
    met = trainer.network(project(x, x + trainer.delta, tf.constant(0.25), "linf", trainer.problem.bounds))
    expected = float(tf.reduce_mean(trainer.problem.criterion.loss(met, y)))
    natural = float(tf.reduce_mean(trainer.problem.criterion.loss(trainer.network(x), y)))
    trainer.reset_metrics()
    assert float(trainer.train_step((x, y))["loss"]) == pytest.approx(expected, rel=1e-4)
    assert expected > 1.01 * natural


def test_a_last_batch_that_is_smaller_spares_the_other_places() -> None:
    trainer, train = of(IMAGE, "linf")
    trainer.train_step((tf.constant(train.x[:32]), tf.constant(train.y[:32])))
    before = trainer.delta.numpy()
    trainer.train_step((tf.constant(train.x[32:37]), tf.constant(train.y[32:37])))
    assert np.array_equal(trainer.delta[5:], before[5:])
    assert not np.allclose(trainer.delta[:5], before[:5])


def test_replays_make_up_for_fewer_epochs(trainings: Trainings) -> None:
    recipe = recipes(IMAGE)["free"]
    assert isinstance(recipe, Free)
    assert plan_for(recipe.model_copy(update={"epochs": 10, "replays": 4}), 32, 0.1, 1) == Plan(
        epochs=3, batch_size=32, learning_rate=0.1, decay=True, seed=1, replays=4
    )
    assert len(trainings("free", IMAGE).history) == recipe.epochs / recipe.replays

"""Pictures that move anew for every update, and the same way when an update is repeated."""

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from redoubt.attacks.transformations import Transformations
from redoubt.core.types import PIXELS
from redoubt.params.recipes import Augment, Ibp
from redoubt.training.augment import Augmentation
from redoubt.training.recipes import prepare
from redoubt.training.trainer import Objective, StepState
from tests.support.methods import context
from tests.support.tiny import IMAGE, rows

MOVES = Augment(rotation=20.0, scale=0.1, shift=0.1)


def seed(update: int) -> tf.Tensor:
    return tf.constant([7, update], tf.int32)


def test_an_update_moves_every_picture_its_own_way_and_again_the_same_when_repeated() -> None:
    augment = Augmentation(Transformations(**MOVES.model_dump()), PIXELS)
    x = np.repeat(rows(IMAGE, 1).x, 3, axis=0)
    once, again, next_ = augment(x, seed(0)).numpy(), augment(x, seed(0)).numpy(), augment(x, seed(1)).numpy()
    assert np.array_equal(once, again)
    x_adv = [*once, *next_]
    assert all(not np.allclose(one, two) for index, one in enumerate(x_adv) for two in x_adv[:index])
    assert once.min() >= 0
    assert once.max() <= 1


def test_no_range_leaves_pictures_alone() -> None:
    x = rows(IMAGE, 3).x
    assert np.array_equal(Augmentation(Transformations(), PIXELS)(x, seed(0)), x)


@dataclass(eq=False)
class Spy:
    """An objective that notes what it is given."""

    objective: Objective
    seen: list[np.ndarray] = field(default_factory=list)

    def inputs(self, x: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tf.Tensor:
        self.seen.append(x.numpy())
        return self.objective.inputs(x, y, step_state)

    def loss(self, x: tf.Tensor, x_adv: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tuple[tf.Tensor, tf.Tensor]:
        self.seen.append(x.numpy())
        return self.objective.loss(x, x_adv, y, step_state)


def test_attack_and_bounds_stand_round_the_moved_pictures() -> None:
    recipe = Ibp(method="ibp", train_eps=0.1, steps=1, epochs=1, augment=MOVES)
    on = context(IMAGE, recipe)
    trainer = prepare(recipe, on).trainer
    trainer.objective = spy = Spy(trainer.objective)
    trainer.optimizer.build(trainer.trainable_variables)
    x, y = tf.constant(on.train.x[:8]), tf.constant(on.train.y[:8])
    step_state = trainer.step_state()
    trainer.train_step((x, y))
    assert trainer.augment is not None
    expected = trainer.augment(x, step_state.seed).numpy()
    assert [np.array_equal(each, expected) for each in spy.seen] == [True, True]
    assert not np.allclose(expected, x)

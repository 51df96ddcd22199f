import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.contract import Problem, of_network
from redoubt.attacks.criteria import Untargeted
from redoubt.attacks.geometry import distance
from redoubt.attacks.gradient import PGD
from redoubt.models.networks import build
from redoubt.params import Norm
from redoubt.tasks import PIXELS
from redoubt.training.adversarial import AdversarialTrainer, Ramp, on_attacked_rows, ramp_for
from redoubt.training.fit import Plan, compile_network, fit
from tests.tiny import IMAGE, MODELS, SCHEMAS, Case, rows

EPS: dict[Norm, float] = {"linf": 0.25, "l2": 1.0}


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [
        (Ramp(0.4, 4), [0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4]),
        (Ramp(0.4, 0), [0.0, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]),
    ],
    ids=["rising", "at-once"],
)
def test_eps_rises_to_its_full_value_and_stays(ramp: Ramp, expected: list[float]) -> None:
    assert [float(ramp.at(tf.constant(update))) for update in range(7)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows_", "batch_size", "updates"), [(100, 10, 40), (101, 10, 44), (5, 10, 4)], ids=["even", "odd", "one-batch"]
)
def test_a_ramp_takes_its_share_of_all_updates(rows_: int, batch_size: int, updates: int) -> None:
    assert ramp_for(0.3, 0.4, 10, rows_, batch_size) == Ramp(0.3, updates)
    assert updates == round(0.4 * 10 * math.ceil(rows_ / batch_size))


def trainer_of(norm: Norm, case: Case) -> AdversarialTrainer:
    network = build(MODELS[IMAGE], SCHEMAS[IMAGE], case.scaler, seed=2)
    problem = Problem(of_network(network), Untargeted(), norm, PIXELS)
    return AdversarialTrainer(network, problem, PGD(steps=3), ramp_for(EPS[norm], 0.3, 12, 256, 32), seed=4)


@pytest.mark.parametrize("norm", EPS)
def test_training_batches_keep_to_the_threat(norm: Norm, trained: Callable[[str], Case]) -> None:
    trainer, batch = trainer_of(norm, trained(IMAGE)), rows(IMAGE, 32)
    x, y, eps = tf.constant(batch.x), tf.constant(batch.y), tf.constant(EPS[norm])
    one, again, other = (trainer._attacked(x, y, eps, tf.constant([4, update])).numpy() for update in (1, 1, 2))
    PIXELS.check(one)
    size = distance(one - batch.x, norm, PIXELS)
    assert size.max() <= EPS[norm] * (1 + 1e-5)
    assert np.median(size) > 0.5 * EPS[norm]
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other), "every update must draw starts of its own"
    assert np.array_equal(trainer._attacked(x, y, tf.constant(0.0), tf.constant([4, 1])), batch.x)


def test_every_update_has_an_eps_and_starts_of_its_own(
    trained: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, train = trainer_of("linf", trained(IMAGE)), rows(IMAGE, 64)
    plan, seen = Plan(epochs=2, batch_size=32, learning_rate=0.02, seed=4), []

    def watch(x: tf.Tensor, y: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        seen.append((round(float(eps), 6), *seed.numpy().tolist()))
        return x

    compile_network(trainer, plan, len(train), 3)
    trainer.run_eagerly = True
    trainer.ramp = Ramp(0.3, 3)
    monkeypatch.setattr(trainer, "_attacked", watch)
    fit(trainer, trainer.network, train, lambda: {"loss": 1.0}, plan)
    assert seen == [(0.0, 4, 0), (0.1, 4, 1), (0.2, 4, 2), (0.3, 4, 3)]


@pytest.mark.parametrize("norm", EPS)
def test_hardening_hardens(norm: Norm, trained: Callable[[str], Case]) -> None:
    case, train, test = trained(IMAGE), rows(IMAGE, 256), rows(IMAGE, 128, seed=1)
    trainer = trainer_of(norm, case)
    plan = Plan(epochs=12, batch_size=32, learning_rate=0.02, decay=True, seed=4)
    compile_network(trainer, plan, len(train), 3)
    validate = on_attacked_rows(trainer.network, trainer.problem, trainer.attack, EPS[norm], test)
    assert validate() == validate(), "measured from other random starts"
    history = fit(trainer, trainer.network, train, validate, plan)
    problem = Problem(of_network(case.network), Untargeted(), norm, PIXELS)
    robust = {}
    for name, each in {"natural": problem, "adversarial": trainer.problem}.items():
        moved = PGD(steps=20)(each, test.x, test.y, eps=EPS[norm], seed=0)
        logits = each.outputs(tf.constant(moved), tf.zeros(2, tf.int32)).numpy()
        robust[name] = float((logits.argmax(axis=1) == test.y).mean())
    assert robust["adversarial"] > robust["natural"] + 0.1
    assert set(history[0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history[0]["loss"] > history[-1]["loss"]

"""One contract for all methods: what a hardening learns from keeps to the threat, and it hardens."""

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.certify.interval import is_bounded
from redoubt.core.types import PIXELS, Floats, Norm
from redoubt.params.recipes import Fast, Gaussian, Ibp, SmoothAdv, TrainedThreat
from redoubt.params.settings.sections import Eps
from redoubt.training.fit import fit
from redoubt.training.methods.noise import noise
from redoubt.training.recipes import WATCHING
from redoubt.training.trainer import StepState
from redoubt.training.validation import RobustValidation
from tests.support.methods import EPS, HARDENINGS, Training, Trainings, context, hardening, recipes
from tests.support.tiny import IMAGE, NAMES, NUMBER, TABLE, Case

# All of them on images, and each kind of training on a table of classes or of numbers; each training takes seconds.
ON_TABLES = {
    TABLE: ("pgd", "fast", "ibp", "consistent"),
    NUMBER: ("pgd", "free", "trades", "ibp", "gaussian", "smoothadv"),
}
EVERYWHERE = [(method, task) for task in NAMES for method in ON_TABLES.get(task, HARDENINGS)]
SMOOTHED = ("gaussian", "averaged", "consistent", "smoothadv")
every_method = pytest.mark.parametrize(("method", "task"), EVERYWHERE, ids=str)


@every_method
def test_it_trains_and_keeps_its_best_weights(trainings: Trainings, method: str, task: str) -> None:
    training = trainings(method, task)
    losses = [epoch["val_loss"] for epoch in training.history]
    assert np.isfinite(losses).all()
    assert min(losses) < losses[0]
    for variable, kept in zip(training.ready.network.weights, training.weights, strict=True):
        variable.assign(kept)
    best = training.history[int(np.argmin(losses))]
    assert {f"val_{key}": value for key, value in training.ready.validate().items()}.items() <= best.items()


@every_method
def test_each_epoch_tells_the_shares_that_apply(trainings: Trainings, method: str, task: str) -> None:
    recipe, history = recipes(task)[method], trainings(method, task).history
    told = {"loss", "mae" if task == NUMBER else "accuracy", "val_loss", "val_natural", "val_pgd"}
    told |= {"val_noisy"} if method in SMOOTHED else set()
    told |= {"val_certified"} if getattr(recipe, "norm", "linf") == "linf" and method not in SMOOTHED else set()
    told |= {"val_held_out"} if isinstance(recipe, Fast) else set()
    assert [set(epoch) for epoch in history] == [told] * len(history)
    shares = told - {"loss", "mae", "val_loss"}
    assert all(0.0 <= epoch[name] <= 1.0 for epoch in history for name in shares)
    assert all(epoch.get("val_certified", 0.0) <= epoch["val_pgd"] for epoch in history), "what is proven was broken"


# Whether the objective itself moves its inputs; what `Free` keeps of update to update is in test_free.
MOVING = [(method, task) for method, task in EVERYWHERE if method != "free" and task != NUMBER]


@pytest.mark.parametrize(("method", "task"), MOVING, ids=str)
def test_training_batches_keep_to_the_threat(trainings: Trainings, method: str, task: str) -> None:
    trainer, recipe = trainings(method, task).ready.trainer, recipes(task)[method]
    problem, batch = trainings(method, task).ready.robust_validation.problem, trainings(method, task).ready.train
    x, y = batch.x[:32], batch.y[:32]
    # A batch of a training that meets two norms in turn meets the first one at an even update.
    norm = "l2" if isinstance(recipe, Gaussian | SmoothAdv) else problem.norm
    eps = 0.0 if isinstance(recipe, Gaussian) else recipe.trained_at(Eps(**EPS[task]))

    @functools.partial(tf.function, autograph=False)
    def inputs(eps: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return trainer.objective.inputs(tf.constant(x), tf.constant(y), StepState(eps, tf.constant(1.0), seed))

    def x_adv(eps: float, update: int) -> Floats:
        seed = tf.constant([4, update])
        noisy = inputs(tf.constant(eps, tf.float32), seed)
        return (noisy.numpy() - (drawn(tf.shape(noisy), seed) if method in SMOOTHED else 0.0))[: len(x)]

    def drawn(shape: tf.Tensor, seed: tf.Tensor) -> Floats:
        return noise(shape, recipe.sigma, problem.bounds, seed + [0, 1]).numpy()

    one, again, other = (x_adv(eps, update) for update in (2, 2, 4))
    # Adding noise and taking it away again costs a bit, and the noise may leave the bounds.
    coarse = 1e-4 * np.abs(x).max(axis=0)
    assert np.all(one >= problem.bounds.lower - coarse)
    assert np.all(one <= problem.bounds.upper + coarse)
    fixed = np.broadcast_to(problem.bounds.scale == 0, x.shape)
    assert np.array_equal(one[fixed], x[fixed])
    size = distance(one - x, norm, problem.bounds)
    assert size.max() <= eps * (1 + 1e-4) + 1e-4
    assert isinstance(recipe, Gaussian) or np.median(size) > 0.5 * eps
    assert np.array_equal(one, again)
    # Of a table all starts may lead to the same corner.
    if task == IMAGE and not isinstance(recipe, Gaussian):
        assert not np.array_equal(one, other), "every update must draw starts of its own"
    assert np.allclose(x_adv(0.0, 2), x, atol=coarse.max())


def test_batches_meet_both_norms_in_turn(trainings: Trainings) -> None:
    training, recipe = trainings("two-norms", IMAGE), recipes(IMAGE)["two-norms"]
    eps, x, y = Eps(**EPS[IMAGE]), training.ready.train.x[:32], training.ready.train.y[:32]
    assert recipe.also == (TrainedThreat(norm="l2"),)

    @functools.partial(tf.function, autograph=False)
    def inputs(update: tf.Tensor) -> tf.Tensor:
        step_state = StepState(tf.constant(eps.linf), tf.constant(1.0), tf.stack([4, update]))
        return training.ready.trainer.objective.inputs(tf.constant(x), tf.constant(y), step_state)

    for update in range(4):
        change = inputs(tf.constant(update)).numpy() - x
        linf, l2 = (distance(change, norm, PIXELS).max() for norm in ("linf", "l2"))
        assert (linf <= eps.linf * (1 + 1e-4)) == (update % 2 == 0)
        assert (l2 <= eps.l2 * (1 + 1e-4)) == (update % 2 == 1)


@pytest.fixture(scope="module")
def of_natural(trained: Callable[[str], Case]) -> Callable[[str, Norm, float, str, float], dict[str, float]]:
    """What a watch would say of the task's natural network."""

    def measure(task: str, norm: Norm, eps: float, judged: str, sigma: float) -> dict[str, float]:
        case = trained(task)
        problem = AttackProblem(of_network(case.network), case.criterion, norm, case.bounds)
        return RobustValidation(case.network, problem, WATCHING, eps, case.test, judged, sigma)()

    return functools.cache(measure)


@every_method
def test_hardening_hardens(
    trainings: Trainings, of_natural: Callable[..., dict[str, float]], method: str, task: str
) -> None:
    """Judged where the method aims: under attack, and under noise if it is trained for that."""
    robust_validation, judged = (
        trainings(method, task).ready.robust_validation,
        "noisy" if method in SMOOTHED else "pgd",
    )
    natural = of_natural(task, robust_validation.problem.norm, robust_validation.eps, judged, robust_validation.sigma)
    hardened = replace(robust_validation, judged=judged)()
    assert hardened["loss"] < 0.85 * natural["loss"]
    if task == IMAGE:
        assert hardened[judged] > natural[judged] + 0.1


@pytest.mark.parametrize("task", NAMES)
def test_certified_training_is_what_certifies(trainings: Trainings, task: str) -> None:
    certified, attacked = trainings("ibp", task), trainings("pgd", task)
    assert is_bounded(certified.ready.network)
    assert isinstance(recipes(task)["ibp"], Ibp)
    assert certified.ready.robust_validation.eps == attacked.ready.robust_validation.eps
    assert share(certified) > share(attacked) + 0.1


def share(training: Training) -> float:
    return training.ready.robust_validation()["certified"]


def test_another_seed_has_other_weights(trainings: Trainings) -> None:
    recipe = recipes(NUMBER)["gaussian"]
    ready = hardening(recipe, context(NUMBER, recipe, seed=5))
    fit(ready.model, ready.network, ready.train, ready.validate, ready.plan)
    assert not np.allclose(ready.network.get_weights()[0], trainings("gaussian", NUMBER).weights[0], atol=1e-3)

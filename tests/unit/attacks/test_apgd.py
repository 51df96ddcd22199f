"""Auto-PGD: optima that are known, the points it keeps, the rows it drops."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.apgd import APGD, APGDT, checkpoints
from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Targeted, Tolerance, Untargeted
from redoubt.attacks.core.gradient import PGD, Restarts
from redoubt.attacks.core.losses import Loss
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import PIXELS, Bounds, Floats, Norm
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE

by_norm = pytest.mark.parametrize("norm", NORMS)
Outputs = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def linear(kernel: Floats) -> Outputs:
    return lambda x, seed: tf.matmul(x, kernel)


def wide(scale: list[float]) -> Bounds:
    return Bounds(np.full(len(scale), -99, np.float32), np.full(len(scale), 99, np.float32), np.float32(scale))


def broken(problem: AttackProblem, attack: Attack, x: Floats, y: NDArray[np.int64], eps: float) -> NDArray[np.bool_]:
    return problem.criterion.is_adversarial(problem.predict(attack(problem, x, y, eps=eps, seed=0)), y)


def test_the_checkpoints_of_the_paper() -> None:
    assert np.cumsum(checkpoints(100)).tolist() == [22, 41, 57, 70, 80, 87, 93, 99, 100]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 37, 1000])
def test_the_intervals_fill_the_steps(steps: int) -> None:
    assert sum(checkpoints(steps)) == steps
    assert min(checkpoints(steps)) >= 1


@by_norm
@pytest.mark.parametrize("loss", ["cross_entropy", "dlr"])
def test_against_a_line_the_best_attack_is_known(norm: Norm, loss: Loss) -> None:
    kernel, eps = np.float32([[3.0, 0.0], [0.0, 1.0], [-2.0, 0.0], [5.0, 0.0]]), 0.1
    bounds = wide([1.0, 2.0, 0.5, 0.0])
    problem = AttackProblem(linear(kernel), Untargeted(), norm, bounds)
    x, y = np.float32([[1, 0.2, 0.1, 2], [2.5, 0.1, -0.4, 1]]), np.array([0, 0])
    slope = (kernel[:, 0] - kernel[:, 1]) * bounds.scale
    steepest = np.abs(slope).sum() if norm == "linf" else np.linalg.norm(slope)
    x_adv = APGD(steps=20, loss=loss)(problem, x, y, eps=eps, seed=0)
    assert (x - x_adv) @ kernel @ [1, -1] == pytest.approx(eps * steepest, rel=1e-3)
    assert np.array_equal(x_adv[:, 3], x[:, 3])


@by_norm
def test_a_peak_inside_the_ball_is_found_by_halving(norm: Norm) -> None:
    """A fixed step jumps over it forever."""
    peak = np.float32([0.13, -0.21, 0.07])

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        far = tf.reduce_sum(tf.square(x - peak) * [1.0, 2.0, 3.0], axis=1)
        return tf.stack([1.0 + far, tf.zeros_like(far)], axis=1)

    problem = AttackProblem(outputs, Untargeted(), norm, wide([1.0, 1.0, 1.0]))
    x, y = np.zeros((5, 3), np.float32), np.zeros(5, np.int64)
    gaps = {
        name: np.abs(attack(problem, x, y, eps=1.0, seed=0) - peak).max()
        for name, attack in (("apgd", APGD(steps=100)), ("pgd", PGD(steps=100, step_size=2.0)))
    }
    assert gaps["apgd"] < 0.02 < gaps["pgd"]


@pytest.mark.parametrize(("classes", "norm"), [(2, "linf"), (3, "l2"), (10, "linf"), (10, "l2")])
@pytest.mark.parametrize("attack", [APGD(steps=30, loss="dlr"), APGDT(steps=30)], ids=["dlr", "targeted"])
def test_a_linear_model_falls_just_where_it_must(norm: Norm, classes: int, attack: Attack) -> None:
    """A row is lost where eps exceeds its distance to the nearest other class, and nowhere else."""
    rng = np.random.default_rng(classes)
    kernel, eps = rng.normal(size=(6, classes)).astype(np.float32), 0.5
    bounds = wide([1.0, 2.0, 0.5, 1.0, 1.0, 1.0])
    x = rng.normal(0, 1.5, (200, 6)).astype(np.float32)
    logits = x @ kernel
    y = logits.argmax(axis=1)
    slopes = (kernel[:, None, :] - kernel[:, y][:, :, None]) * bounds.scale[:, None, None]
    steepest = np.abs(slopes).sum(axis=0) if norm == "linf" else np.linalg.norm(slopes, axis=0)
    steepest[np.arange(len(y)), y] = np.inf
    gaps = logits[np.arange(len(y)), y][:, None] - logits
    gaps[np.arange(len(y)), y] = np.inf
    distance = (gaps / np.where(np.isinf(steepest), 1.0, steepest)).min(axis=1)
    adversarial = broken(AttackProblem(linear(kernel), Untargeted(), norm, bounds), attack, x, y, eps)
    assert 0.1 < np.mean(distance < eps) < 0.99
    assert not adversarial[distance > 1.001 * eps].any()
    # Of ten classes, the one that looks nearest from here need not be: that is what the targets are for.
    sure = isinstance(attack, APGDT) or classes == 2
    assert adversarial[distance < 0.97 * eps].mean() >= (1.0 if sure else 0.85)


@by_norm
def test_never_weaker_than_pgd_of_equal_steps(threats: Callable[..., Threat], norm: Norm) -> None:
    threat, eps = threats(IMAGE, norm), {"linf": 0.2, "l2": 1.0}[norm]
    x, y = threat.case.test.x, threat.case.test.y
    pgd = broken(threat.problem, PGD(steps=20), x, y, eps).sum()
    for attack in (APGD(steps=20), APGDT(steps=20)):
        assert broken(threat.problem, attack, x, y, eps).sum() >= pgd


def watched(network: keras.Model, log: list[Floats]) -> Outputs:
    """The network, which writes down every batch it is asked about."""

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        tf.numpy_function(log.append, [x], [])
        return network(x, training=False)

    return outputs


@by_norm
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_it_returns_the_best_point_it_has_seen(threats: Callable[..., Threat], norm: Norm, loss: Loss) -> None:
    threat, log = threats(IMAGE, norm), list[Floats]()
    problem = AttackProblem(watched(threat.case.network, log), Untargeted(), norm, PIXELS)
    x, y = threat.case.test.x, threat.case.test.y
    standing = ~broken(problem, APGD(steps=30, loss=loss), x, y, 0.1)
    x, y = x[standing], y[standing]
    log.clear()
    x_adv = APGD(steps=30, loss=loss)(problem, x, y, eps=0.1, seed=0)

    def margins(points: Floats) -> NDArray[np.float32]:
        return Untargeted().margin(threat.case.network(points), y).numpy()

    # The first call looks at the outputs.
    seen = np.stack([margins(points) for points in log[1:]])
    assert len(seen) == 31, "one look at the start and one per step"
    best = np.maximum.accumulate(seen, axis=0)
    assert np.allclose(margins(x_adv), best[-1], atol=1e-5)
    assert np.all(best[-1] > seen[0]) or loss != "margin"


def test_rows_that_are_won_cost_nothing_more(threats: Callable[..., Threat]) -> None:
    threat, log = threats(IMAGE, "linf"), list[Floats]()
    problem = AttackProblem(watched(threat.case.network, log), Untargeted(), "linf", PIXELS)
    x_adv = APGD(steps=40)(problem, threat.case.test.x, threat.case.test.y, eps=0.2, seed=0)
    adversarial = Untargeted().is_adversarial(threat.case.network(x_adv).numpy(), threat.case.test.y)
    # The first two calls look at the outputs, and whether a gradient reaches the inputs.
    sizes = [len(rows) for rows in log[2:]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == len(adversarial)
    assert sizes[-1] <= np.sum(~adversarial) + 3 < len(adversarial)
    log.clear()
    APGD(steps=40)(problem, threat.case.test.x, threat.case.test.y, eps=0.9, seed=0)
    assert len(log) < 20, "all rows are won, and still it goes on"


def test_against_a_random_model_it_goes_on_to_a_sure_win() -> None:
    """What wins by one draw loses by most others; only near the peak it wins by all."""
    peak = np.float32([0.13, -0.21])

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        far = tf.reduce_sum(tf.square(x - peak), axis=1)
        noise = tf.random.stateless_normal(tf.shape(far), seed, stddev=0.1)
        return tf.stack([tf.zeros_like(far), 0.2 - 2.0 * far + noise], axis=1)

    problem = AttackProblem(outputs, Untargeted(), "linf", wide([1.0, 1.0]))
    x, y = np.zeros((200, 2), np.float32), np.zeros(200, np.int64)

    def share(attack: APGD) -> float:
        x_adv = attack(problem, x, y, eps=1.0, seed=0)
        return float(
            np.mean([problem.criterion.is_adversarial(problem.predict(x_adv, draw), y) for draw in range(1, 6)])
        )

    assert share(APGD(steps=50, loss="margin")) < 0.85
    assert share(APGD(steps=50, loss="margin", early_stop=False)) > 0.95


@pytest.mark.parametrize("attack", [APGD, PGD])
def test_more_draws_are_no_more_to_compile(attack: type[APGD | PGD]) -> None:
    """The start and every draw of every step go through one compiled function."""
    traced: list[tf.Tensor] = []

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        traced.append(x)
        return tf.stack([x[:, 0], -x[:, 1]], axis=1)

    x, y = np.ones((3, 2), np.float32), np.zeros(3, np.int64)
    for eot in (1, 5):
        attack(steps=4, eot=eot)(AttackProblem(outputs, Untargeted(), "linf", wide([1.0, 1.0])), x, y, eps=0.1, seed=0)
    once = [each for each in traced if not hasattr(each, "numpy")]
    assert len(once) == 2


@by_norm
@pytest.mark.parametrize("attack", [APGD(steps=30), APGDT(steps=30)], ids=["ce", "targeted"])
def test_a_targeted_attack_hits_its_target(threats: Callable[..., Threat], norm: Norm, attack: Attack) -> None:
    threat = threats(IMAGE, norm)
    problem, y = AttackProblem(threat.problem.outputs, Targeted(), norm, PIXELS), threat.case.test.y
    for shift in (1, 2):
        wanted = (y + shift) % 3
        assert broken(problem, attack, threat.case.test.x, wanted, {"linf": 0.5, "l2": 3.0}[norm]).mean() >= 0.95


@by_norm
def test_numbers_are_driven_to_both_sides(norm: Norm) -> None:
    """Uphill, the error soon stays within the tolerance; only the way down leads out."""

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.minimum(x[:, :1], 0.1 * x[:, :1] + 0.54)

    problem = AttackProblem(outputs, Tolerance(0.7), norm, wide([1.0]))
    x, y = np.full((64, 1), 0.3, np.float32), np.zeros(64, np.float32)
    assert broken(problem, APGDT(steps=20), x, y, 1.2).all()
    assert not broken(problem, APGD(steps=20), x, y, 1.2).all()
    assert not broken(problem, APGDT(steps=20), x, y, 0.9).any()


@pytest.mark.parametrize("attack", [APGD(steps=5), APGDT(steps=5, targets=1)], ids=["ce", "targeted"])
@by_norm
def test_where_nothing_leads_anywhere_nothing_breaks(norm: Norm, attack: Attack) -> None:
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, kernel_initializer="zeros")])
    network.set_weights([np.zeros((3, 4), np.float32), np.float32([2, 1, 0, -1])])
    problem, y = AttackProblem(of_network(network), Untargeted(), norm, wide([1.0, 1.0, 0.0])), np.zeros(6, np.int64)
    x_adv = attack(problem, np.zeros((6, 3), np.float32), y, eps=0.5, seed=0)
    assert np.isfinite(x_adv).all()


def test_more_starts_break_more(threats: Callable[..., Threat]) -> None:
    threat = threats(IMAGE, "linf")
    x, y = threat.case.test.x, threat.case.test.y
    once = broken(threat.problem, APGD(steps=20), x, y, 0.2)
    often = broken(threat.problem, Restarts(APGD(steps=20), 4), x, y, 0.2)
    assert np.all(often >= once)

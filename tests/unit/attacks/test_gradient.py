"""What the attacks achieve, beside what they may not do."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Targeted, Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD, Restarts, bim, corner, fgsm, loss_gradient
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import PIXELS, Bounds, Floats, Norm
from tests.support.threats import ATTACKS, NORMS, Threat
from tests.support.tiny import IMAGE, NUMBER, TABLE

# Large enough to break some rows of each tiny task, not all.
EPS: dict[str, dict[Norm, float]] = {
    IMAGE: {"linf": 0.25, "l2": 1.2},
    TABLE: {"linf": 0.2, "l2": 0.25},
    NUMBER: {"linf": 0.4, "l2": 0.5},
}


def losses(threat: Threat, x: Floats) -> np.ndarray:
    outputs = threat.problem.outputs(tf.constant(x), tf.zeros(2, tf.int32))
    return threat.problem.criterion.loss(outputs, tf.constant(threat.case.test.y)).numpy()


def broken(threat: Threat, x: Floats) -> float:
    return float(threat.problem.criterion.is_adversarial(threat.case.network(x).numpy(), threat.case.test.y).mean())


def test_a_small_step_up_the_gradient_lowers_no_loss(threat: Threat) -> None:
    x, y = threat.case.test.x, threat.case.test.y
    before = losses(threat, x)
    after = losses(threat, fgsm()(threat.problem, x, y, eps=1e-3, seed=0))
    assert np.all(after >= before - 1e-5 * np.maximum(1, before))
    gradient = loss_gradient(threat.problem, tf.constant(x), tf.constant(y), tf.zeros(2, tf.int32)).numpy()
    movable = np.abs(gradient * threat.problem.bounds.scale).reshape(len(x), -1).max(axis=1) > 1e-2
    assert np.all(after[movable] > before[movable])


def test_more_effort_breaks_more(threat: Threat) -> None:
    x, y, eps = threat.case.test.x, threat.case.test.y, EPS[threat.case.name][threat.problem.norm]
    names = ("noise", "fgsm", "pgd")
    shares = {name: broken(threat, ATTACKS[name](threat.problem, x, y, eps=eps, seed=0)) for name in names}
    strong = broken(threat, PGD(steps=20)(threat.problem, x, y, eps=eps, seed=0))
    assert broken(threat, x) <= shares["noise"] < strong
    assert shares["pgd"] <= strong + 0.02
    # A number can be driven to either side, and one start may choose the worse.
    assert shares["fgsm"] <= strong + (0.02 if threat.case.schema.labels else 0.15)
    assert broken(threat, PGD(steps=20)(threat.problem, x, y, eps=3 * eps, seed=0)) >= strong


@pytest.mark.parametrize("norm", NORMS)
def test_a_targeted_attack_hits_its_target(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    threat = threats(IMAGE, norm)
    problem = AttackProblem(threat.problem.outputs, Targeted(), norm, PIXELS)
    x, y = threat.case.test.x, threat.case.test.y
    for shift in (1, 2):
        wanted = (y + shift) % 3
        x_adv = PGD(steps=30)(problem, x, wanted, eps={"linf": 0.5, "l2": 3.0}[norm], seed=0)
        assert Targeted().is_adversarial(threat.case.network(x_adv).numpy(), wanted).mean() >= 0.95


def linear(weights: list[list[float]]) -> keras.Model:
    kernel = np.float32(weights)
    network = keras.Sequential([keras.Input((len(kernel),)), keras.layers.Dense(kernel.shape[1], use_bias=False)])
    network.set_weights([kernel])
    return network


@pytest.mark.parametrize("norm", NORMS)
def test_against_a_line_the_best_attack_is_known(norm: Norm) -> None:
    """The margin of a linear model falls by eps times the dual norm of its weights, and no further."""
    network, eps = linear([[3.0, 0.0], [0.0, 1.0], [-2.0, 0.0]]), 0.1
    bounds = Bounds(np.full(3, -9, np.float32), np.full(3, 9, np.float32), np.float32([1.0, 2.0, 0.5]))
    problem = AttackProblem(of_network(network), Untargeted(), norm, bounds)
    x, y = np.float32([[1, 0.2, 0.1], [0.5, 0.1, -0.4]]), np.array([0, 0])
    slope = np.array([3.0, -1.0, -2.0]) * bounds.scale
    steepest = np.abs(slope).sum() if norm == "linf" else np.linalg.norm(slope)
    for attack in (fgsm(), PGD(steps=3, random_start=False), PGD(steps=40, step_size=0.5)):
        x_adv = network(attack(problem, x, y, eps=eps, seed=0)).numpy()
        margin = network(x).numpy() @ [1, -1] - x_adv @ [1, -1]
        assert margin == pytest.approx(eps * steepest, rel=1e-3)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("margin", [4.0, 40.0, 70.0], ids=str)
def test_a_model_that_is_sure_of_itself_hides_no_gradient(norm: Norm, margin: float) -> None:
    """The same boundary, whatever the logits are multiplied by: an attack that stops here measures nothing."""
    network = linear([[margin, -margin], [0.0, 0.0]])
    x, y = np.float32([[0.5, 0.5]]), np.array([0])
    problem = AttackProblem(
        of_network(network), Untargeted(), norm, Bounds(np.float32(-1), np.float32(1), np.float32(1))
    )
    x_adv = PGD(steps=10, random_start=False)(problem, x, y, eps=0.6, seed=0)
    assert x_adv[0, 0] < 0


def test_averaging_over_draws_sees_through_noise() -> None:
    """A model that adds a random slope: one draw's gradient misleads, the mean of many does not."""
    network = linear([[0.01, -0.01], [0.0, 0.0]])

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        slope = tf.random.stateless_normal((1, 2), seed) * [[0.02, 0.0]]
        return network(x) + tf.reduce_sum(slope * x, axis=1, keepdims=True) * [[1.0, -1.0]]

    bounds = Bounds(np.float32(-9), np.float32(9), np.float32(1))
    problem, x, y = (
        AttackProblem(outputs, Untargeted(), "l2", bounds),
        np.zeros((40, 2), np.float32) + 1,
        np.zeros(40, int),
    )
    right = {}
    for eot in (1, 24):
        attack = PGD(steps=1, step_size=1.0, random_start=False, eot=eot)
        x_adv = np.concatenate([attack(problem, x[i : i + 1], y[i : i + 1], eps=1.0, seed=i) for i in range(40)])
        right[eot] = float((x_adv[:, 0] < 1).mean())
    assert right[1] < 0.85 < 0.95 < right[24]


def test_numbers_are_driven_out_of_tolerance_on_both_sides(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(NUMBER, "linf")
    x = threat.case.test.x
    x_adv = PGD(steps=20)(threat.problem, x, threat.case.test.y, eps=0.6, seed=0)
    change = threat.case.network(x_adv).numpy()[:, 0] - threat.case.test.y
    assert (change > 60).any()
    assert (change < -60).any()


BOWL, PEAK = np.float32([1.0, 4.0, 2.0]), np.float32([0.37, -0.21, 0.5])
UNITS = Bounds(np.full(3, -99, np.float32), np.full(3, 99, np.float32), np.float32([1.0, 0.5, 0.0]))


@functools.cache
def bowl(norm: Norm) -> AttackProblem:
    """Its margin rises towards a peak; its gradient is known. Compiled once for each attack."""

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        far = tf.reduce_sum(BOWL * tf.square(x - PEAK), axis=1)
        return tf.stack([1.0 + far, tf.zeros_like(far)], axis=1)

    return AttackProblem(outputs, Untargeted(), norm, UNITS)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("momentum", [0.5, 1.0])
def test_momentum_adds_up_gradients_of_mean_size_1(norm: Norm, momentum: float) -> None:
    """The paper's rule, written out for two steps and more."""
    x, eps, steps, share = np.zeros((1, 3), np.float32), 0.5, 6, 0.3
    expected, direction, scale = x.copy(), np.zeros(3, np.float32), UNITS.scale
    for _ in range(steps):
        gradient = -2 * BOWL * (expected[0] - PEAK)
        direction = momentum * direction + gradient / np.abs(gradient * scale).mean()
        unit = direction * scale
        unit = np.sign(unit) if norm == "linf" else unit / np.linalg.norm(unit)
        change = expected[0] + eps * share * unit * scale - x[0]
        size = distance(change[None], norm, UNITS)[0]
        expected[0] = x[0] + (
            np.clip(change, -eps * scale, eps * scale) if norm == "linf" else change * min(1, eps / size)
        )
    attack = PGD(steps=steps, step_size=share, random_start=False, momentum=momentum, loss="margin")
    assert np.allclose(attack(bowl(norm), x, np.array([0]), eps=eps, seed=0), expected, atol=1e-5)


def test_without_a_gradient_momentum_stays_at_rest() -> None:
    flat = AttackProblem(lambda x, seed: 0.0 * x[:, :2] + [2.0, 0.0], Untargeted(), "linf", UNITS)
    x, y = np.ones((3, 3), np.float32), np.zeros(3, np.int64)
    x_adv = PGD(steps=4, momentum=1.0, random_start=False)(flat, x, y, eps=0.1, seed=0)
    assert np.array_equal(x_adv, x)


def test_every_step_to_a_corner() -> None:
    """Small gradient or large, FGSM repeated goes to a corner; BIM gets there by steps that add up to eps."""
    x, y, eps = np.zeros((1, 3), np.float32), np.array([0]), 0.1
    ends = {steps: corner(steps)(bowl("linf"), x, y, eps=eps, seed=0)[0] for steps in (1, 2, 3)}
    assert ends[1] == pytest.approx([eps, -eps / 2, 0])
    assert np.allclose([np.abs(end) for end in ends.values()], [eps, eps / 2, 0])
    assert np.array_equal(ends[1], fgsm()(bowl("linf"), x, y, eps=eps, seed=0)[0])
    for steps in (1, 4):
        assert bim(steps)(bowl("linf"), x, y, eps=eps, seed=0)[0] == pytest.approx(ends[1], abs=1e-6)
    # Beyond the peak the corner is the wrong one: the next step goes to the opposite.
    wide = [corner(steps)(bowl("linf"), x, y, eps=1.0, seed=0)[0] for steps in (1, 2)]
    assert np.array_equal(wide[1], -wide[0])


def test_rows_already_won_are_left_alone(threat: Threat) -> None:
    x, y, eps = threat.case.test.x, threat.case.test.y, EPS[threat.case.name][threat.problem.norm]
    plain = PGD(steps=20)(threat.problem, x, y, eps=eps, seed=0)
    stopped = PGD(steps=20, early_stop=True)(threat.problem, x, y, eps=eps, seed=0)
    adversarial, soon = (
        threat.problem.criterion.is_adversarial(threat.case.network(x_adv).numpy(), y) for x_adv in (plain, stopped)
    )
    assert np.all(soon >= adversarial), "a row was lost by stopping"
    assert np.mean(soon != adversarial) <= 0.05
    assert np.allclose(stopped[~soon], plain[~soon], rtol=1e-4, atol=1e-5)
    assert not np.allclose(stopped[soon], plain[soon])


def test_more_starts_on_the_rows_that_stand(threat: Threat) -> None:
    x, y, eps = threat.case.test.x, threat.case.test.y, EPS[threat.case.name][threat.problem.norm]
    attack = PGD(steps=2, step_size=0.3)
    once = attack(threat.problem, x, y, eps=eps, seed=5)
    assert np.array_equal(Restarts(attack, 1)(threat.problem, x, y, eps=eps, seed=5), once)
    often = Restarts(attack, 4)(threat.problem, x, y, eps=eps, seed=5)
    adversarial = threat.problem.criterion.is_adversarial(threat.case.network(once).numpy(), y)
    assert np.array_equal(often[adversarial], once[adversarial]), "what was won is not tried again"
    assert not np.isclose(often[~adversarial], once[~adversarial]).all()
    assert broken(threat, often) >= adversarial.mean()


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_no_loss_of_ratios_is_blind_where_cross_entropy_is(classes: int) -> None:
    """Logits so large that float32 rounds the probability to 1: only the class that loses nothing leads astray."""
    rng = np.random.default_rng(classes)
    kernel = 1e4 * rng.normal(size=(5, classes)).astype(np.float32)
    bounds = Bounds(np.full(5, -9, np.float32), np.full(5, 9, np.float32), np.ones(5, np.float32))
    problem = AttackProblem(lambda x, seed: tf.matmul(x, kernel), Untargeted(), "linf", bounds)
    x = rng.normal(size=(100, 5)).astype(np.float32)
    y = (x @ kernel).argmax(axis=1)
    adversarial = {
        loss: problem.criterion.is_adversarial(
            PGD(steps=20, loss=loss)(problem, x, y, eps=0.3, seed=0) @ kernel, y
        ).mean()
        for loss in ("cross_entropy", "dlr", "margin")
    }
    assert adversarial["cross_entropy"] < 0.3 < min(adversarial["dlr"], adversarial["margin"])


@pytest.mark.parametrize("attack", [PGD(steps=20, early_stop=True, random_start=False), APGD(steps=20)], ids=repr)
def test_a_win_between_whole_numbers_is_no_win(attack: Attack) -> None:
    """The boundary lies 1.5 away and eps is 2.9: whoever rests at 1.6 is rounded back to 1."""
    network = linear([[1.0, -1.0]])
    bounds = Bounds(np.float32([-9]), np.float32([9]), np.float32([1]), integer=np.array([True]))
    x, y = np.float32([[1.0]]), np.array([0])
    problem = AttackProblem(lambda x, seed: network(x + 0.5), Untargeted(), "linf", bounds)
    x_adv = attack(problem, x, y, eps=2.9, seed=3)
    assert x_adv[0, 0] == -1.0

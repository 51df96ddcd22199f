"""What the attacks achieve, beside what they may not do."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.contract import Problem, of_network
from redoubt.attacks.criteria import Targeted, Untargeted
from redoubt.attacks.gradient import PGD, fgsm, loss_gradient
from redoubt.params import Norm
from redoubt.tasks import PIXELS, Bounds, Floats
from tests.tiny import IMAGE, NUMBER, TABLE
from tests.unit.attacks.threats import ATTACKS, NORMS, Threat

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
    return float(threat.problem.criterion.won(threat.case.network(x).numpy(), threat.case.test.y).mean())


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
    shares = {name: broken(threat, ATTACKS[name](threat.problem, x, y, eps=eps, seed=0)) for name in ATTACKS}
    strong = broken(threat, PGD(steps=20)(threat.problem, x, y, eps=eps, seed=0))
    assert broken(threat, x) <= shares["noise"] < strong
    assert shares["pgd"] <= strong + 0.02
    # A number can be driven to either side, and one start may choose the worse.
    assert shares["fgsm"] <= strong + (0.02 if threat.case.schema.labels else 0.15)
    assert broken(threat, PGD(steps=20)(threat.problem, x, y, eps=3 * eps, seed=0)) >= strong


@pytest.mark.parametrize("norm", NORMS)
def test_a_targeted_attack_hits_its_target(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    threat = threats(IMAGE, norm)
    problem = Problem(threat.problem.outputs, Targeted(), norm, PIXELS)
    x, y = threat.case.test.x, threat.case.test.y
    for shift in (1, 2):
        wanted = (y + shift) % 3
        moved = PGD(steps=30)(problem, x, wanted, eps={"linf": 0.5, "l2": 3.0}[norm], seed=0)
        assert Targeted().won(threat.case.network(moved).numpy(), wanted).mean() >= 0.95


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
    problem = Problem(of_network(network), Untargeted(), norm, bounds)
    x, y = np.float32([[1, 0.2, 0.1], [0.5, 0.1, -0.4]]), np.array([0, 0])
    slope = np.array([3.0, -1.0, -2.0]) * bounds.scale
    steepest = np.abs(slope).sum() if norm == "linf" else np.linalg.norm(slope)
    for attack in (fgsm(), PGD(steps=3, random_start=False), PGD(steps=40, step_size=0.5)):
        moved = network(attack(problem, x, y, eps=eps, seed=0)).numpy()
        margin = network(x).numpy() @ [1, -1] - moved @ [1, -1]
        assert margin == pytest.approx(eps * steepest, rel=1e-3)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("margin", [4.0, 40.0, 70.0], ids=str)
def test_a_model_that_is_sure_of_itself_hides_no_gradient(norm: Norm, margin: float) -> None:
    """The same boundary, whatever the logits are multiplied by: an attack that stops here measures nothing."""
    network = linear([[margin, -margin], [0.0, 0.0]])
    x, y = np.float32([[0.5, 0.5]]), np.array([0])
    problem = Problem(of_network(network), Untargeted(), norm, Bounds(np.float32(-1), np.float32(1), np.float32(1)))
    moved = PGD(steps=10, random_start=False)(problem, x, y, eps=0.6, seed=0)
    assert moved[0, 0] < 0


def test_averaging_over_draws_sees_through_noise() -> None:
    """A model that adds a random slope: one draw's gradient misleads, the mean of many does not."""
    network = linear([[0.01, -0.01], [0.0, 0.0]])

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        slope = tf.random.stateless_normal((1, 2), seed) * [[0.02, 0.0]]
        return network(x) + tf.reduce_sum(slope * x, axis=1, keepdims=True) * [[1.0, -1.0]]

    bounds = Bounds(np.float32(-9), np.float32(9), np.float32(1))
    problem, x, y = Problem(outputs, Untargeted(), "l2", bounds), np.zeros((40, 2), np.float32) + 1, np.zeros(40, int)
    right = {}
    for eot in (1, 16):
        attack = PGD(steps=1, step_size=1.0, random_start=False, eot=eot)
        moved = np.concatenate([attack(problem, x[i : i + 1], y[i : i + 1], eps=1.0, seed=i) for i in range(40)])
        right[eot] = float((moved[:, 0] < 1).mean())
    assert right[1] < 0.85 < 0.95 < right[16]


def test_numbers_are_driven_out_of_tolerance_on_both_sides(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(NUMBER, "linf")
    x = threat.case.test.x
    moved = PGD(steps=20)(threat.problem, x, threat.case.test.y, eps=0.6, seed=0)
    change = threat.case.network(moved).numpy()[:, 0] - threat.case.test.y
    assert (change > 60).any()
    assert (change < -60).any()

"""Lines through a network: what is known on a linear model, and the course's picture on a trained one."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import Bounds, Norm
from redoubt.scenarios.landscape import along, direction_toward, gradient_direction, random_direction
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE

BOX = Bounds(np.full(3, -9, np.float32), np.full(3, 9, np.float32), np.float32([1.0, 2.0, 0.0]))
KERNEL = np.float32([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
INPUT = np.float32([1.0, 0.5, 0.0])


def linear(norm: Norm) -> AttackProblem:
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    network.set_weights([KERNEL])
    return AttackProblem(of_network(network), Untargeted(), norm, BOX)


@pytest.mark.parametrize("norm", NORMS)
def test_on_a_linear_model_the_margin_is_a_line_whose_slope_is_known(norm: Norm) -> None:
    problem = linear(norm)
    far = np.linspace(-1, 1, 9, dtype=np.float32)
    walk = along(problem, INPUT, 0, gradient_direction(problem, INPUT, 0), far)
    slope = np.array([-2.0, 1.0, -1.0]) * BOX.scale
    steepest = np.abs(slope).sum() if norm == "linf" else np.linalg.norm(slope)
    assert walk.margin == pytest.approx(-1.5 + far * steepest, abs=1e-5)
    assert walk.loss == pytest.approx(np.log1p(np.exp(walk.margin)), abs=1e-5)
    assert walk.answers.tolist() == (walk.margin > 0).astype(int).tolist()
    assert walk.outputs.shape == (9, 2)


@pytest.mark.parametrize("norm", NORMS)
def test_directions_are_of_unit_length_and_touch_nothing_that_must_not_change(norm: Norm) -> None:
    problem = linear(norm)
    x_adv = np.float32([3.0, -1.0, 0.0])
    for direction in (
        random_direction(problem, INPUT, seed=0),
        gradient_direction(problem, INPUT, 0),
        direction_toward(problem, INPUT, x_adv),
    ):
        assert distance(direction[None], norm, BOX)[0] == pytest.approx(1.0, rel=1e-5)
        assert direction[2] == 0
    back = direction_toward(problem, INPUT, x_adv) * distance((x_adv - INPUT)[None], norm, BOX)[0]
    assert np.allclose(INPUT + back, x_adv)
    assert not np.array_equal(random_direction(problem, INPUT, seed=0), random_direction(problem, INPUT, seed=1))


def test_the_path_ends_at_the_bounds() -> None:
    problem = linear("linf")
    walk = along(problem, INPUT, 0, gradient_direction(problem, INPUT, 0), np.float32([20.0, 40.0]))
    assert walk.outputs[0] == pytest.approx(walk.outputs[1])
    assert walk.outputs[0] == pytest.approx(np.float32([-9.0, 9.0, 0.0]) @ KERNEL)


@pytest.mark.parametrize("norm", NORMS)
def test_the_loss_rises_far_more_along_an_attack_than_along_chance(
    threats: Callable[[str, Norm], Threat], norm: Norm
) -> None:
    threat = threats(IMAGE, norm)
    x, y, eps = threat.case.test.x[:12], threat.case.test.y[:12], {"linf": 0.4, "l2": 2.0}[norm]
    x_adv = PGD(steps=20, loss="margin")(threat.problem, x, y, eps=eps, seed=0)
    far = np.float32([0.0, eps])
    ends = []
    for row in range(len(x)):
        ways = (
            direction_toward(threat.problem, x[row], x_adv[row]),
            gradient_direction(threat.problem, x[row], y[row]),
            random_direction(threat.problem, x[row], seed=row),
        )
        walks = [along(threat.problem, x[row], y[row], way, far) for way in ways]
        assert {float(walk.loss[0]) for walk in walks} == {float(walks[0].loss[0])}
        ends.append([(walk.loss[-1], walk.margin[-1], walk.answers[-1] != y[row]) for walk in walks])
    loss, margin, flipped = np.array(ends).transpose(2, 1, 0)
    assert np.all(loss[0] > loss[2])
    assert np.all(margin[1] > margin[2])
    assert flipped[0].mean() > 0.9
    assert flipped[2].mean() < 0.4


def test_what_cannot_be_walked_is_refused() -> None:
    problem = linear("l2")
    with pytest.raises(ValueError, match=r"direction has shape \(2,\); the input has \(3,\)"):
        along(problem, INPUT, 0, np.float32([1.0, 0.0]), np.float32([0.0]))
    with pytest.raises(ValueError, match="has l2 length 2; expected 1"):
        along(problem, INPUT, 0, np.float32([2.0, 0.0, 0.0]), np.float32([0.0]))
    with pytest.raises(ValueError, match="the attack changed nothing"):
        direction_toward(problem, INPUT, INPUT)
    flat = AttackProblem(lambda x, seed: tf.zeros((tf.shape(x)[0], 2)) * x[:, :2], Untargeted(), "l2", BOX)
    with pytest.raises(ValueError, match="the gradient is 0"):
        gradient_direction(flat, INPUT, 0)

"""The course's loss and its descent, on linear models whose best attack is known."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Targeted, Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import fgsm
from redoubt.attacks.core.losses import Loss
from redoubt.attacks.core.problem import AttackError, AttackProblem, of_network
from redoubt.core.types import PIXELS, Bounds, Norm
from redoubt.scenarios.course_attack import GradientDescent, TowardFalse, same_length
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE

KERNEL = np.float32([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [0.5, -1.0, 2.0], [0.0, 0.3, 0.0]])
BOX = Bounds(np.full(4, -9, np.float32), np.full(4, 9, np.float32), np.float32([1.0, 2.0, 0.5, 0.0]))
X = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
TRUE = (X @ KERNEL).argmax(axis=1)
PAIRS = np.stack([TRUE, (TRUE + 1) % 3], axis=1)


def linear() -> keras.Model:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, use_bias=False)])
    network.set_weights([KERNEL])
    return network


def test_the_loss_is_the_courses_and_of_cross_entropies_the_normalizer_cancels() -> None:
    logits, rows = X @ KERNEL, np.arange(len(X))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    course = -np.log(probabilities[rows, PAIRS[:, 1]]) + np.log(probabilities[rows, PAIRS[:, 0]])
    loss = TowardFalse().loss(tf.constant(logits), tf.constant(PAIRS)).numpy()
    assert -loss == pytest.approx(course, abs=1e-4)
    assert loss == pytest.approx(logits[rows, PAIRS[:, 1]] - logits[rows, PAIRS[:, 0]], abs=1e-4)


@pytest.mark.parametrize("kind", ["cross_entropy", "margin", "dlr"])
def test_every_kind_of_loss_rises_toward_the_false_class(kind: Loss) -> None:
    before = tf.constant([[3.0, 0.0, 1.0]])
    after = tf.constant([[2.0, 2.5, 1.0]])
    y = tf.constant([[0, 1]])
    assert TowardFalse().loss(after, y, kind) > TowardFalse().loss(before, y, kind)


def test_it_is_won_where_the_false_class_leads_and_the_margin_says_so() -> None:
    logits = np.float32([[3, 1, 0], [1, 3, 0], [1, 0, 3]])
    y = np.array([[0, 1]] * 3)
    assert TowardFalse().is_adversarial(logits, y).tolist() == [False, True, False]
    assert TowardFalse().margin(tf.constant(logits), tf.constant(y)).numpy().tolist() == [-2, 2, -3]


@pytest.mark.parametrize("norm", NORMS)
def test_on_a_linear_model_it_reaches_the_false_class_inside_the_ball(norm: Norm) -> None:
    problem = AttackProblem(of_network(linear()), TowardFalse(), norm, BOX)
    x_adv = GradientDescent(steps=60, step_size=0.2)(problem, X, PAIRS, eps=4.0, seed=0)
    adversarial = (
        TowardFalse().is_adversarial(X @ KERNEL, PAIRS).mean(),
        TowardFalse().is_adversarial(x_adv @ KERNEL, PAIRS).mean(),
    )
    assert adversarial[0] == 0
    assert adversarial[1] >= 0.9
    assert distance(x_adv - X, norm, BOX).max() <= 4.0 * (1 + 1e-5)
    assert np.array_equal(x_adv[:, 3], X[:, 3]), "an input that must not change did"


@pytest.mark.parametrize("norm", NORMS)
def test_on_a_linear_model_the_fall_of_the_loss_is_known(norm: Norm) -> None:
    """L falls by eps times the dual norm of the difference of the two classes' weights, and no further."""
    problem = AttackProblem(of_network(linear()), TowardFalse(), norm, BOX)
    x_adv = GradientDescent(steps=400, step_size=0.2)(problem, X, PAIRS, eps=0.3, seed=0)
    slope = (KERNEL[:, PAIRS[:, 1]] - KERNEL[:, PAIRS[:, 0]]).T * BOX.scale
    steepest = np.abs(slope).sum(axis=1) if norm == "linf" else np.linalg.norm(slope, axis=1)
    rise = np.take_along_axis((x_adv - X) @ KERNEL, PAIRS, axis=1) @ [-1.0, 1.0]
    assert rise == pytest.approx(0.3 * steepest, rel=1e-3)


def test_one_small_step_is_the_gradient_as_it_is() -> None:
    problem = AttackProblem(of_network(linear()), TowardFalse(), "l2", BOX)
    x_adv = GradientDescent(steps=1, step_size=0.01)(problem, X, PAIRS, eps=1.0, seed=0)
    gradient = (KERNEL[:, PAIRS[:, 1]] - KERNEL[:, PAIRS[:, 0]]).T
    assert np.allclose(x_adv - X, 0.01 * np.square(BOX.scale) * gradient, atol=1e-6)


def test_a_huge_learning_rate_is_fgsm() -> None:
    """As the course puts it: FGSM is one step so long that the fix ends in a corner."""
    problem = AttackProblem(of_network(linear()), Untargeted(), "linf", BOX)
    one = GradientDescent(steps=1, step_size=1e9)(problem, X, TRUE, eps=0.2, seed=0)
    assert np.allclose(one, fgsm()(problem, X, TRUE, eps=0.2, seed=0), atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_on_a_network_it_reaches_the_false_class(threats: Callable[[str, Norm], Threat], norm: Norm) -> None:
    threat = threats(IMAGE, norm)
    x, true = threat.case.test.x, threat.case.test.y
    pairs = np.stack([true, (true + 1) % 3], axis=1)
    problem = AttackProblem(threat.problem.outputs, TowardFalse(), norm, PIXELS)
    x_adv = GradientDescent(steps=100, step_size=1.0)(problem, x, pairs, eps={"linf": 0.5, "l2": 3.0}[norm], seed=0)
    assert distance(x_adv - x, norm, PIXELS).max() <= {"linf": 0.5, "l2": 3.0}[norm] * (1 + 1e-5)
    assert TowardFalse().is_adversarial(threat.case.network(x_adv).numpy(), pairs).mean() >= 0.8


@pytest.mark.parametrize(("sure", "moves"), [(1.0, True), (60.0, False)], ids=["unsure", "sure"])
def test_where_the_network_is_sure_only_the_courses_loss_has_a_slope(sure: float, moves: bool) -> None:
    """-C(y', y_true) is flat there; the false class's term is not, whatever the logits are multiplied by."""
    network = linear()
    network.set_weights([sure * KERNEL])
    x = np.float32([[2.0, 0.0, -0.5, 0.0]])
    for criterion, y, moved_at_all in (
        (Untargeted(), np.array([0]), moves),
        (TowardFalse(), np.array([[0, 2]]), True),
        (Targeted(), np.array([2]), True),
    ):
        problem = AttackProblem(of_network(network), criterion, "l2", BOX)
        x_adv = GradientDescent(steps=20)(problem, x, y, eps=0.5, seed=0)
        assert bool(distance(x_adv - x, "l2", BOX)[0] > 0.05) == moved_at_all, criterion


def test_a_false_class_that_is_none_is_refused() -> None:
    problem = AttackProblem(of_network(linear()), TowardFalse(), "linf", BOX)
    with pytest.raises(AttackError, match="labels span 0..3; the model has classes 0..2"):
        GradientDescent(steps=1)(problem, X[:1], np.array([[0, 3]]), eps=0.1, seed=0)


@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 9, 3)], ids=str)
@pytest.mark.parametrize("length", [0.1, 1.0, 3.0], ids=str)
def test_the_same_length_spread_or_local(shape: tuple[int, ...], length: float) -> None:
    x = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    pair = same_length(x, length)
    for name, x_adv in (("spread", pair.spread), ("local", pair.local)):
        change = (x_adv - x).astype(np.float64)
        assert np.linalg.norm(change) == pytest.approx(length, rel=1e-4)
        assert pair.l2[name] == pytest.approx(np.linalg.norm(change), rel=1e-5)
        assert pair.linf[name] == pytest.approx(np.abs(change).max(), rel=1e-5)
        PIXELS.check(x_adv)
    assert (pair.spread != x).all()
    changed = (pair.local != x).any(axis=2)
    assert changed[-1, -1]
    assert changed.sum() <= max(1, 4 * length**2 + 4 * length)
    assert pair.linf["local"] > 1.3 * pair.linf["spread"]


@pytest.mark.parametrize(
    ("shape", "length", "says"),
    [((8, 8), 1.0, r"shape \(8, 8\); expected \(height"), ((8, 8, 1), 0.0, "length is 0"), ((8, 8, 1), 9.0, "at most")],
    ids=["table", "nothing", "too-long"],
)
def test_a_length_that_cannot_be_drawn_is_refused(shape: tuple[int, ...], length: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        same_length(np.full(shape, 0.5, np.float32), length)

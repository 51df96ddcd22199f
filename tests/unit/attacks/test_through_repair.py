"""The gradient through the repair: equal to finite differences of what a repair makes, and of use to an attack."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.core.through_repair import through_repair
from redoubt.attacks.frank_wolfe import FrankWolfe
from redoubt.bundle.relations.table import Relations
from redoubt.core.types import Bounds, Floats

PLACES = {"loan": 0, "term": 1, "rate": 2, "total": 3, "free": 4}
CHAIN = ("total == rate * term + sqrt(free)", "rate == loan / term - -free ** 2 + max(free, 1) * abs(term)")
BOUNDS = Bounds(np.full(5, -1e6, np.float32), np.full(5, 1e6, np.float32), np.ones(5, np.float32))


def related(*lines: str, scale: Floats | None = None) -> Bounds:
    return replace(BOUNDS, scale=BOUNDS.scale if scale is None else scale, relations=Relations.of(lines, PLACES))


def followed(x: Floats) -> Floats:
    """The two columns that the chain sets, computed from the others."""
    loan, term, _, _, free = x.astype(np.float64).T
    rate = loan / term + free**2 + np.maximum(free, 1) * np.abs(term)
    return np.stack([loan, term, rate, rate * term + np.sqrt(free), free], axis=1)


def through(x: Floats, gradient: Floats, bounds: Bounds) -> Floats:
    found: Floats = tf.function(lambda a, b: through_repair(a, b, bounds))(
        tf.constant(x), tf.constant(gradient)
    ).numpy()
    return found


def test_it_is_the_derivative_of_what_a_repair_makes() -> None:
    rng = np.random.default_rng(0)
    x = followed(rng.uniform(1.5, 3, (20, 5))).astype(np.float32)
    gradient = rng.normal(size=x.shape).astype(np.float32)
    found = through(x, gradient, related(*CHAIN))
    assert (found[:, [2, 3]] == 0).all()
    for place in (0, 1, 4):
        step = np.zeros(5)
        step[place] = 1e-4
        ahead, back = followed(x + step), followed(x - step)
        rate = ((ahead - back) / 2e-4 * gradient).sum(axis=1)
        assert found[:, place] == pytest.approx(rate, rel=1e-3, abs=1e-3)


def test_what_is_not_set_by_a_repair_keeps_its_own() -> None:
    x = followed(np.random.default_rng(1).uniform(1.5, 3, (6, 5))).astype(np.float32)
    gradient = np.ones_like(x)
    assert through_repair(x, gradient, BOUNDS) is gradient
    for lines in (["loan <= total"], ["abs(rate) == total - 1"], ["term in [1, 2]"]):
        assert np.array_equal(through(x, gradient, related(*lines)), gradient)
    fixed = np.float32([1, 1, 0, 0, 1])
    assert np.array_equal(through(x, gradient, related(*CHAIN, scale=fixed)), gradient)
    # A row that breaks the equality owes it nothing; one where it has no slope is left alone.
    x[:3, 3] += 1
    found = through(x, gradient, related(CHAIN[0]))
    assert np.array_equal(found[:3], gradient[:3])
    assert (found[3:, 3] == 0).all()
    none = np.float32([[0, 0, 0, 0, 0]])
    assert np.isfinite(through(none, none + 1, related("rate == sqrt(free)"))).all()


def test_a_budget_is_spent_on_what_the_answer_follows_from() -> None:
    # The answer is by the rate alone; what costs is the loan, and to lower the rate by itself is repaired.
    scale = np.float32([10, 0, 1000, 0, 0])
    bounds = replace(related("rate == loan / term", scale=scale), lower=np.float32([1, 1, 0, -9, -9]))

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.stack([0.0 * x[:, 2] + 4.5, x[:, 2]], axis=1)

    x = np.float32([[50, 10, 5, 0, 0], [80, 10, 8, 0, 0]])
    problem = AttackProblem(outputs, Untargeted(), "l1", bounds)
    x_adv = FrankWolfe(steps=10)(problem, x, np.ones(2, np.int64), eps=1.0, seed=0)
    # The loan by 10 at most, hence the rate by 1.
    assert (x_adv[:, 2] < 4.5).tolist() == [True, False]

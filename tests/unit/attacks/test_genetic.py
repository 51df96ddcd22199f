"""The evolutionary search: within its budget, the same for an example whatever the others, better with more queries."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.problem import AttackError, AttackProblem
from redoubt.attacks.genetic import GeneticSearch
from redoubt.core.types import PIXELS, Norm
from tests.unit.attacks.test_relations import loans, problem


@pytest.mark.parametrize("queries", [1, 5, 21, 50, 101])
def test_no_example_costs_more_than_its_budget(queries: int) -> None:
    x = loans(40)
    y = problem("linf").predict(x).argmax(axis=1)
    found = GeneticSearch(queries=queries).count(problem("linf"), x, y, eps=0.5, seed=0)
    assert found.queries.max() <= queries
    assert found.queries.min() >= 1
    if queries <= 20:
        assert np.array_equal(found.x_adv, x)


def test_what_is_misclassified_costs_one_query() -> None:
    x = loans(40)
    wrong = 1 - problem("linf").predict(x).argmax(axis=1)
    found = GeneticSearch(queries=101).count(problem("linf"), x, wrong, eps=0.5, seed=0)
    assert (found.queries == 1).all()
    assert np.array_equal(found.x_adv, x)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_queries_leave_fewer(norm: Norm) -> None:
    x = loans(200)
    y = problem(norm).predict(x).argmax(axis=1)

    def left(queries: int) -> float:
        x_adv = GeneticSearch(queries=queries)(problem(norm), x, y, eps=0.8, seed=0)
        return float((problem(norm).predict(x_adv).argmax(axis=1) == y).mean())

    assert left(401) <= left(41) < 1.0
    assert left(401) < left(21)


def test_the_same_seed_finds_the_same() -> None:
    x = loans(30)
    y = problem("linf").predict(x).argmax(axis=1)
    first, again = (GeneticSearch(queries=61)(problem("linf"), x, y, eps=0.5, seed=3) for _ in range(2))
    assert np.array_equal(first, again)


def test_it_searches_inputs_of_any_shape() -> None:
    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(x, axis=[1, 2, 3]) - 0.5
        return tf.stack([-mean, mean], axis=1)

    x = np.full((6, 4, 4, 1), 0.45, np.float32)
    pictures = AttackProblem(outputs, Untargeted(), "linf", PIXELS)
    x_adv = GeneticSearch(queries=401)(pictures, x, np.zeros(6, np.int64), eps=0.1, seed=0)
    assert (pictures.predict(x_adv).argmax(axis=1) == 1).all()
    assert replace(pictures, norm="l2").predict(x).argmax(axis=1).max() == 0


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(AttackError, match="queries is 0"):
        GeneticSearch(queries=0)

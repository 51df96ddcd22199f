"""A number that takes one of few values (`term in [36, 60]`): every attack keeps to them, and reaches the others."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.base import Attack, AttackError, check_result
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import as_records, project
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.genetic import GeneticSearch
from redoubt.attacks.hopskipjump import HopSkipJump
from redoubt.attacks.square import Square
from redoubt.attacks.whole_steps import WholeSteps, hides_in_rounding
from redoubt.bundle.relations.table import Relations
from redoubt.core.types import Bounds, Floats, Norm
from redoubt.perturbable import perturbable
from tests.unit.attacks.test_relations import ATTACKS, BOUNDS, INTEGER, LINES, NAMES, PLACES, SCALE, loans, problem

TERM, TERMS = PLACES["term"], np.array([12, 24, 36, 60], np.float32)
LISTED = replace(BOUNDS, relations=Relations.of(("term in [12, 24, 36, 60]", *LINES), PLACES))


def of_terms(count: int, seed: int = 0) -> Floats:
    """Valid records with a valid term."""
    x = loans(count, seed)
    assert np.isin(x[:, TERM], TERMS).all()
    return x


def by_term(wanted: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Its class is 1 where the term is at most 3 away from a certain one, whatever else holds."""

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        score = 3.0 - tf.abs(x[:, TERM] - wanted)
        return tf.stack([-score, score], axis=1)

    return outputs


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_every_attack_keeps_to_the_listed_values(attack: Attack, norm: Norm) -> None:
    x, listed = of_terms(60), replace(problem(norm), bounds=LISTED, compiled={})
    y = listed.predict(x).argmax(axis=1)
    x_adv = attack(listed, x, y, eps=1.5, seed=0)
    assert np.isin(x_adv[:, TERM], TERMS).all()
    assert not LISTED.relations.broken(x, x_adv).any()  # type: ignore[union-attr]
    assert (x_adv != x).any(axis=1).mean() > 0.1


@pytest.mark.parametrize(
    "attack",
    [APGD(steps=20), Square(queries=60), GeneticSearch(queries=121), HopSkipJump(queries=300), WholeSteps()],
    ids=lambda attack: type(attack).__name__,
)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_next_value_is_reached_though_it_lies_beyond_a_step(attack: Attack, norm: Norm) -> None:
    x = of_terms(200)
    x = x[x[:, TERM] == 24]
    # A slope all the way to 36, which is one standard deviation from 24: no step of 20 comes so far at once.
    to_36 = AttackProblem(by_term(36.0), Untargeted(), norm, LISTED)
    x_adv = attack(to_36, x, np.zeros(len(x), np.int64), eps=1.02 if norm == "linf" else 2.5, seed=0)
    # Of large loans the installment cannot follow so far; one column by itself is then not enough.
    assert (x_adv[:, TERM] == 36).mean() > (0.2 if isinstance(attack, WholeSteps) else 0.5)
    none = attack(to_36, x, np.zeros(len(x), np.int64), eps=0.98, seed=0)
    assert (none[:, TERM] != 36).all()


def test_the_scorer_refuses_another_value() -> None:
    x = of_terms(20)
    x_adv = x.copy()
    x_adv[:, TERM] += 1
    x_adv[:, PLACES["installment"]] = x_adv[:, PLACES["loan"]] / x_adv[:, TERM]
    with pytest.raises(AttackError, match=r"broke the relation 'term in \[12, 24, 36, 60\]' in 20 of 20 examples"):
        check_result(x, x_adv, replace(problem("linf"), bounds=LISTED), 1000.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    eps=st.floats(0.0, 6.0),
    norm=st.sampled_from(["linf", "l2"]),
    listed=st.lists(st.sampled_from([6.0, 9.0, 18.0, 48.0, 70.0]), max_size=5, unique=True),
    immutable=st.sets(st.sampled_from(NAMES), max_size=4),
    whole=st.booleans(),
    first=st.booleans(),
)
def test_whatever_a_step_breaks_is_repaired_to_a_listed_value(
    seed: int, eps: float, norm: Norm, listed: list[float], immutable: set[str], *, whole: bool, first: bool
) -> None:
    rng = np.random.default_rng(seed)
    line = f"term in {[*TERMS.tolist(), *listed]}"
    relations = Relations.of((line, *LINES) if first else (*LINES, line), PLACES)
    scale = np.where([name not in immutable for name in NAMES], SCALE, np.float32(0))
    bounds = replace(BOUNDS, scale=scale, relations=relations, integer=INTEGER if whole else np.zeros_like(INTEGER))
    x, start = of_terms(12, seed), tf.constant(of_terms(12, seed))
    for _ in range(3):
        wild = start + (eps * SCALE * rng.standard_normal(x.shape)).astype(np.float32)
        start = project(tf.constant(x), wild, np.float32(eps), norm, bounds, start)
    x_adv = as_records(x, start.numpy(), eps, norm, bounds)
    assert np.isin(x_adv[:, TERM], [*TERMS, *listed]).all()
    check_result(x, x_adv, replace(problem(norm), bounds=bounds), eps)


def test_the_nearest_value_within_reach_is_taken() -> None:
    relations = Relations.of(("a in [0, 1, 4]",), {"a": 0})
    bounds = Bounds(np.zeros(1, np.float32), np.full(1, 9, np.float32), np.ones(1, np.float32), relations=relations)
    x = np.array([[1.0]] * 4 + [[2.0]], np.float32)
    x_adv = np.array([[2.4], [2.6], [0.4], [1.2], [2.5]], np.float32)
    assert as_records(x, x_adv, 9.0, "linf", bounds)[:, 0].tolist() == [1.0, 4.0, 0.0, 1.0, 2.5], "2 owes nothing"
    assert as_records(x, x_adv, 2.9, "linf", bounds)[:, 0].tolist() == [1.0, 1.0, 0.0, 1.0, 2.5]


def test_a_value_whose_neighbours_are_out_of_reach_cannot_change() -> None:
    x = of_terms(60)
    for eps, reached in ((0.9, ()), (1.0, (12, 24, 36)), (2.0, (12, 24, 36, 60))):
        assert np.array_equal(perturbable(x, LISTED, eps)[:, TERM], np.isin(x[:, TERM], reached))
    down = replace(LISTED, rises=np.array([name != "term" for name in NAMES]))
    assert np.array_equal(perturbable(x, down, 1.0)[:, TERM], np.isin(x[:, TERM], (24, 36)))
    assert hides_in_rounding(LISTED, "linf")
    assert not hides_in_rounding(BOUNDS, "linf")

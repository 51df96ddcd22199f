"""Relations between columns: whatever an attack finds keeps them, and without any nothing changes."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.apgd import APGD, APGDT
from redoubt.attacks.carlini_wagner import CarliniWagner
from redoubt.attacks.core.base import Attack, AttackError, check_result
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import as_records, distance, project
from redoubt.attacks.core.gradient import PGD, Restarts, bim
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.core.repair import keep_relations
from redoubt.attacks.ensemble import Ensemble
from redoubt.attacks.genetic import GeneticSearch
from redoubt.attacks.hopskipjump import HopSkipJump
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.attacks.whole_steps import WholeSteps
from redoubt.bundle.relations.table import Relations
from redoubt.core.types import Bounds, Floats, Norm

# Of a loan: amount, term in months, installment, open accounts, all accounts, two shares of the amount, income.
NAMES = ("loan", "term", "installment", "open", "total", "a", "b", "income")
PLACES = {name: place for place, name in enumerate(NAMES)}
LINES = (
    "installment == loan / term",
    "open <= total",
    "a + b <= loan",
    "installment <= 0.5 * income",
)
RELATIONS = Relations.of(LINES, PLACES)
INTEGER = np.array([name in ("term", "open", "total") for name in NAMES])
SCALE = np.array([4000, 12, 150, 3, 4, 2000, 2000, 900], np.float32)
BOUNDS = Bounds(
    lower=np.array([500, 6, 1, 0, 0, 0, 0, 200], np.float32),
    upper=np.array([40_000, 72, 7000, 40, 60, 40_000, 40_000, 20_000], np.float32),
    scale=SCALE,
    integer=INTEGER,
    relations=RELATIONS,
)
ATTACKS: list[Attack] = [
    PGD(steps=4),
    PGD(steps=6, early_stop=True, momentum=0.5),
    bim(3),
    Restarts(PGD(steps=2), 2),
    APGD(steps=6),
    APGDT(steps=4),
    CarliniWagner(steps=20, searches=2, learning_rate=0.05, constant=10.0),
    Noise(),
    Square(queries=20),
    GeneticSearch(queries=121),
    HopSkipJump(queries=120),
    WholeSteps(),
]


def loans(count: int, seed: int = 0) -> Floats:
    """Valid records."""
    rng = np.random.default_rng(seed)
    loan, term = rng.uniform(1000, 30_000, count), rng.choice([12, 24, 36, 60], count)
    installment = loan / term
    total = rng.integers(1, 40, count)
    a = rng.uniform(0, 0.5, count) * loan
    income = np.maximum(installment * rng.uniform(2.0, 6.0, count), 200)
    columns = [loan, term, installment, rng.integers(0, total + 1), total, a, (loan - a) * rng.uniform(0, 1, count)]
    x = np.stack([*columns, income], axis=1).astype(np.float32)
    return x[(x >= BOUNDS.lower).all(axis=1) & (x <= BOUNDS.upper).all(axis=1)]


@cache
def problem(norm: Norm) -> AttackProblem:
    """A linear model with a bend, over standardized features."""
    weights = tf.constant([[1.0, -1.0, 1.2, 0.6, -0.5, 0.9, -0.9, -1.0]]) / SCALE

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        score = tf.reduce_sum(x * weights, axis=1) + 0.3 * tf.sin(x[:, 0] / 2000) - 0.8
        return tf.stack([-score, score], axis=1)

    return AttackProblem(outputs, Untargeted(), norm, BOUNDS)


def is_valid(x: Floats, x_adv: Floats, norm: Norm, eps: float, bounds: Bounds = BOUNDS) -> None:
    """Every rule by itself, from the definitions rather than the attack's own check."""
    loan, term, installment, opened, total, a, b, income = x_adv.astype(np.float64).T
    assert np.allclose(installment, loan / term, rtol=1e-6)
    assert (opened <= total).all()
    assert (a + b <= loan * (1 + 1e-6)).all()
    assert (installment <= 0.5 * income * (1 + 1e-6)).all()
    assert (x_adv[:, INTEGER] == np.round(x_adv[:, INTEGER])).all()
    assert (x_adv >= bounds.lower - 1e-3).all()
    assert (x_adv <= bounds.upper + 1e-3).all()
    fixed = np.asarray(bounds.scale) == 0
    assert (x_adv[:, fixed] == x[:, fixed]).all()
    change = np.sign(x_adv - x) * np.maximum(np.abs(x_adv - x) - 1e-6 * np.abs(x), 0)
    assert distance(change, norm, bounds).max() <= eps * (1 + 1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_every_attack_keeps_the_relations_and_still_finds_something(attack: Attack, norm: Norm) -> None:
    x = loans(80)
    y = problem(norm).predict(x).argmax(axis=1)
    x_adv = attack(problem(norm), x, y, eps=1.0, seed=0)
    is_valid(x, x_adv, norm, 1.0)
    assert (x_adv != x).any(axis=1).mean() > 0.1
    assert isinstance(attack, Noise) or (problem(norm).predict(x_adv).argmax(axis=1) != y).any()


def test_an_attack_that_ignores_the_relations_finds_what_is_none() -> None:
    x = loans(80)
    free = replace(problem("linf"), bounds=replace(BOUNDS, relations=None), compiled={})
    y = problem("linf").predict(x).argmax(axis=1)
    x_adv = APGD(steps=10)(free, x, y, eps=1.0, seed=0)
    assert RELATIONS.broken(x, x_adv).any(axis=1).mean() > 0.9
    with pytest.raises(AttackError, match=r"the attack broke the relation '.*' in \d+ of \d+ examples"):
        check_result(x, x_adv, problem("linf"), 1.0)
    strong = Ensemble(steps=20, restarts=2, queries=100)
    kept = strong(problem("linf"), x, y, eps=1.0, seed=0)
    ignored = strong(free, x, y, eps=1.0, seed=0)
    fooled = [(problem("linf").predict(each).argmax(axis=1) != y).mean() for each in (kept, ignored)]
    assert 0 < fooled[0] <= fooled[1]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    eps=st.floats(0.0, 6.0),
    norm=st.sampled_from(["linf", "l2"]),
    immutable=st.sets(st.sampled_from(NAMES), max_size=4),
    down=st.sets(st.sampled_from(NAMES), max_size=2),
    whole=st.booleans(),
)
def test_whatever_a_step_breaks_is_repaired(
    seed: int, eps: float, norm: Norm, immutable: set[str], down: set[str], *, whole: bool
) -> None:
    rng = np.random.default_rng(seed)
    movable = np.array([name not in immutable for name in NAMES])
    rises = np.array([name not in down for name in NAMES])
    bounds = replace(BOUNDS, scale=np.where(movable, SCALE, np.float32(0)), rises=rises)
    x = loans(12, seed)
    wild = (x + 3 * eps * SCALE * rng.standard_normal(x.shape)).astype(np.float32)
    near = project(tf.constant(x), tf.constant(wild), np.float32(eps), norm, replace(bounds, relations=None)).numpy()
    if whole:
        x_adv = as_records(x, near, eps, norm, bounds)
        is_valid(x, x_adv, norm, eps, bounds)
    else:
        x_adv = keep_relations(x, near, eps, norm, bounds, whole=False)
    assert not RELATIONS.broken(x, x_adv).any()
    assert (x_adv[:, ~rises] <= x[:, ~rises]).all()
    kept = ~RELATIONS.broken(x, near).any(axis=1)
    if not whole:
        assert np.array_equal(x_adv[kept], near[kept])


POOL = (
    *LINES,
    "a <= loan",
    "abs(a - b) <= loan",
    "min(open, total) == open",
    "max(installment, 0.5 * income) == 0.5 * income",
    "income ** 2 >= 4 * installment ** 2",
    "a / loan + b / loan <= 1",
    "loan - installment * term <= 0.01 * loan",
    "0 <= open <= total * 1.5",
    "sqrt(a * a) == a",
    "loan - a - b >= 0",
)


@settings(max_examples=80, deadline=None)
@given(
    lines=st.lists(st.sampled_from(POOL), min_size=1, max_size=6, unique=True),
    seed=st.integers(0, 2**16),
    eps=st.floats(0.01, 4.0),
    norm=st.sampled_from(["linf", "l2"]),
    immutable=st.sets(st.sampled_from(NAMES), max_size=4),
)
def test_any_relations_are_kept_by_a_path_of_steps(
    lines: list[str], seed: int, eps: float, norm: Norm, immutable: set[str]
) -> None:
    rng = np.random.default_rng(seed)
    scale = np.where([name not in immutable for name in NAMES], SCALE, np.float32(0))
    bounds = replace(BOUNDS, scale=scale, relations=Relations.of(lines, PLACES))
    assert bounds.relations is not None
    x = loans(8, seed)
    point = tf.constant(x)
    for _ in range(3):
        step = (0.7 * eps * SCALE * rng.standard_normal(x.shape)).astype(np.float32)
        point = project(tf.constant(x), point + step, np.float32(eps), norm, bounds, point)
        assert not bounds.relations.broken(x, point.numpy()).any()
    record = as_records(x, point.numpy(), eps, norm, bounds)
    assert not bounds.relations.broken(x, record).any()
    check_result(x, record, replace(problem(norm), bounds=bounds), eps)


def test_what_cannot_be_repaired_goes_back_to_the_last_valid_point() -> None:
    relations = Relations.of(("max(a, b) == 1",), {"a": 0, "b": 1})
    bounds = Bounds(np.zeros(2, np.float32), np.full(2, 9, np.float32), np.ones(2, np.float32), relations=relations)
    x, last = np.array([[1.0, 0.5]], np.float32), np.array([[1.0, 0.2]], np.float32)
    wild = np.array([[1.7, 0.1]], np.float32)
    assert np.array_equal(keep_relations(x, wild, 1.0, "linf", bounds, last=last), last)
    assert np.array_equal(keep_relations(x, wild, 1.0, "linf", bounds), x)


def test_an_example_that_breaks_a_relation_owes_it_nothing() -> None:
    x = loans(20)
    x[:, PLACES["installment"]] += 50
    x_adv = as_records(x, x + np.float32(0.5), 1.0, "linf", BOUNDS)
    assert np.array_equal(x_adv[:, PLACES["loan"]], x[:, PLACES["loan"]] + np.float32(0.5))
    assert not RELATIONS.broken(x, x_adv).any()


def test_without_relations_not_a_bit_changes() -> None:
    free = replace(BOUNDS, relations=None)
    x = loans(20)
    x_adv = x + np.float32(0.3)
    assert keep_relations(x, x_adv, 1.0, "linf", free) is x_adv
    graph = tf.function(lambda a, b: project(a, b, 1.0, "linf", free))
    made = graph.get_concrete_function(tf.constant(x), tf.constant(x_adv)).graph
    assert not [op for op in made.get_operations() if "PyFunc" in op.type]
    with_relations = tf.function(lambda a, b: project(a, b, 1.0, "linf", BOUNDS))
    made = with_relations.get_concrete_function(tf.constant(x), tf.constant(x_adv)).graph
    assert [op for op in made.get_operations() if "PyFunc" in op.type]


@pytest.mark.parametrize("attack", [APGD(steps=6), GeneticSearch(queries=121)], ids=["apgd", "genetic search"])
def test_of_whole_numbers_a_strict_relation_is_kept_strictly(attack: Attack) -> None:
    strict = Relations.of(("open < total",), PLACES)
    x = loans(80)
    x = x[x[:, 3] < x[:, 4]]
    given_ = replace(problem("linf"), bounds=replace(BOUNDS, relations=strict), compiled={})
    y = given_.predict(x).argmax(axis=1)
    x_adv = attack(given_, x, y, eps=1.0, seed=0)
    assert (x_adv[:, 3] < x_adv[:, 4]).all()
    assert (x_adv[:, 3] == x_adv[:, 4] - 1).any(), "the edge is within reach"
    touching = x.copy()
    touching[:, 4] = touching[:, 3]
    with pytest.raises(AttackError, match="the attack broke the relation 'open < total'"):
        check_result(x, touching, given_, 1000.0)

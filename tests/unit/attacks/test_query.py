"""What answers cost, and what is left when they cease."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.problem import AttackError, AttackProblem, of_callable
from redoubt.attacks.hopskipjump import HopSkipJump
from redoubt.attacks.query import BudgetError, Oracle, QueryAttack, Tally, log_scores
from redoubt.attacks.square import Square
from redoubt.core.types import PIXELS, Bounds, Floats, Norm
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE

ATTACKS: dict[str, QueryAttack] = {
    "square": Square(queries=60),
    "hop-skip-jump": HopSkipJump(queries=80, samples=10),
}
EPS: dict[Norm, float] = {"linf": 0.25, "l2": 1.2}
CHECKED = 8
by_attack = pytest.mark.parametrize("name", ATTACKS)


def asked(threat: Threat, budget: int | None = None) -> tuple[Oracle, AttackProblem]:
    """A threat's network as an oracle, and the problem of misleading it."""
    oracle = Oracle(threat.problem.predict, budget)
    problem = threat.problem
    return oracle, AttackProblem(
        of_callable(oracle, threat.case.schema.outputs), problem.criterion, problem.norm, problem.bounds
    )


@by_attack
def test_every_answer_is_counted(threat: Threat, name: str) -> None:
    x, y = threat.case.test.x, threat.case.test.y.copy()
    lost = threat.problem.criterion.is_adversarial(threat.problem.predict(x), y)
    oracle, problem = asked(threat)
    done = ATTACKS[name].count(problem, x, y, eps=EPS[problem.norm], seed=1)
    assert (done.queries.shape, done.queries.dtype) == ((len(x),), np.int64)
    assert oracle.queries == done.queries.sum() + CHECKED
    assert done.queries.max() <= ATTACKS[name].queries
    assert np.all(done.queries[lost] == 1)
    assert np.array_equal(done.x_adv[lost], x[lost])
    assert np.all(done.queries[~lost] > 1)
    assert np.array_equal(done.x_adv, ATTACKS[name](problem, x, y, eps=EPS[problem.norm], seed=1))


@by_attack
def test_a_row_wins_within_its_queries_or_spends_them(threats: Callable[[str, Norm], Threat], name: str) -> None:
    threat = threats(IMAGE, "linf")
    x, y, problem = threat.case.test.x, threat.case.test.y, threat.problem
    done = ATTACKS[name].count(problem, x, y, eps=0.35, seed=1)
    adversarial = problem.criterion.is_adversarial(problem.predict(done.x_adv), y)
    assert 0 < adversarial.sum() < len(x)
    assert done.queries[adversarial].min() < ATTACKS[name].queries
    # HopSkipJump stops when another round cannot be paid.
    assert done.queries[~adversarial].min() > 0.7 * ATTACKS[name].queries


@by_attack
@pytest.mark.parametrize("norm", NORMS)
def test_a_row_fares_the_same_in_any_company(threats: Callable[[str, Norm], Threat], name: str, norm: Norm) -> None:
    """More rows than one batch holds, some of them, and one alone."""
    threat = threats(IMAGE, norm)
    # HopSkipJump finds no start in noise for the bars in the middle, which noise looks like: it takes other rows.
    apart = threat.case.test.take(np.flatnonzero(threat.case.test.y != 1))
    x, y = np.repeat(apart.x, 7, axis=0), np.repeat(apart.y, 7, axis=0)
    together = ATTACKS[name].count(threat.problem, x, y, eps=EPS[norm], seed=0)
    assert len(x) > 256
    for few in (40, 1):
        alone = ATTACKS[name].count(threat.problem, x[:few], y[:few], eps=EPS[norm], seed=0)
        assert np.allclose(alone.x_adv, together.x_adv[:few], atol=1e-5)
        assert np.array_equal(alone.queries, together.queries[:few])


@by_attack
def test_the_seed_matters(threats: Callable[[str, Norm], Threat], name: str) -> None:
    threat = threats(IMAGE, "l2")
    x, y = threat.case.test.x, threat.case.test.y
    one, other = (ATTACKS[name](threat.problem, x, y, eps=1.2, seed=seed) for seed in (1, 2))
    assert not np.array_equal(one, other)


@by_attack
def test_what_is_asked_is_a_valid_input(name: str) -> None:
    """In the box, whole where it was whole, and what must not change as it was: a service may refuse all else."""
    lower, upper = np.float32([0, -5, 0, 0]), np.float32([10, 5, 1, 9])
    bounds = Bounds(lower, upper, np.float32([2, 1, 0, 3]), np.array([False, False, False, True]))
    seen: list[Floats] = []

    def answer(x: Floats) -> Floats:
        seen.append(x.copy())
        side = x[:, 0] + x[:, 1] + x[:, 3] - 12
        return np.stack([-side, side], axis=1)

    x = np.float32([[3, 1, 1, 4], [4, 0, 0, 3], [1, 1, 1, 2]])
    for norm in NORMS:
        problem = AttackProblem(of_callable(answer, 2), Untargeted(), norm, bounds)
        x_adv = ATTACKS[name](problem, x, np.zeros(3, int), eps=1.0, seed=3)
        assert np.array_equal(x_adv[:, 2:] % 1, np.zeros((3, 2)))
    rows = np.concatenate(seen)
    assert len(rows) > 100
    assert np.all((rows >= lower) & (rows <= upper))
    assert np.array_equal(rows[:, 3], np.round(rows[:, 3]))
    assert set(rows[:, 2].tolist()) == {0.0, 1.0}
    assert len(np.unique(rows[:, 3])) > 1


@by_attack
@pytest.mark.parametrize("norm", NORMS)
def test_nothing_to_change_nothing_to_win(name: str, norm: Norm) -> None:
    fixed = Bounds(np.zeros(3, np.float32), np.ones(3, np.float32), np.zeros(3, np.float32))
    problem = AttackProblem(of_callable(lambda x: 5 * x[:, :2], 2), Untargeted(), norm, fixed)
    x = np.float32([[0.9, 0.1, 0.5], [0.1, 0.9, 0.5]])
    done = ATTACKS[name].count(problem, x, np.zeros(2, int), eps=1.0, seed=0)
    assert np.array_equal(done.x_adv, x)
    assert done.queries[1] == 1 < done.queries[0]


def test_a_spent_budget_stops_the_attack_and_keeps_what_was_won(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(IMAGE, "linf")
    x, y = threat.case.test.x, threat.case.test.y
    oracle, problem = asked(threat, budget=1000)
    with pytest.raises(
        BudgetError, match=r"\d+ more queries would exceed the budget of 1000, of which \d+ are spent"
    ) as e:
        Square(queries=500).count(problem, x, y, eps=0.35, seed=0)
    kept = e.value.so_far
    assert kept is not None
    assert oracle.queries == kept.queries.sum() + CHECKED <= 1000
    changed = (kept.x_adv != x).any(axis=(1, 2, 3))
    assert 0 < changed.sum() < len(x)
    assert problem.criterion.is_adversarial(threat.case.network(kept.x_adv[changed]).numpy(), y[changed]).all()
    assert distance(kept.x_adv - x, "linf", PIXELS).max() <= 0.35 * (1 + 1e-5)


def test_a_budget_too_small_to_begin_is_said_as_such(threats: Callable[[str, Norm], Threat]) -> None:
    _, problem = asked(threats(IMAGE, "linf"), budget=5)
    with pytest.raises(BudgetError, match="8 more queries would exceed the budget of 5, of which 0 are spent") as e:
        Square()(problem, threats(IMAGE, "linf").case.test.x, threats(IMAGE, "linf").case.test.y, eps=0.1, seed=0)
    assert e.value.so_far is None


def test_an_oracle_without_a_budget_answers_and_counts() -> None:
    oracle = Oracle(lambda x: 2 * x)
    assert oracle(np.float32([[1], [2]])).tolist() == [[2], [4]]
    assert oracle(np.float32([[3]])).tolist() == [[6]]
    assert oracle.queries == 3


def test_log_scores_have_the_margins_of_the_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 4, (50, 5)).astype(np.float32)
    scores = log_scores(tf.nn.softmax(logits).numpy())
    assert scores.dtype == np.float32
    assert np.allclose(scores - scores[:, :1], logits - logits[:, :1], atol=1e-3)
    assert np.isfinite(log_scores(np.float32([[1, 0]]))).all()


@by_attack
def test_probabilities_are_attacked_through_their_logarithms(threats: Callable[[str, Norm], Threat], name: str) -> None:
    threat = threats(IMAGE, "l2")
    x, y = threat.case.test.x, threat.case.test.y

    def probabilities(x: Floats) -> Floats:
        return tf.nn.softmax(threat.case.network(x)).numpy()

    with pytest.raises(AttackError, match="the outputs are probabilities"):
        ATTACKS[name](AttackProblem(of_callable(probabilities, 3), Untargeted(), "l2", PIXELS), x, y, eps=1.2, seed=0)
    served = AttackProblem(of_callable(lambda x: log_scores(probabilities(x)), 3), Untargeted(), "l2", PIXELS)
    x_adv = ATTACKS[name](served, x, y, eps=1.2, seed=0)
    assert Untargeted().is_adversarial(threat.case.network(x_adv).numpy(), y).mean() > 0.2


def test_a_model_of_chance_draws_anew_for_every_query() -> None:
    problem = AttackProblem(
        lambda x, seed: tf.random.stateless_normal((tf.shape(x)[0], 2), seed), Untargeted(), "l2", PIXELS
    )
    x = np.zeros((3, 4), np.float32)
    tally = Tally(problem, x, np.zeros(3, int), seed=0)
    assert not np.array_equal(tally.ask(x, np.arange(3)), tally.ask(x, np.arange(3)))
    assert tally.ask(np.zeros((4, 4), np.float32), np.array([0, 2, 2, 2])).shape == (4, 2)
    assert tally.queries.tolist() == [3, 2, 5]


@by_attack
def test_counting_checks_as_a_call_does(threats: Callable[[str, Norm], Threat], name: str) -> None:
    threat = threats(IMAGE, "linf")
    x, y = threat.case.test.x, threat.case.test.y
    with pytest.raises(AttackError, match="eps is -1"):
        ATTACKS[name].count(threat.problem, x, y, eps=-1, seed=0)
    none = ATTACKS[name].count(threat.problem, x[:0], y[:0], eps=0.1, seed=0)
    assert (none.x_adv.shape, none.queries.shape) == (x[:0].shape, (0,))


@pytest.mark.parametrize("kind", [Square, HopSkipJump])
def test_an_attack_asks_at_least_once(kind: type[QueryAttack], threats: Callable[[str, Norm], Threat]) -> None:
    with pytest.raises(AttackError, match="queries is 0; it must be >= 1"):
        kind(queries=0)
    threat = threats(IMAGE, "linf")
    done = kind(queries=1).count(threat.problem, threat.case.test.x, threat.case.test.y, eps=0.3, seed=0)
    assert np.array_equal(done.x_adv, threat.case.test.x)
    assert done.queries.tolist() == [1] * 64


def test_answers_of_another_width_are_refused() -> None:
    problem = AttackProblem(of_callable(lambda x: x[:, :2], 3), Untargeted(), "linf", PIXELS)
    with pytest.raises(AttackError, match=r"4 inputs got scores of shape \(4, 2\), not 3 each"):
        Square()(problem, np.zeros((4, 5), np.float32), np.zeros(4, int), eps=0.1, seed=0)

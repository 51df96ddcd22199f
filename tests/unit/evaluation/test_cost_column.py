"""An attacker with a budget: of linear models the exact robust accuracy is known, and every attack is held to it."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.core.base import Attack, AttackError, check_result
from redoubt.attacks.core.criteria import Tolerance, Untargeted
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.frank_wolfe import FrankWolfe
from redoubt.attacks.genetic import GeneticSearch
from redoubt.attacks.whole_steps import WholeSteps
from redoubt.bundle.column import Column
from redoubt.bundle.relations.table import Relations
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Bounds, Floats
from redoubt.evaluation.cost_column import priced, within_budget
from redoubt.evaluation.evaluator import Evaluator
from redoubt.evaluation.paired import unpacked
from redoubt.evaluation.results import CostResult, Robustness, join
from redoubt.params.settings.costs import Costs
from tests.support.evaluations import evaluator_of, measured
from tests.support.tiny import NUMBER, TABLE, Guarded

# Four numbers, of which the last is not mutable, a category of three and one of two.
NAMES = ("spend", "visits", "age", "fixed", "plan", "region")
KINDS = ("number", "number", "number", "number", "category", "category")
CATEGORIES = {"plan": ("a", "b", "c"), "region": ("n", "s")}
WIDTH = 9
COSTS = Costs(budget=10.0, prices={"spend": 2.0, "visits": 0.5, "age": 4.0, "plan": 6.0, "region": 3.0})


def schema(switches: int = 2, *, integer: bool = False) -> Schema:
    columns = tuple(
        Column(
            name=name,
            kind="integer" if integer and name in ("spend", "visits", "age") else kind,  # type: ignore[arg-type]
            categories=CATEGORIES.get(name, ()),
            immutable=name == "fixed",
            mutable=name in CATEGORIES,
        )
        for name, kind in zip(NAMES, KINDS, strict=True)
    )
    labels = ("no", "yes")
    return Schema(
        task="t", kind="classification", target="y", columns=columns, shape=(WIDTH,), labels=labels, switches=switches
    )


def box(of: Schema) -> Bounds:
    """As the scaler makes it; what eps would be measured in has no part in a budget."""
    scale = np.where(of.mutable, np.float32(1.7), np.float32(0))
    lower, upper = np.float32([-4, -8, -2, 0, *[0] * 5]), np.float32([4, 8, 2, 9, *[1] * 5])
    return Bounds(lower, upper, scale, of.integer, switches=of.switching, **of.directions)


def records(count: int, seed: int, *, whole: bool = False) -> Floats:
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(-1, 1, (count, 4)) * [4, 8, 2, 4] + [0, 0, 0, 4.5]
    one_hot = [np.eye(size)[rng.integers(size, size=count)] for size in (3, 2)]
    return np.concatenate([np.trunc(numbers) if whole else numbers, *one_hot], axis=1).astype(np.float32)


def linear(weights: Floats, bias: float) -> keras.Model:
    inputs = keras.Input((WIDTH,))
    made = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    made.set_weights([np.stack([0 * weights, weights], axis=1), np.float32([0, bias])])
    return made


def best_by_numbers(x: Floats, weights: Floats, bounds: Bounds, sign: float, budget: float) -> float:
    """The most that a budget moves a linear score that way: the input that gains most per cost first, to its end."""
    gained = 0.0
    worth = np.abs(weights) * bounds.scale
    for place in np.argsort(-worth):
        if bounds.scale[place] > 0:
            end = bounds.upper[place] if sign * weights[place] > 0 else bounds.lower[place]
            spent = min(budget, abs(float(end - x[place])) / float(bounds.scale[place]))
            gained, budget = gained + spent * float(worth[place]), budget - spent
    return gained


def exactly_robust(x: Floats, weights: Floats, bias: float, bounds: Bounds, costs: Costs) -> bool:
    """By going through every record that affordable switches make, and of each through the numbers by their worth."""
    score = float(x @ weights + bias)
    sign = -1.0 if score > 0 else 1.0
    switches = bounds.switches
    assert switches is not None
    given = switches.codes(x[None])[0]
    for codes in itertools.product(range(3), range(2)):
        changed = [place for place in range(2) if codes[place] != given[place]]
        left = costs.budget - sum(costs.prices[("plan", "region")[place]] for place in changed)
        if left >= 0 and len(changed) <= switches.most:
            other = switches.put(x[None], np.array([codes]))[0]
            reached = float(other @ weights + bias) + sign * best_by_numbers(other, weights, bounds, sign, left)
            if sign * reached > 1e-4:
                return False
    return True


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), budget=st.sampled_from([0.5, 3.0, 6.0, 10.0, 40.0]), most=st.integers(1, 2))
def test_of_a_linear_model_gradients_find_the_exact_answer(seed: int, budget: float, most: int) -> None:
    rng, costs = np.random.default_rng(seed), COSTS.model_copy(update={"budget": budget})
    weights, x = rng.normal(size=WIDTH).astype(np.float32), records(20, seed)
    bias = -float(np.median(x @ weights))
    bounds = priced(box(schema(most)), schema(most), costs)
    problem = AttackProblem(of_network(linear(weights, bias)), Untargeted(), "l1", bounds)
    y = (x @ weights + bias > 0).astype(np.int64)
    x_adv = FrankWolfe(steps=3)(problem, x, y, eps=budget, seed=seed)
    robust = ((x_adv @ weights + bias > 0) == y).tolist()
    margin = np.array([exactly_robust(row, weights, bias, bounds, costs) for row in x])
    near = np.abs(np.abs(x_adv @ weights + bias)) < 1e-3
    assert (np.array(robust) == margin)[~near].all()


@pytest.mark.parametrize("attack", [FrankWolfe(steps=8), GeneticSearch(queries=401), WholeSteps()], ids=repr)
def test_no_attack_spends_more_and_each_finds_something(attack: Attack) -> None:
    of, costs = schema(integer=True), COSTS.model_copy(update={"budget": 3.0})
    bounds = priced(box(of), of, costs)
    rng = np.random.default_rng(3)
    weights, x = rng.normal(size=WIDTH).astype(np.float32), records(60, 3, whole=True)
    bias = -float(np.median(x @ weights))
    problem = AttackProblem(of_network(linear(weights, bias)), Untargeted(), "l1", bounds)
    y = (x @ weights + bias > 0).astype(np.int64)
    x_adv = attack(problem, x, y, eps=costs.budget, seed=0)
    prices = np.array([2.0, 0.5, 4.0])
    switched = [(x_adv[:, 4:7] != x[:, 4:7]).any(axis=1), (x_adv[:, 7:] != x[:, 7:]).any(axis=1)]
    spent = np.abs(x_adv - x)[:, :3] @ prices + 6.0 * switched[0] + 3.0 * switched[1]
    assert spent.max() <= costs.budget * (1 + 1e-4)
    assert spent.max() > 0.5 * costs.budget
    assert (x_adv[:, :3] == np.round(x_adv[:, :3])).all()
    assert (x_adv[:, 3] == x[:, 3]).all()
    wrong = (x_adv @ weights + bias > 0) != y
    assert 0 < wrong.sum() < len(x)


def test_the_scorer_counts_every_cost() -> None:
    bounds = priced(box(schema()), schema(), COSTS)
    problem = AttackProblem(of_network(linear(np.ones(WIDTH, np.float32), 0.0)), Untargeted(), "l1", bounds)
    x = records(1, 0)
    x[0, :7] = [0, 0, 0, 0, 1, 0, 0]
    x_adv = x.copy()
    x_adv[0, 0], x_adv[0, 1], x_adv[0, 4:7] = 1.0, 4.0, [0, 1, 0]
    check_result(x, x_adv, problem, 10.0)
    with pytest.raises(AttackError, match=r"perturbed an input by 10 \(l1\); allowed is eps = 9.9"):
        check_result(x, x_adv, problem, 9.9)
    x_adv[0, 3] = 1.0
    with pytest.raises(AttackError, match="perturbed an input by inf"):
        check_result(x, x_adv, problem, 10.0)


def test_what_has_no_price_cannot_be_changed() -> None:
    only = Costs(budget=5.0, prices={"age": 1.0})
    bounds = priced(box(schema()), schema(), only)
    assert bounds.switches is None
    assert np.flatnonzero(bounds.scale).tolist() == [2]


def test_related_columns_stay_so_under_a_budget() -> None:
    of = schema()
    relations = Relations.of(["visits == 2 * spend", "age <= spend + 4"], {"spend": 0, "visits": 1, "age": 2})
    bounds = Bounds(**{**vars(priced(box(of), of, COSTS)), "relations": relations})
    x = records(60, 5)
    x[:, 1] = 2 * x[:, 0]
    x = x[relations.holds(x).all(axis=1)]
    weights = np.float32([1, -1, 0.5, 0, 0.3, 0, -0.3, 0.2, 0])
    problem = AttackProblem(of_network(linear(weights, 0.4)), Untargeted(), "l1", bounds)
    y = (x @ weights + 0.4 > 0).astype(np.int64)
    for attack in (FrankWolfe(steps=10), GeneticSearch(queries=201)):
        x_adv = attack(problem, x, y, eps=COSTS.budget, seed=0)
        assert not relations.broken(x, x_adv).any()
        assert ((x_adv @ weights + 0.4 > 0) != y).any()


@pytest.mark.parametrize("name", [TABLE, NUMBER])
def test_a_guarded_model_is_measured_in_both_columns(bundles: Callable[[str], Guarded], name: str) -> None:
    guarded = bundles(name)
    evaluator, batch = evaluator_of(guarded), guarded.case.test
    # What a standard deviation costs, about, is 1 of each number.
    prices = {"weight": 0.001, "age": 3.5}
    few, much = (within_budget(evaluator, batch, Costs(budget=each, prices=prices)) for each in (0.3, 3.0))
    assert few.undefended is not None
    assert few.adaptive is not None
    assert much.undefended is not None
    assert much.undefended.share < few.undefended.share <= evaluator_clean(evaluator, batch)
    assert sum(count for _, count in few.broken) == round(
        (evaluator_clean(evaluator, batch) - few.undefended.share) * len(batch)
    )
    assert set(few.mcc) == ({"undefended", "adaptive"} if name == TABLE else set())
    assert unpacked(few.robust["undefended"], len(batch)).mean() == pytest.approx(few.undefended.share)
    said = few.says()
    assert said.startswith("an attacker who may spend 0.3 on an example (a unit or a switch costs: weight 0.001, age")
    assert f"robust accuracy of {100 * few.undefended.share:.1f} % (" in said


def evaluator_clean(evaluator: Evaluator, batch: Batch) -> float:
    return float((~evaluator.is_adversarial(batch.x, batch.y)).mean())


def test_a_budget_that_buys_nothing_is_not_measured(bundles: Callable[[str], Guarded]) -> None:
    guarded = bundles(TABLE)
    case = guarded.case
    evaluator = evaluator_of(guarded)
    whole = replace(case.bounds, integer=np.array([True, False, False, False]))
    batch = Batch(np.round(case.test.x), case.test.y)
    config = replace(evaluator.config, bounds=whole.covering(batch.x))
    found = within_budget(replace(evaluator, config=config), batch, Costs(budget=1.0, prices={"weight": 2.0}))
    assert (found.undefended, found.adaptive) == (None, None)
    assert found.says().endswith("can change nothing: not measured")


def test_what_declares_no_costs_keeps_its_bytes(bundles: Callable[[str], Guarded]) -> None:
    measured_, _ = measured(bundles(TABLE))
    assert "cost" not in measured_.model_dump()
    spent = CostResult(budget=1.0, prices={"age": 1.0})
    joined = join([measured_, measured_.model_copy(update={"cost": spent})])
    assert Robustness.model_validate_json(joined.model_dump_json()).cost == spent


def test_every_wrong_class_and_both_sides_of_a_tolerance_are_tried() -> None:
    # From the example the third class is nearer, and out of reach; the fourth one is within it.
    weights = np.float32([[0, 0, 0.2, -1], [0, 0, 0, 0]])
    bias = np.float32([1.0, -9.0, 0.5, -1.0])
    sides = np.float32([-4, -4]), np.float32([2, 4]), np.ones(2, np.float32)
    x, y = np.zeros((3, 2), np.float32), np.zeros(3, np.int64)
    inputs = keras.Input((2,))
    made = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    made.set_weights([weights, bias])
    problem = AttackProblem(of_network(made), Untargeted(), "l1", Bounds(*sides))
    x_adv = FrankWolfe(steps=1)(problem, x, y, eps=2.2, seed=0)
    assert made.predict_on_batch(x_adv).argmax(axis=1).tolist() == [3, 3, 3]
    near = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    near.set_weights([np.float32([[1], [0]]), np.float32([0.1])])
    # Upwards, where the error is larger already, the range ends at 2.
    both = AttackProblem(of_network(near), Tolerance(3.0), "l1", Bounds(*sides))
    values = near.predict_on_batch(FrankWolfe(steps=3)(both, x, np.zeros(3, np.float32), eps=3.5, seed=0))
    assert (np.abs(values) > 3).all()

"""Mutable categories: what an attack may switch, that the scorer allows no more, and that no proof forgets a switch."""

import itertools
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.apgd import APGD, APGDT
from redoubt.attacks.core.base import Attack, AttackError, check_result
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import as_records, distance
from redoubt.attacks.core.gradient import PGD, Restarts
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.ensemble import Ensemble
from redoubt.attacks.genetic import GeneticSearch
from redoubt.attacks.hopskipjump import HopSkipJump
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.bundle.relations.table import Relations
from redoubt.bundle.switches import Switches
from redoubt.certify.batches import verify_batch
from redoubt.certify.branch_and_bound import Limit
from redoubt.certify.worst_case import certifier
from redoubt.core.types import Batch, Bounds, Floats, Norm

# Two numbers, then three categories of 3, 2 and 4 levels; the last is not mutable.
WIDTH = 11
PLACES = ((2, 3), (5, 2))
SWITCHES = Switches(("colour", "sex"), PLACES, 1)
SCALE = np.array([1.0, 2.0] + [0.0] * 9, np.float32)
BOUNDS = Bounds(
    lower=np.array([-3.0, -6.0] + [0.0] * 9, np.float32),
    upper=np.array([3.0, 6.0] + [1.0] * 9, np.float32),
    scale=SCALE,
    switches=SWITCHES,
)
SWITCHING: list[Attack] = [
    PGD(steps=4),
    Restarts(PGD(steps=2), 2),
    APGD(steps=4),
    APGDT(steps=3),
    GeneticSearch(queries=121),
    Ensemble(steps=3, restarts=1, queries=61),
]
GIVEN: list[Attack] = [Noise(), Square(queries=20), HopSkipJump(queries=60)]


def records(count: int, seed: int = 0) -> Floats:
    """Valid examples."""
    rng = np.random.default_rng(seed)
    parts = [np.eye(size, dtype=np.float32)[rng.integers(size, size=count)] for size in (3, 2, 4)]
    numbers = rng.uniform(-2, 2, (count, 2)).astype(np.float32) * np.array([1, 2], np.float32)
    return np.concatenate([numbers, *parts], axis=1)


def network(weights: Floats | None = None, *, seed: int = 0, units: int = 6, classes: int = 3) -> keras.Model:
    """A chain; without weights a random one."""
    rng = np.random.default_rng(seed)
    inputs = keras.Input((WIDTH,))
    if weights is not None:
        made = keras.Model(inputs, keras.layers.Dense(weights.shape[1], use_bias=False)(inputs))
        made.layers[-1].set_weights([weights])
        return made
    hidden = keras.layers.Dense(units, activation="relu")(inputs)
    made = keras.Model(inputs, keras.layers.Dense(classes)(hidden))
    made.set_weights([rng.normal(0, 0.7, each.shape).astype(np.float32) for each in made.get_weights()])
    return made


def by_colour() -> keras.Model:
    """Its class is whether the colour is the first, whatever else holds."""
    weights = np.zeros((WIDTH, 2), np.float32)
    weights[2, 1] = weights[3, 0] = weights[4, 0] = 3.0
    return network(weights)


def problem(model: keras.Model, norm: Norm = "linf", bounds: Bounds = BOUNDS) -> AttackProblem:
    return AttackProblem(of_network(model), Untargeted(), norm, bounds)


def answers(model: keras.Model, x: Floats) -> Floats:
    found: Floats = model.predict_on_batch(x).argmax(axis=1)
    return found


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", SWITCHING, ids=lambda attack: type(attack).__name__)
def test_a_model_of_one_category_alone_has_no_robust_example(attack: Attack, norm: Norm) -> None:
    model, x = by_colour(), records(12)
    y = answers(model, x)
    x_adv = attack(problem(model, norm), x, y, eps=0.1, seed=0)
    assert (answers(model, x_adv) != y).all()
    fixed = attack(problem(model, norm, replace(BOUNDS, switches=None)), x, y, eps=0.1, seed=0)
    assert (answers(model, fixed) == y).all()
    none = attack(problem(model, norm), x, y, eps=0.0, seed=0)
    assert np.array_equal(none, x)


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("attack", [*SWITCHING, *GIVEN], ids=lambda attack: type(attack).__name__)
def test_what_an_attack_finds_is_a_record_with_no_more_switches_than_allowed(attack: Attack, most: int) -> None:
    model, x = network(seed=3), records(20)
    bounds = replace(BOUNDS, switches=replace(SWITCHES, most=most))
    x_adv = attack(problem(model, bounds=bounds), x, answers(model, x), eps=0.05, seed=0)
    assert not SWITCHES.torn(x, x_adv).any()
    assert SWITCHES.switched(x, x_adv).sum(axis=1).max() <= most
    assert np.array_equal(x_adv[:, 7:], x[:, 7:])
    assert distance(x_adv - x, "linf", bounds).max() <= 0.05 * (1 + 1e-4)


@pytest.mark.parametrize("attack", [PGD(steps=10), GeneticSearch(queries=401)], ids=["pgd", "genetic search"])
def test_switch_and_numbers_work_together(attack: Attack) -> None:
    # Class 0 has 3 for two colours and 1.2 for the other, class 1 three times the first number: it takes both.
    weights = np.zeros((WIDTH, 2), np.float32)
    weights[2:5, 0], weights[0, 1] = (3.0, 1.2, 3.0), 3.0
    x, model = np.zeros((5, WIDTH), np.float32), network(weights)
    x[:, [2, 5, 7]] = 1.0
    y = np.zeros(5, np.int64)
    assert (answers(model, attack(problem(model), x, y, eps=0.3, seed=0)) == y).all()
    assert (answers(model, attack(problem(model), x, y, eps=0.5, seed=0)) != y).all()
    alone = problem(model, bounds=replace(BOUNDS, switches=None))
    assert (answers(model, attack(alone, x, y, eps=0.5, seed=0)) == y).all()


@pytest.mark.parametrize(
    ("changed", "eps", "said"),
    [
        ([(2, 0.5), (3, 0.5)], 1.0, "left no single category in 'colour'"),
        ([(2, 0.0)], 1.0, "left no single category in 'colour'"),
        ([(2, 0.0), (3, 1.0), (5, 0.0), (6, 1.0)], 1.0, "switched colour, sex of an example; allowed are 1 of"),
        ([(2, 0.0), (3, 1.0)], 0.0, "switched colour of an example; allowed are 0 of"),
        ([(7, 0.0), (8, 1.0)], 1.0, "perturbed an input by inf"),
    ],
)
def test_the_scorer_refuses(changed: list[tuple[int, float]], eps: float, said: str) -> None:
    x = np.zeros((2, WIDTH), np.float32)
    x[:, [2, 5, 7]] = 1.0
    x_adv = x.copy()
    for place, value in changed:
        x_adv[1, place] = value
    with pytest.raises(AttackError, match=said):
        check_result(x, x_adv, problem(by_colour()), eps)
    allowed = x.copy()
    allowed[:, 2], allowed[:, 4] = 0.0, 1.0
    check_result(x, allowed, problem(by_colour()), 0.1)


def by_brute_force(switches: Switches, x: Floats) -> list[Floats]:
    """Every record that switches make of examples, and these, by going through all categories there are."""
    found = []
    for levels in itertools.product(*(range(size) for _, size in switches.places)):
        copy = x.copy()
        for (first, size), level in zip(switches.places, levels, strict=True):
            copy[:, first : first + size] = np.eye(size)[level]
        within = switches.switched(x, copy).sum(axis=1) <= switches.most
        found.append(np.where(within[:, None], copy, x))
    return found


@pytest.mark.parametrize("most", [1, 2])
def test_copies_are_all_records_there_are(most: int) -> None:
    switches, x = replace(SWITCHES, most=most), records(8)
    copies = list(switches.copies(x))
    assert len(copies) == switches.count == (3 if most == 1 else 5)
    for row in range(len(x)):
        wanted = {each[row].tobytes() for each in by_brute_force(switches, x)}
        assert {each[row].tobytes() for each in [x, *copies]} == wanted
    assert not any(switches.torn(x, copy).any() for copy in copies)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), most=st.integers(1, 2), eps=st.sampled_from([0.01, 0.1, 0.4]))
def test_no_record_within_reach_refutes_a_certificate(seed: int, most: int, eps: float) -> None:
    model, x = network(seed=seed), records(10, seed)
    y, bounds = answers(model, x), replace(BOUNDS, switches=replace(SWITCHES, most=most))
    certified = certifier(model, bounds, Untargeted())(Batch(x, y), eps)
    rng = np.random.default_rng(seed)
    points = []
    for copy in by_brute_force(bounds.switches or SWITCHES, x):
        for draw in [np.zeros((10, 2)), *rng.choice([-1.0, 1.0], (8, 10, 2)), *rng.uniform(-1, 1, (8, 10, 2))]:
            point = copy.copy()
            point[:, :2] = np.clip(copy[:, :2] + eps * draw * SCALE[:2], BOUNDS.lower[:2], BOUNDS.upper[:2])
            points.append(point)
    found = answers(model, np.concatenate(points)).reshape(-1, len(x))
    assert (found[:, certified] == y[certified]).all()
    x_adv = APGD(steps=5)(problem(model, bounds=bounds), x, y, eps=eps, seed=seed)
    assert (answers(model, x_adv)[certified] == y[certified]).all()


def test_certified_is_none_of_a_model_of_one_category_and_all_where_it_is_given() -> None:
    model, x = by_colour(), records(12)
    batch, fixed = Batch(x, answers(model, x)), replace(BOUNDS, switches=None)
    assert not certifier(model, BOUNDS, Untargeted())(batch, 0.1).any()
    assert certifier(model, fixed, Untargeted())(batch, 0.1).all()
    assert certifier(model, BOUNDS, Untargeted())(batch, 0.0).all()
    sex = replace(BOUNDS, switches=Switches(("sex",), ((5, 2),), 1))
    assert certifier(model, sex, Untargeted())(batch, 0.1).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_step_that_a_relation_shortens_takes_a_switch_whole(norm: Norm) -> None:
    relations = Relations.of(["second == 2 * first", "first * second <= 6"], {"first": 0, "second": 1})
    bounds, x = replace(BOUNDS, relations=relations), records(40)
    x[:, 1] = 2 * x[:, 0]
    x_adv = next(SWITCHES.copies(x))
    x_adv[:, 0] = np.clip(x[:, 0] + 0.9 * np.sign(x[:, 0]), -3, 3)
    found = as_records(x, x_adv, 1.0, norm, bounds)
    check_result(x, found, problem(network(), norm, bounds), 1.0)
    assert SWITCHES.switched(x, found).any()


def test_too_many_records_are_held_by_a_hull(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = network(seed=5), records(40)
    batch = Batch(x, answers(model, x))
    each = certifier(model, BOUNDS, Untargeted())(batch, 0.05)
    monkeypatch.setattr("redoubt.bundle.switches.MOST_PROVEN", 2)
    hull = certifier(model, BOUNDS, Untargeted())(batch, 0.05)
    assert not (hull & ~each).any()
    assert each.any()
    colour = certifier(by_colour(), BOUNDS, Untargeted())
    assert not colour(Batch(x, answers(by_colour(), x)), 0.05).any()
    weak = np.zeros((WIDTH, 2), np.float32)
    weak[7, 0], weak[2, 1] = 5.0, 0.1
    sure = network(weak)
    last = x[x[:, 7] == 1]
    assert len(last)
    assert certifier(sure, BOUNDS, Untargeted())(Batch(last, answers(sure, last)), 0.05).all()


@pytest.mark.parametrize("method", ["crown", "complete"])
def test_the_complete_verifier_goes_through_every_record(method: str) -> None:
    model, x = network(seed=5), records(12)
    y = answers(model, x)
    found = verify_batch(model, Untargeted(), BOUNDS, Batch(x, y), 0.05, (method, Limit(rounds=50)))  # type: ignore[arg-type]
    records_of = by_brute_force(SWITCHES, x)
    wrong = np.any([answers(model, each) != y for each in records_of], axis=0)
    verdicts = np.array([each.verdict for each in found])
    assert not (wrong & (verdicts == "proven")).any()
    assert (verdicts == "proven").any()
    if method == "complete":
        assert (verdicts[wrong] == "adversarial").all()


def test_the_complete_verifier_proves_nothing_of_too_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = network(seed=5), records(12)
    monkeypatch.setattr("redoubt.bundle.switches.MOST_PROVEN", 2)
    how = ("crown", Limit(rounds=1))
    found = verify_batch(model, Untargeted(), BOUNDS, Batch(x, answers(model, x)), 0.05, how)  # type: ignore[arg-type]
    assert {each.verdict for each in found} <= {"undecided", "adversarial"}


def test_of_many_records_the_attack_asks_about_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    # It takes both categories to change the answer; the first switch alone makes the margin smaller.
    weights = np.zeros((WIDTH, 2), np.float32)
    weights[[2, 5], 0], weights[7, 1] = 3.0, 1.0
    x, model = np.zeros((4, WIDTH), np.float32), network(weights)
    x[:, [2, 5, 7]] = 1.0
    y, both = np.zeros(4, np.int64), replace(BOUNDS, switches=replace(SWITCHES, most=2))
    monkeypatch.setattr("redoubt.attacks.core.switching.ASKED", 2)
    assert (answers(model, PGD(steps=2)(problem(model), x, y, eps=0.1, seed=0)) == y).all()
    assert (answers(model, PGD(steps=2)(problem(model, bounds=both), x, y, eps=0.1, seed=0)) != y).all()

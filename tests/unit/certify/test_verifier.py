"""No point of a box is below its linear bounds; what is decided is right; a solver of mixed integers agrees."""

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse

from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.certify import verifier
from redoubt.certify.affine import Affine, Doubles, PiecewiseLinear
from redoubt.certify.batches import verify_batch
from redoubt.certify.branch_and_bound import Limit, decide
from redoubt.certify.crown import bound, true_values
from redoubt.certify.crown import optimize as ascend
from redoubt.certify.piecewise import LinearBoundError, piecewise_linear
from redoubt.certify.reduce import OnBox, Question
from redoubt.certify.verifier import METHODS, Decision, leads, verify, within
from redoubt.certify.worst_case import certifier
from tests.support.random_networks import Recipe, anywhere, dense, of_numbers, of_picture, on_pictures
from tests.support.tiny import Case

of_pictures = st.lists(on_pictures | anywhere, min_size=1, max_size=3)
heads = st.lists(dense | anywhere, max_size=2)
tables = st.lists(dense | anywhere, min_size=1, max_size=4)
SECONDS = 1.0


def agrees(network: keras.Model) -> None:
    x = np.random.default_rng(3).normal(size=(5, *network.input_shape[1:])).astype(np.float32)
    expected = network(x, training=False).numpy().reshape(5, -1)
    found = piecewise_linear(network)(x.reshape(5, -1).astype(float))
    assert np.abs(found - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


@settings(max_examples=20)
@given(of_pictures, heads)
def test_a_network_of_pictures_taken_apart_answers_the_same(recipes: list[Recipe], head: list[Recipe]) -> None:
    agrees(of_picture(recipes, head))


@settings(max_examples=20)
@given(tables)
def test_a_network_of_numbers_taken_apart_answers_the_same(recipes: list[Recipe]) -> None:
    agrees(of_numbers(recipes))


def random_network(seed: int, units: tuple[int, ...] = (6, 5)) -> PiecewiseLinear:
    rng, sizes = np.random.default_rng(seed), (4, *units, 3)
    maps = [
        Affine(sparse.csr_array(rng.normal(size=(after, before)) / np.sqrt(before)), 0.3 * rng.normal(size=after))
        for before, after in itertools.pairwise(sizes)
    ]
    return PiecewiseLinear((), tuple(maps), (np.zeros(0, int),) * len(units))


def question(seed: int, eps: float, **given: Any) -> Question:
    network, x = random_network(seed), np.random.default_rng(seed + 1).normal(size=4)
    label = int(network(x).argmax())
    return Question(network, x, x - eps, x + eps, given.get("whole", np.zeros(4, bool)), leads(3, label))


def sampled(asked: Question) -> Doubles:
    rng = np.random.default_rng(5)
    corners = np.where(rng.random((2000, 4)) < 0.5, asked.low, asked.high)
    inner = rng.uniform(asked.low, asked.high, (2000, 4))
    return np.concatenate([corners, inner, asked.x[None]])


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.integers(0, 15))
def test_no_point_is_below_the_bounds(seed: int, eps: float, steps: int) -> None:
    asked = question(seed, eps)
    values = asked.asked(asked.network(sampled(asked)))
    for tightening in (0, steps):
        on_box = OnBox(asked, tightening)
        start, plain = verifier._start(on_box)
        none = np.zeros_like(start)
        best, _ = ascend(on_box.reduced, on_box.rows, on_box.offset, none, verifier.Ascent(start, none), steps, 1e9)
        for found in (plain, best.value):
            assert np.all(values >= found - 1e-9)
        assert np.all(best.value >= plain - 1e-12), "an optimizer that makes a bound worse"


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.1, 1.0))
def test_a_branch_bounds_the_points_that_are_in_it(seed: int, eps: float) -> None:
    asked = question(seed, eps)
    on_box, rng = OnBox(asked), np.random.default_rng(seed)
    reduced, count = on_box.reduced, len(on_box.rows)
    assume(reduced.relus)
    splits = np.tile(rng.choice([-1.0, 0.0, 1.0], reduced.relus), (count, 1))
    slopes, betas = rng.random((count, reduced.relus)), rng.exponential(size=(count, reduced.relus))
    found = bound(reduced, on_box.rows, on_box.offset, slopes, splits, betas).value
    inputs = rng.uniform(reduced.low, reduced.high, (5000, len(reduced.low)))
    variables, held = inputs, np.ones(len(inputs), bool)
    done = 0
    for block in reduced.blocks:
        read = variables @ block.weights.T + block.offset
        held &= (read * splits[0, done : done + len(block.low)] >= 0.0).all(axis=1)
        done += len(block.low)
        variables = np.concatenate([variables, np.maximum(read, 0.0)], axis=1)
    assert np.all(variables[held] @ on_box.rows.T + on_box.offset >= found - 1e-9)


def test_the_gradients_are_those_of_the_bound() -> None:
    on_box, rng = OnBox(question(17, 0.9)), np.random.default_rng(2)
    shape = len(on_box.rows), on_box.reduced.relus
    assert shape[1] > 5
    splits = np.tile(rng.choice([-1.0, 0.0, 1.0], shape[1]), (shape[0], 1))
    slopes, betas = rng.uniform(0.2, 0.8, shape), rng.uniform(0.1, 0.5, shape)

    def value(slopes: Doubles, betas: Doubles) -> Doubles:
        return bound(on_box.reduced, on_box.rows, on_box.offset, slopes, splits, betas).value

    found, step = bound(on_box.reduced, on_box.rows, on_box.offset, slopes, splits, betas), 1e-6
    for relu in range(shape[1]):
        change = step * np.eye(shape[1])[relu]
        by_slope = (value(slopes + change, betas) - value(slopes - change, betas)) / (2 * step)
        by_beta = (value(slopes, betas + change) - value(slopes, betas - change)) / (2 * step)
        assert np.allclose(found.slope_gradient[:, relu], by_slope, atol=1e-6)
        assert np.allclose(found.beta_gradient[:, relu], by_beta, atol=1e-6)


def smallest(asked: Question) -> float:
    """The smallest of what is asked over the box, by HiGHS: one binary for each unstable ReLU."""
    on_box = OnBox(asked)
    reduced, inputs = on_box.reduced, len(on_box.reduced.low)
    blocks, relus = reduced.blocks, reduced.relus
    low = np.concatenate([reduced.low, np.zeros(relus), np.zeros(relus)])
    high = np.concatenate([reduced.high, *(block.high for block in blocks), np.ones(relus)])
    rules, done = [], 0
    for block in blocks:
        for unit in range(len(block.low)):
            read, given, active = (np.zeros(inputs + 2 * relus) for _ in range(3))
            read[: inputs + done] = block.weights[unit]
            given[inputs + done + unit], active[inputs + relus + done + unit] = 1.0, 1.0
            rules.append((given - read, block.offset[unit], np.inf))
            rules.append((given - read - block.low[unit] * active, -np.inf, block.offset[unit] - block.low[unit]))
            rules.append((given - block.high[unit] * active, -np.inf, 0.0))
        done += len(block.low)
    constraint = optimize.LinearConstraint(*(np.array(part) for part in zip(*rules, strict=True))) if rules else ()
    binary = np.concatenate([np.zeros(inputs + relus), np.ones(relus)])
    found = []
    for row, offset in zip(on_box.rows, on_box.offset, strict=True):
        objective = np.concatenate([row, np.zeros(relus)])
        made = optimize.milp(objective, constraints=constraint, integrality=binary, bounds=optimize.Bounds(low, high))
        found.append(made.fun + offset)
    return float(min(found))


def test_a_solver_of_mixed_integers_agrees() -> None:
    """Right at the edge, where neither bounds nor an attack would do: eps is bisected to where the minimum is 0."""
    seen = set()
    for seed in range(8):
        low, high = 0.0, 2.0
        for _ in range(7):
            eps = 0.5 * (low + high)
            low, high = (eps, high) if smallest(question(seed, eps)) > 0 else (low, eps)
        for eps in {low or high, 0.97 * low or high, high}:
            asked = question(seed, eps)
            least, found = smallest(asked), verify(asked, "complete", Limit(5 * SECONDS))
            seen.add((found.verdict, found.method))
            if found.verdict == "proven":
                assert least > 0.0
            elif found.verdict == "adversarial":
                assert least < 1e-6
                assert_adversarial(asked, found)
            else:
                assert abs(least) <= 2 * verifier.MARGIN, (seed, eps)
    assert {("proven", "complete"), ("adversarial", "complete"), ("proven", "crown")} <= seen


def assert_adversarial(asked: Question, found: Decision) -> None:
    point = found.point
    assert point is not None
    assert np.all((asked.low <= point) & (point <= asked.high))
    assert asked.asked(asked.network(point[None])).min() < 0.0


def test_each_method_only_adds_proofs_and_none_proves_what_an_attack_refutes(case: Case) -> None:
    batch = case.test.take(np.arange(16))
    problem = AttackProblem(of_network(case.network), case.criterion, "linf", case.bounds)
    for eps in (0.02, 0.1):
        x_adv = PGD(steps=10)(problem, batch.x, batch.y, eps=eps, seed=1)
        broken = case.criterion.is_adversarial(problem.predict(x_adv), batch.y)
        intervals, before = certifier(case.network, case.bounds, case.criterion)(batch, eps), np.zeros(16, bool)
        for method in METHODS:
            decisions = verify_batch(case.network, case.criterion, case.bounds, batch, eps, (method, Limit(SECONDS)))
            proven = np.array([each.verdict == "proven" for each in decisions])
            assert not np.any(before & ~proven)
            assert not np.any(proven & broken)
            before = proven
        refuted = np.array([each.verdict == "adversarial" for each in decisions])
        assert not np.any(intervals & refuted)
        assert np.mean(before | refuted) >= 0.8, "nearly all are decided"


def test_what_is_misclassified_is_never_proven() -> None:
    asked = question(3, 0.1)
    wrong = (int(asked.network(asked.x).argmax()) + 1) % 3
    for eps in (0.0, 0.1):
        found = verify(
            Question(asked.network, asked.x, asked.x - eps, asked.x + eps, asked.whole, leads(3, wrong)),
            "complete",
            Limit(1.0),
        )
        assert found.verdict == "adversarial"
        assert np.array_equal(found.point, asked.x)


def test_a_network_of_nan_proves_nothing() -> None:
    asked = question(3, 0.1)
    last = Affine(asked.network.maps[-1].matrix, np.full(3, np.nan))
    broken = PiecewiseLinear((), (*asked.network.maps[:-1], last), asked.network.kept)
    nowhere = Question(broken, asked.x, asked.low, asked.high, asked.whole, asked.asked)
    assert verify(nowhere, "complete", Limit(1.0)).verdict != "proven"


def test_only_whole_numbers_refute_where_an_attacker_may_send_no_others() -> None:
    """x = 1 is safe up to 1.4, adversarial from 1.5: within 0.9 no whole number is, and the whole box is not proven."""
    network = PiecewiseLinear((), (Affine(sparse.csr_array([[-1.0]]), np.array([1.5])),), ())
    for whole, eps, verdict in ((False, 0.9, "adversarial"), (True, 0.9, "undecided"), (True, 1.0, "adversarial")):
        x = np.array([1.0])
        asked = Question(network, x, x - eps, x + eps, np.array([whole]), within(0.0, 5.0))
        lead = Question(network, x, x - eps, x + eps, np.array([whole]), Affine(sparse.csr_array([[1.0]]), np.zeros(1)))
        assert verify(asked, "complete", Limit(1.0)).verdict == "proven"
        assert verify(lead, "complete", Limit(1.0)).verdict == verdict


@pytest.mark.parametrize("limit", [Limit(seconds=0.0), Limit(rounds=0)], ids=["time", "rounds"])
def test_past_its_limit_an_example_is_undecided(limit: Limit) -> None:
    for seed in range(40):
        on_box = OnBox(question(seed, 0.8))
        slopes, value = verifier._start(on_box)
        values = true_values(on_box.reduced, on_box.rows, on_box.offset, np.tile(on_box.reduced.low, (2, 1)))
        if value.min() < 0 < values.min() and on_box.reduced.relus:
            verdict, point = decide(on_box, slopes, 0.0, limit)
            assert verdict in ("undecided", "adversarial")
            assert (point is None) == (verdict == "undecided")


REFUSED = {
    "leaky": (keras.layers.ReLU(negative_slope=0.1), "has a threshold or a negative slope"),
    "tanh": (keras.layers.Dense(2, activation="tanh"), "has activation tanh"),
    "softplus": (keras.layers.Softmax(), "is a Softmax"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_without_linear_bounds_is_named(name: str) -> None:
    layer, sentence = REFUSED[name]
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), layer, keras.layers.Dense(2)])
    with pytest.raises(LinearBoundError, match=sentence) as error:
        piecewise_linear(network)
    assert f"'{layer.name}'" in str(error.value)


def test_a_network_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redoubt.certify.piecewise.MOST_WEIGHTS", 10)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(LinearBoundError, match="12 products per input, of 10 that fit in memory"):
        piecewise_linear(network)

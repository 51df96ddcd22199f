"""One perturbation for all rows: what it achieves here and elsewhere, and what it may not do."""

import io
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from tqdm import tqdm

from redoubt.attacks.core.criteria import Targeted, Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.problem import AttackError, AttackProblem, of_network
from redoubt.core.types import PIXELS, Bounds, Norm
from redoubt.models.networks import build
from redoubt.scenarios.universal import Universal, apply, fooled, fooling_rate, random_delta
from redoubt.training.fit import Plan, compile_network, fit, on_rows
from tests.support import tiny
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE, NUMBER

# Enough to fool some rows of each tiny task, not all.
EPS: dict[str, dict[Norm, float]] = {
    IMAGE: {"linf": 0.3, "l2": 1.5},
    tiny.TABLE: {"linf": 0.5, "l2": 0.7},
    NUMBER: {"linf": 0.4, "l2": 0.6},
}
UNIVERSAL = Universal(epochs=4, batch_size=32)


@pytest.fixture(scope="module")
def other() -> keras.Model:
    """The tiny pictures' network from other initial weights and other rows."""
    train = tiny.rows(IMAGE, 256, seed=7)
    network = build(tiny.MODELS[IMAGE], tiny.SCHEMAS[IMAGE], tiny.fit(train, tiny.SCHEMAS[IMAGE]), seed=7)
    plan = Plan(epochs=12, batch_size=32, learning_rate=0.02)
    compile_network(network, plan, len(train), 3)
    fit(network, network, train, on_rows(network, train), plan)
    return network


def learn(threat: Threat, seed: int = 0, **change: Any) -> tuple[np.ndarray, float]:
    train = tiny.rows(threat.case.name, 128, seed=3)
    eps = change.pop("eps", EPS[threat.case.name][threat.problem.norm])
    bounds = threat.problem.bounds.covering(train.x)
    problem = AttackProblem(threat.problem.outputs, threat.problem.criterion, threat.problem.norm, bounds)
    return UNIVERSAL.fit(problem, train.x, change.get("y", train.y), eps=eps, seed=seed), eps


def test_it_fools_more_than_noise_of_the_same_size(threat: Threat) -> None:
    delta, eps = learn(threat)
    x, problem = threat.case.test.x, threat.problem
    noise = [random_delta(problem, x.shape[1:], eps=eps, seed=seed) for seed in range(5)]
    for baseline in noise:
        assert distance(baseline[None], problem.norm, problem.bounds) == pytest.approx(eps, rel=1e-4)
    baselines = [fooling_rate(problem, x, baseline, eps=eps) for baseline in noise]
    # A table of two numbers has so few directions that the best of five random ones is as good.
    margin = 0.15 if threat.case.name == IMAGE else -0.02
    assert fooling_rate(problem, x, delta, eps=eps) >= max(baselines) + margin


def test_it_keeps_the_rules(threat: Threat) -> None:
    delta, eps = learn(threat)
    x, bounds = threat.case.test.x, threat.problem.bounds
    assert (delta.shape, delta.dtype) == (x.shape[1:], np.float32)
    assert distance(delta[None], threat.problem.norm, bounds) <= eps * (1 + 1e-5)
    x_adv = apply(x, delta, bounds)
    assert x_adv.dtype == np.float32
    assert np.all((x_adv >= bounds.lower) & (x_adv <= bounds.upper))
    fixed = np.broadcast_to(bounds.scale, x.shape) == 0
    assert np.array_equal(x_adv[fixed], x[fixed])
    flags = fooled(threat.problem, x, delta, eps=eps)
    assert (flags.shape, flags.dtype) == ((len(x),), np.bool_)
    assert flags.mean() == fooling_rate(threat.problem, x, delta, eps=eps)


@pytest.mark.parametrize("norm", NORMS)
def test_what_was_learned_on_one_network_fools_another(
    threats: Callable[[str, Norm], Threat], other: keras.Model, norm: Norm
) -> None:
    threat = threats(IMAGE, norm)
    delta, eps = learn(threat)
    x, elsewhere = threat.case.test.x, AttackProblem(of_network(other), Untargeted(), norm, PIXELS)
    assert (elsewhere.predict(x).argmax(axis=1) == threat.case.test.y).mean() > 0.9
    noise = [fooling_rate(elsewhere, x, random_delta(elsewhere, x.shape[1:], eps=eps, seed=i), eps=eps) for i in (1, 2)]
    assert fooling_rate(elsewhere, x, delta, eps=eps) >= max(noise) + 0.15


@pytest.mark.parametrize("norm", NORMS)
def test_against_a_line_the_best_perturbation_is_known(norm: Norm) -> None:
    """Rows of one class share their steepest direction."""
    kernel = np.float32([[3.0, 0.0], [0.0, 1.0], [-2.0, 0.0]])
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    network.set_weights([kernel])
    bounds = Bounds(np.full(3, -9, np.float32), np.full(3, 9, np.float32), np.float32([1.0, 2.0, 0.5]))
    x, y = np.random.default_rng(0).uniform(0, 0.3, (200, 3)).astype(np.float32), np.zeros(200, np.int64)
    problem = AttackProblem(of_network(network), Untargeted(), norm, bounds)
    delta = Universal(epochs=20, batch_size=50).fit(problem, x, y, eps=0.1, seed=0)
    slope = np.array([-3.0, 1.0, 2.0]) * bounds.scale
    best = 0.1 * bounds.scale * (np.sign(slope) if norm == "linf" else slope / np.linalg.norm(slope))
    assert delta == pytest.approx(best, abs=1e-3)


def test_a_target_for_all(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(IMAGE, "linf")
    problem, train = AttackProblem(threat.problem.outputs, Targeted(), "linf", PIXELS), tiny.rows(IMAGE, 128, seed=3)
    for target in range(3):
        delta = UNIVERSAL.fit(problem, train.x, np.full(128, target), eps=0.5, seed=0)
        answers = threat.problem.predict(apply(threat.case.test.x, delta, PIXELS)).argmax(axis=1)
        assert np.mean(answers == target) > 0.8


def test_it_needs_no_labels(threats: Callable[[str, Norm], Threat]) -> None:
    """The model's own answers will do, also of numbers, where the error then starts at 0."""
    threat = threats(NUMBER, "linf")
    own = threat.problem.predict(tiny.rows(NUMBER, 128, seed=3).x)[:, 0]
    delta, eps = learn(threat, y=own)
    assert fooling_rate(threat.problem, threat.case.test.x, delta, eps=eps) > 0.3


def test_the_seed_decides(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(IMAGE, "l2")
    first, again, another = (learn(threat, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, another)


def test_a_bar_moves_once_per_mini_batch(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(IMAGE, "linf")
    with tqdm(total=5, file=io.StringIO()) as bar:
        test = threat.case.test
        Universal(epochs=3, batch_size=40).fit(threat.problem, test.x, test.y, eps=0.1, seed=0, bar=bar)
        assert bar.n == 5, "3 times 64 rows are 5 batches"


def test_eps_0_changes_nothing(threat: Threat) -> None:
    delta, _ = learn(threat, eps=0.0)
    assert not delta.any()
    assert fooling_rate(threat.problem, threat.case.test.x, delta, eps=0.0) == 0


def test_whole_numbers_stay_whole() -> None:
    bounds = Bounds(np.float32([0, 0]), np.float32([9, 9]), np.float32([1, 1]), np.array([True, False]))
    x_adv = apply(np.float32([[3, 3], [9, 9], [0.5, 0]]), np.float32([1.6, 0.5]), bounds)
    assert x_adv == pytest.approx(np.float32([[4, 3.5], [9, 9], [2.1, 0.5]]))


@pytest.mark.parametrize(
    ("rows", "eps", "says"),
    [(0, 0.1, "no examples; a universal perturbation needs at least one"), (9, -1.0, "eps is -1.0; it must be >= 0")],
    ids=["rows", "eps"],
)
def test_what_cannot_be_learned_is_refused(threat: Threat, rows: int, eps: float, says: str) -> None:
    with pytest.raises(AttackError, match=says):
        UNIVERSAL.fit(threat.problem, threat.case.test.x[:rows], threat.case.test.y[:rows], eps=eps, seed=0)


def test_a_perturbation_that_is_too_large_is_not_counted(threats: Callable[[str, Norm], Threat]) -> None:
    threat = threats(IMAGE, "linf")
    with pytest.raises(AttackError, match="allowed is eps = 0.1"):
        fooled(threat.problem, threat.case.test.x, np.full((6, 6, 1), 0.2, np.float32), eps=0.1)

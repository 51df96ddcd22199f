"""Perturbations that carry over, and a substitute grown from answers alone."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from tqdm import tqdm

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.problem import AttackError, AttackProblem, of_callable, of_network
from redoubt.attacks.noise import Noise
from redoubt.attacks.query import Oracle
from redoubt.core.types import PIXELS, Batch, Bounds, Floats
from redoubt.models.networks import build
from redoubt.params.settings.networks import Mlp
from redoubt.scenarios.substitute import Point, Substitute, success_curve
from redoubt.scenarios.transfer import ensemble_outputs, transfer_matrix
from tests.support import tiny
from tests.support.tiny import IMAGE, TABLE, Case

WIDE = Bounds(np.float32(-1), np.float32(1), np.float32(1))


def line(*slope: float, offset: float = 0.0) -> keras.Model:
    """Logits z and -z of one linear z."""
    network = keras.Sequential([keras.Input((len(slope),)), keras.layers.Dense(2)])
    kernel = np.float32(slope)[:, None]
    network.set_weights([np.hstack([kernel, -kernel]), np.float32([offset, -offset])])
    return network


def problem_for(network: keras.Model, bounds: Bounds = WIDE) -> AttackProblem:
    return AttackProblem(of_network(network), Untargeted(), "linf", bounds)


# Both inputs say the class; the first line reads the first, the second the second. The third errs where they are small.
ROWS = Batch(np.float32([[0.1, 0.1], [0.2, 0.2], [-0.1, -0.1], [-0.2, -0.2]]), np.array([0, 0, 1, 1]))
LINES = {"first": line(1, 0), "second": line(0, 1), "both": line(1, 1), "weak": line(1, 0, offset=0.15)}


def test_what_misleads_one_line_is_known_for_another() -> None:
    problems = {name: problem_for(LINES[name]) for name in ("first", "second", "both")}
    found = transfer_matrix(problems, fgsm(), ROWS.x, ROWS.y, eps=0.3, seed=0)
    assert found.rows == 4
    assert found.clean == {"first": 1, "second": 1, "both": 1}
    assert found.success_rate == {
        "first": {"first": 1, "second": 0, "both": 0.5},
        "second": {"first": 0, "second": 1, "both": 0.5},
        "both": {"first": 1, "second": 1, "both": 1},
    }
    assert found.accuracy == {
        maker: {name: 1 - share for name, share in row.items()} for maker, row in found.success_rate.items()
    }


def test_a_weak_models_own_mistakes_are_not_the_attackers() -> None:
    """One row of four is wrong from the start: no transfer of it, and it counts in the accuracy alone."""
    problems = {name: problem_for(LINES[name]) for name in ("second", "weak")}
    found = transfer_matrix(problems, fgsm(), ROWS.x, ROWS.y, eps=0.3, seed=0)
    assert (found.rows, found.clean) == (3, {"second": 1, "weak": 0.75})
    assert found.success_rate["second"] == {"second": 1, "weak": 0}
    assert found.accuracy["second"] == {"second": 0, "weak": 0.75}


def test_who_only_answers_makes_nothing() -> None:
    problems = {name: problem_for(LINES[name]) for name in ("first", "both")}
    answers = of_callable(lambda x: LINES["second"](x).numpy(), 2)
    problems["service"] = AttackProblem(answers, Untargeted(), "linf", WIDE)
    with tqdm(total=2, file=io.StringIO()) as bar:
        found = transfer_matrix(problems, fgsm(), ROWS.x, ROWS.y, eps=0.3, seed=0, bar=bar)
        assert bar.n == 2
    assert found.success_rate == {
        "first": {"first": 1, "both": 0.5, "service": 0},
        "both": {"first": 1, "both": 1, "service": 1},
    }
    assert set(found.accuracy) == {"first", "both"}
    assert found.clean["service"] == 1


def test_rows_that_nobody_answers_alike_are_refused() -> None:
    problems = {"first": problem_for(line(1, 0)), "contrary": problem_for(line(-1, 0))}
    with pytest.raises(AttackError, match="none of 4 examples is classified correctly by all of first, contrary"):
        transfer_matrix(problems, fgsm(), ROWS.x, ROWS.y, eps=0.3, seed=0)


def test_an_ensemble_misleads_its_members() -> None:
    members = [of_network(LINES[name]) for name in ("first", "second")]
    ensemble = AttackProblem(ensemble_outputs(members), Untargeted(), "linf", WIDE)
    assert ensemble.predict(ROWS.x) == pytest.approx(LINES["both"](ROWS.x).numpy() / 2)
    problems = {"ensemble": ensemble, "first": problem_for(LINES["first"]), "second": problem_for(LINES["second"])}
    found = transfer_matrix(problems, fgsm(), ROWS.x, ROWS.y, eps=0.3, seed=0)
    assert found.success_rate["ensemble"] == {"ensemble": 1, "first": 1, "second": 1}
    with pytest.raises(AttackError, match="at least one member"):
        ensemble_outputs([])


def test_a_proxy_trained_on_like_data_misleads_more_than_noise(trained: Callable[[str], Case]) -> None:
    """Another architecture, other rows; as taught."""
    case, train = trained(IMAGE), tiny.rows(IMAGE, 256, seed=7)
    proxy = build(Mlp(kind="mlp", units=(16,)), case.schema, case.scaler, seed=7)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    proxy.compile(keras.optimizers.Adam(0.02), loss, jit_compile=False)
    proxy.fit(train.x, train.y, epochs=10, shuffle=False, verbose=0)
    problems = {"served": problem_for(case.network, PIXELS), "proxy": problem_for(proxy, PIXELS)}
    found, noise = (
        transfer_matrix(problems, attack, case.test.x, case.test.y, eps=0.3, seed=0)
        for attack in (PGD(steps=10), Noise())
    )
    assert found.success_rate["proxy"]["served"] >= noise.success_rate["proxy"]["served"] + 0.15
    assert found.success_rate["proxy"]["served"] <= found.success_rate["served"]["served"]


def untrained(inputs: int, classes: int, seed: int = 0) -> keras.Model:
    seeds = iter(range(seed, seed + 2))
    first = keras.layers.Dense(16, "relu", kernel_initializer=keras.initializers.HeNormal(next(seeds)))
    second = keras.layers.Dense(classes, kernel_initializer=keras.initializers.HeNormal(next(seeds)))
    return keras.Sequential([keras.Input((inputs,)), first, second])


KERNEL = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
START = np.random.default_rng(1).uniform(-1, 1, (20, 5)).astype(np.float32)
FRESH = np.random.default_rng(2).uniform(-1, 1, (1000, 5)).astype(np.float32)
QUICK = Substitute(budget=330, growth=100, epochs=20, learning_rate=0.01)


def scores(x: Floats) -> Floats:
    return x @ KERNEL


def choices(x: Floats) -> Floats:
    return np.eye(3, dtype=np.float32)[scores(x).argmax(axis=1)]


def agreement(network: keras.Model) -> float:
    return float(np.mean(network(FRESH).numpy().argmax(axis=1) == scores(FRESH).argmax(axis=1)))


def test_a_substitute_grows_into_its_oracle_and_counts_what_it_asks() -> None:
    network, oracle = untrained(5, 3), Oracle(scores)
    seen, before = [], agreement(network)
    with tqdm(total=330, disable=True) as bar:
        for done in QUICK.rounds(oracle, network, START, WIDE, seed=0, bar=bar):
            assert done.queries == oracle.queries, "asked more, or less, than was counted"
            seen.append((done.queries, agreement(network)))
    assert [queries for queries, _ in seen] == [20, 40, 80, 160, 260, 330]
    assert before < 0.7
    assert seen[-1][1] > 0.9
    assert seen[-1][1] > seen[0][1] + 0.05


def test_what_it_foresaw_is_told_without_a_query() -> None:
    """An oracle of one answer is soon foreseen."""
    network = untrained(5, 3)
    history = list(QUICK.rounds(lambda x: np.tile(np.float32([0, 0, 1]), (len(x), 1)), network, START, WIDE, seed=0))
    first = float(np.mean(untrained(5, 3)(START).numpy().argmax(axis=1) == 2))
    assert history[0].agreement == first < 0.9
    assert history[-1].agreement == 1.0


def test_first_choices_are_all_it_reads_and_the_seed_decides() -> None:
    weights = []
    for ask, seed in ((scores, 0), (choices, 0), (scores, 1)):
        network = untrained(5, 3)
        list(QUICK.rounds(ask, network, START, WIDE, seed=seed))
        weights.append(np.concatenate([part.ravel() for part in network.get_weights()]))
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_it_asks_what_the_bounds_allow(trained: Callable[[str], Case]) -> None:
    """In a table's own units; categories stay those of the first inputs."""
    case, asked = trained(TABLE), []

    def ask(x: Floats) -> Floats:
        asked.append(x)
        return case.network(x).numpy()

    start = case.test.x[:10]
    network = build(Mlp(kind="mlp", units=(8,)), case.schema, case.scaler, seed=5)
    list(Substitute(budget=80, step=0.5, epochs=5).rounds(ask, network, start, case.bounds, seed=0))
    x = np.concatenate(asked)
    assert len(x) == 80
    assert np.all((x >= case.bounds.lower) & (x <= case.bounds.upper))
    assert len(np.unique(x[:, :2], axis=0)) > 40, "the inputs did not move"
    assert {tuple(row) for row in x[:, 2:]} == {tuple(row) for row in start[:, 2:]}
    inner = (x[10:, 0] > case.bounds.lower[0]) & (x[10:, 0] < case.bounds.upper[0])
    steps = (x[10:, None, 0] - x[None, :, 0])[inner] / (0.5 * case.bounds.scale[0])
    assert np.all(np.abs(np.abs(steps) - 1).min(axis=1) < 1e-3), "a step is not lambda in units of the scale"


def test_a_few_pictures_and_an_open_api_mislead_more_than_noise(trained: Callable[[str], Case]) -> None:
    case = trained(IMAGE)
    ask = Oracle(lambda x: case.network(x).numpy())
    network = build(tiny.MODELS[IMAGE], case.schema, case.scaler, seed=9)
    problem, few = problem_for(network, PIXELS), tiny.rows(IMAGE, 15, seed=11).x
    grow = Substitute(budget=240, growth=120, epochs=10, learning_rate=0.01)
    points = list(
        success_curve(
            grow.rounds(ask, network, few, PIXELS, seed=0), problem, ask, PGD(steps=10), case.test, eps=0.25, seed=0
        )
    )
    assert [point.queries for point in points] == [15, 30, 60, 120, 240]
    assert ask.queries > 240, "the measurement asks too"
    noise = Noise()(problem, case.test.x, case.test.y, eps=0.25, seed=0)
    right = Untargeted().is_adversarial(case.network(case.test.x).numpy(), case.test.y) == 0
    by_noise = Untargeted().is_adversarial(case.network(noise).numpy(), case.test.y)[right].mean()
    assert points[-1].success_rate >= by_noise + 0.15
    assert points[-1].agreement > 0.9


class DownError(Exception):
    """The service has gone away."""


def test_what_was_done_before_the_oracle_fell_silent_is_kept() -> None:
    oracle, network = Oracle(scores), untrained(5, 3)

    def ask(x: Floats) -> Floats:
        if oracle.queries >= 80:
            raise DownError
        return oracle(x)

    rounds, history = QUICK.rounds(ask, network, START, WIDE, seed=0), []
    with pytest.raises(DownError):
        history.extend(rounds)
    assert [done.queries for done in history] == [20, 40, 80]
    kept = untrained(5, 3)
    list(Substitute(budget=80, growth=100, epochs=20, learning_rate=0.01).rounds(scores, kept, START, WIDE, seed=0))
    assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), kept.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"start": START[:0]}, "0 first inputs; expected 1 to the budget of 330 queries"),
        ({"start": np.repeat(START, 20, axis=0)}, "400 first inputs; expected 1 to the budget of 330"),
        ({"start": START * np.nan}, "the first inputs cannot be asked: inputs hold NaN"),
        ({"start": START + 5}, "the first inputs cannot be asked: .*outside their bounds"),
        ({"ask": lambda x: scores(x).argmax(axis=1)}, r"returned shape \(20,\); expected \(20, 3\)"),
        ({"ask": lambda x: scores(x)[:, :2]}, r"returned shape \(20, 2\); expected \(20, 3\)"),
    ],
    ids=["none", "many", "nan", "outside", "labels", "classes"],
)
def test_what_cannot_be_grown_is_refused(change: dict[str, Any], says: str) -> None:
    given = {"ask": scores, "start": START, **change}
    with pytest.raises(AttackError, match=says):
        list(QUICK.rounds(given["ask"], untrained(5, 3), given["start"], WIDE, seed=0))


def test_an_oracle_that_is_always_wrong_cannot_be_misled() -> None:
    network = untrained(5, 3)
    wrong = Batch(FRESH, (scores(FRESH).argmax(axis=1) + 1) % 3)
    points: Iterator[Point] = success_curve([], problem_for(network), scores, fgsm(), wrong, eps=0.1, seed=0)
    with pytest.raises(AttackError, match="misclassifies all of 1000 test examples"):
        list(points)

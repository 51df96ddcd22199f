"""Scaling leaves the answer and saves updates; the closed count of updates is that of the walk."""

import numpy as np
import pytest

from redoubt.studies.contract import Doubles
from redoubt.studies.descent.gradient_descent import descend
from redoubt.studies.descent.scaling import (
    ARRIVED,
    WAYS,
    askew,
    best_rate,
    bowl_of,
    by_ratio,
    condition,
    example,
    prepared,
    updates,
)
from tests.unit.studies.conftest import Run


@pytest.fixture(scope="module")
def x() -> Doubles:
    return np.random.default_rng(0).normal(size=(50, 3)) @ np.array([[1, 0.5, 0], [0, 20, 1], [0, 0, 300]]) + 7


def test_standardizing_gives_mean_0_and_variance_1(x: Doubles) -> None:
    made = prepared(x, "standardized")
    assert made == pytest.approx((x - x.mean(axis=0)) / x.std(axis=0))
    assert made.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert made.var(axis=0) == pytest.approx(np.ones(3))


def test_whitening_takes_correlation_out_too(x: Doubles) -> None:
    assert np.cov(prepared(x, "whitened"), rowvar=False, bias=True) == pytest.approx(np.eye(3), abs=1e-10)


@pytest.mark.parametrize("ratio", [1.0, 5.0, 30.0])
def test_the_count_is_that_of_the_walk(ratio: float) -> None:
    bowl = bowl_of(*example(60, np.random.default_rng(1), ratio))
    start = np.zeros(3)
    count = updates(bowl, start)
    left = bowl.excess(descend(bowl.gradient, start, [best_rate(bowl)] * count)) / bowl.excess(start)
    assert left[-1] <= ARRIVED < left[-2]


def test_no_other_constant_rate_shrinks_the_slowest_axis_faster(x: Doubles) -> None:
    bowl = bowl_of(prepared(x, "standardized"), x.sum(axis=1))
    slowest = [np.abs(1 - rate * bowl.spectrum).max() for rate in best_rate(bowl) * np.array([0.9, 1.0, 1.1])]
    kappa = condition(bowl)
    assert slowest[1] == pytest.approx((kappa - 1) / (kappa + 1))
    assert slowest[1] < min(slowest[0], slowest[2])


def test_in_a_round_bowl_downhill_is_towards_the_goal() -> None:
    round_, stretched = (bowl_of(*example(4000, np.random.default_rng(2), times)) for times in (1.0, 100.0))
    assert askew(round_, np.zeros(3)) < 5
    assert askew(stretched, np.zeros(3)) > 80


@pytest.mark.parametrize("real", [False, True])
def test_every_step_of_preparing_saves_updates(request: pytest.FixtureRequest, *, real: bool) -> None:
    run: Run = request.getfixturevalue("course" if real else "quick")
    numbers = run("scaling").numbers
    for what in ("condition", "updates"):
        for data in ("example", "pokemon"):
            values = [numbers[f"{what}_{data}/{way}"] for way in WAYS]
            assert values == sorted(values, reverse=True)
    assert numbers["updates_pokemon/raw"] > 1e7
    assert 10 < numbers["updates_pokemon/standardized"] < 200
    assert numbers["updates_pokemon/whitened"] == 1
    assert numbers["askew_pokemon/raw"] > 80 > 60 > numbers["askew_pokemon/standardized"]


def test_scaling_does_not_change_the_answer(quick: Run) -> None:
    assert quick("scaling").numbers["answers_off"] < 1e-9


def test_updates_grow_with_the_square_of_the_ratio(quick: Run) -> None:
    assert quick("scaling").numbers["exponent"] == pytest.approx(2, abs=0.05)
    ratios = np.array([10.0, 100.0, 1000.0])
    counts, scaled = (by_ratio(50, np.random.default_rng(3), ratios, way) for way in ("raw", "standardized"))
    assert len(set(scaled)) == 1
    assert counts[1:] / counts[:-1] == pytest.approx([100, 100], rel=0.05)

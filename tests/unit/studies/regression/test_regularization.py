"""The slide's path of lambda, ridge in other words, and what the penalty is for."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize

from redoubt.studies.given import SPECIES, Given
from redoubt.studies.regression.polynomial import lees_error
from redoubt.studies.regression.regularization import (
    COURSE,
    INPUTS,
    LAMBDAS,
    NAMES,
    Sizes,
    answers,
    by_sklearn,
    features,
    path,
    ridge,
    sensitivity,
    shift_off,
)
from redoubt.studies.regression.species import after, deltas
from tests.unit.studies.conftest import Run

TRAIN = Given(course=False, seed=3).evolutions().train


def test_the_courses_path_comes_out(course: Run) -> None:
    numbers = course("regularization").numbers
    found = [[numbers[f"{part}/{name}"] for part in ("train", "test")] for name in NAMES]
    assert np.allclose(found, COURSE, atol=0.0501)
    exact = [102.314, 68.657, 25.702, 11.092, 12.770, 18.675, 26.771]
    assert np.allclose([test for _, test in found], exact, atol=0.0005)
    best = course("regularization").tables[0].rows[3]
    assert best[0] == "100"
    assert best[5:7] == ["35.1", "21.6"]


def test_two_eevees_make_the_courses_test_error(course: Run) -> None:
    shares = [float(str(row[1])) for row in course("regularization").tables[1].rows]
    assert min(shares[:3]) > 95


@pytest.mark.parametrize("data", ["quick", "course"])
def test_a_penalty_costs_on_the_training_rows_and_pays_on_others(data: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(data)("regularization").numbers
    train, weights, simulated = (
        [numbers[f"{kind}/{name}"] for name in NAMES] for kind in ("train", "weights", "simulated_test")
    )
    assert all(before < behind for before, behind in pairwise(train))
    assert all(before > behind for before, behind in pairwise(weights))
    assert 0 < int(np.argmin(simulated)) < len(LAMBDAS) - 1
    assert min(simulated) < 0.9 * min(simulated[0], simulated[-1])


@pytest.mark.parametrize("data", ["quick", "course"])
def test_a_penalty_makes_the_function_smoother(data: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(data)("regularization").numbers
    moved = [numbers[f"moved/{name}"] for name in NAMES]
    assert moved[0] > moved[1] > moved[2] > moved[3]
    assert max(moved[3:]) < moved[0]
    assert min(moved) == moved[-1]


@pytest.mark.parametrize("data", ["quick", "course"])
def test_a_free_bias_follows_and_a_penalized_one_does_not(data: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(data)("regularization").numbers
    assert numbers["shift_off/bias_free"] < 1e-4
    assert numbers["shift_off/bias_penalized"] > 100


def test_a_penalized_bias_follows_worse_the_larger_lambda() -> None:
    off = [shift_off(TRAIN, strength, free=False) for strength in (0.1, 10.0, 1000.0)]
    assert off[0] < off[1] < off[2]


def test_ridge_is_sklearns_with_lambda_squared(quick: Run) -> None:
    assert quick("regularization").numbers["sklearn_off"] < 1e-6
    ours = answers(ridge(deltas(TRAIN), features(TRAIN), after(TRAIN), 100.0), TRAIN)
    assert np.allclose(ours, by_sklearn(TRAIN, 100.0))
    assert not np.allclose(ours, by_sklearn(TRAIN, 10.0))


def test_ridge_minimizes_what_the_formula_says() -> None:
    rng = np.random.default_rng(0)
    free, held, y = np.ones((30, 1)), rng.normal(size=(30, 3)), rng.normal(2.0, size=30)

    def loss(w: np.ndarray) -> float:
        errors = y - np.hstack([free, held]) @ w
        return float(np.square(errors).sum() + 3.0**2 * np.square(w[1:]).sum())

    found = ridge(free, held, y, 3.0)
    assert np.allclose(found, minimize(loss, np.zeros(4)).x, atol=1e-5)


def test_the_path_is_ridge_by_lambda_and_answers_is_its_model() -> None:
    weights = path(TRAIN)
    assert weights.shape == (18, len(LAMBDAS))
    row = TRAIN.iloc[[0]]
    one, cp = weights[:, 3], float(row["cp"].iloc[0])
    kind = list(SPECIES).index(row["species"].iloc[0])
    by_hand = one[kind] + one[4 + kind] * cp + one[8 + kind] * cp**2
    for place, name in enumerate(INPUTS[1:]):
        value = float(row[name].iloc[0])
        by_hand += one[12 + 2 * place] * value + one[13 + 2 * place] * value**2
    assert answers(weights, row)[0, 3] == pytest.approx(by_hand)


def test_sensitivity_of_a_line_is_its_slope_times_the_noise() -> None:
    weights = np.zeros((18, 2))
    weights[4:8, 0], weights[12, 1] = 2.0, 3.0
    sizes = Sizes(worlds=1, draws=400, noise=0.1)
    found = sensitivity(weights, TRAIN, sizes, np.random.default_rng(0))
    expected = [0.2 * TRAIN["cp"].std(ddof=0), 0.3 * TRAIN["hp"].std(ddof=0)]
    assert np.allclose(found, expected, rtol=0.03)


def test_the_table_gives_rmse_and_not_the_courses_metric(quick: Run) -> None:
    for row in quick("regularization").tables[0].rows:
        assert float(str(row[5])) == pytest.approx(float(str(row[4])) * np.sqrt(10), rel=0.01)
    assert lees_error(np.ones(4)) == 0.5

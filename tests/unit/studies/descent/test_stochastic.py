"""One example at a time: right on average, better per pass, worse per update, and never still at a constant rate."""

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor

from redoubt.studies.descent.gradient_descent import descend
from redoubt.studies.descent.stochastic import GRID, MORE, Examples, one_gradient, orders, stochastic, walks
from tests.unit.studies.conftest import Run


@pytest.fixture(scope="module")
def data() -> Examples:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    return Examples(x, x @ np.array([1.0, -0.5]) + 0.3 * rng.normal(size=40))


def test_one_gradient_is_that_of_one_squared_error(data: Examples) -> None:
    point, x, y = np.array([0.3, -0.7]), data.x[5], data.y[5]
    slopes = [((x @ (point + s) - y) ** 2 - (x @ (point - s) - y) ** 2) / 2e-6 for s in 1e-6 * np.eye(2)]
    assert one_gradient(point, x, y) == pytest.approx(slopes, rel=1e-6)


def test_on_average_it_is_the_full_gradient(data: Examples, quick: Run) -> None:
    point = np.array([2.0, -1.0])
    assert one_gradient(point, data.x, data.y).mean(axis=0) == pytest.approx(data.bowl.gradient(point))
    assert quick("stochastic").numbers["gradient_off"] < 1e-12


def test_the_walk_is_scikit_learns(data: Examples) -> None:
    # Its loss is half the square.
    theirs = SGDRegressor(
        alpha=0, fit_intercept=False, learning_rate="constant", eta0=0.02, shuffle=False, max_iter=3, tol=None
    ).fit(data.x, data.y)
    order = np.tile(np.arange(40), 3)[:, None]
    ours = stochastic(data, order, np.full((120, 1), 0.01))
    assert ours[-1, 0, 0] == pytest.approx(theirs.coef_)


def test_a_pass_shows_every_example_once_in_a_new_order() -> None:
    order = orders(7, 3, 4, np.random.default_rng(1))
    assert order.shape == (21, 4)
    for each in order.T.reshape(4, 3, 7).reshape(-1, 7):
        assert sorted(each) == list(range(7))
    assert len({tuple(each) for each in order.T}) == 4


def test_only_one_parameter_moves_per_update(data: Examples) -> None:
    path = stochastic(data, orders(40, 1, 1, np.random.default_rng(2)), np.full((40, 1), 0.01), single=True)[:, 0, 0]
    moved = np.diff(path, axis=0) != 0
    assert moved[::2].tolist() == [[True, False]] * 20
    assert moved[1::2].tolist() == [[False, True]] * 20


def test_the_full_batch_is_gradient_descent_at_the_best_of_the_rates(data: Examples) -> None:
    rate, left = walks(data, "full", orders(40, 3, 1, np.random.default_rng(3)))
    start = np.zeros(2)
    ends = [data.bowl.excess(descend(data.bowl.gradient, start, [s * data.bowl.limit] * 3)[-1]) for s in GRID]
    assert rate == pytest.approx(GRID[int(np.argmin(ends))] * data.bowl.limit)
    assert left[3] == pytest.approx(min(ends) / data.bowl.excess(start))


@pytest.mark.parametrize("real", [False, True])
def test_better_per_pass_and_worse_per_update(request: pytest.FixtureRequest, *, real: bool) -> None:
    run: Run = request.getfixturevalue("course" if real else "quick")
    numbers = run("stochastic").numbers
    assert numbers["after_one_pass/one_example"] < 0.5 * numbers["after_one_pass/full"]
    assert numbers["after_all_passes/one_example"] < numbers["after_all_passes/full"]
    assert numbers["after_equal_updates/one_example"] > 100 * numbers["after_equal_updates/full"]
    assert numbers["after_one_pass/one_parameter"] > numbers["after_one_pass/one_example"]


def test_a_constant_rate_hovers_in_proportion_and_a_decaying_one_settles(quick: Run) -> None:
    numbers = quick("stochastic").numbers
    assert numbers["settles/constant"] > 3 * numbers["settles/quarter"]
    assert numbers["settles/quarter"] > 3 * numbers["settles/decaying"]


def test_the_gain_grows_with_the_examples_and_stays_below_their_number(quick: Run) -> None:
    gains = [quick("stochastic").numbers[f"speedup/{size}"] for size in MORE]
    assert gains == sorted(gains)
    assert gains[-1] > 5 * gains[0] > 0
    assert all(gain < size for gain, size in zip(gains, MORE, strict=True))

"""Three ways to Adagrad, the course's demonstration, and where one second derivative per parameter is enough."""

import numpy as np
import pytest

from redoubt.studies.contract import Doubles
from redoubt.studies.descent.adagrad import (
    TURN,
    adagrad,
    best,
    by_keras,
    correlated,
    judged,
    literal,
    parallel_steps,
    stand_in,
    steps,
    turned,
)
from redoubt.studies.descent.gradient_descent import Bowl, descend
from tests.unit.studies.conftest import Run


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_both_forms_and_keras_walk_the_same_path(correlation: float) -> None:
    bowl, start = correlated(np.array([0.5, 3.0, 20.0]), correlation), np.array([1.0, -2.0, 0.5])
    path = adagrad(bowl.gradient, start, 0.3, 100)
    assert literal(bowl.gradient, start, 0.3, 100) == pytest.approx(path, abs=1e-12)
    assert by_keras(bowl.gradient, start, 0.3, 100) == pytest.approx(path, abs=1e-6)


def test_the_three_ways_agree_on_the_demonstration(quick: Run) -> None:
    numbers = quick("adagrad").numbers
    assert numbers["off/literal"] < 1e-9
    assert numbers["off/keras"] < 1e-6


def test_the_first_step_is_the_rate_itself_whatever_the_gradient() -> None:
    for scale in (1e-5, 1.0, 1e5):
        path = adagrad(lambda point, scale=scale: scale * point, np.array([2.0, -3.0]), 0.1, 1)  # type: ignore[misc]
        assert path[1] == pytest.approx([1.9, -2.9])


def test_units_of_a_parameter_do_not_matter_to_adagrad() -> None:
    def gradient(point: Doubles) -> Doubles:
        return np.asarray([1.0, 1e4]) * point

    path = adagrad(gradient, np.array([1.0, 1.0]), 0.2, 50)
    assert path[:, 0] == pytest.approx(path[:, 1])


def test_adagrad_reaches_the_courses_line_where_one_rate_does_not(course: Run) -> None:
    numbers = course("adagrad").numbers
    assert numbers["b/adagrad"] == pytest.approx(-188.4, abs=0.05)
    assert numbers["w/adagrad"] == pytest.approx(2.67, abs=0.005)
    assert numbers["b/plain"] > -150


def test_adagrad_is_nearer_than_one_rate_after_as_many_updates(quick: Run) -> None:
    numbers = quick("adagrad").numbers
    gaps = {name: abs(numbers[f"b/{name}"] - numbers["b/best"]) for name in ("adagrad", "plain")}
    assert gaps["adagrad"] < 0.1 * gaps["plain"]


def test_on_one_parabola_slope_over_second_derivative_is_the_distance() -> None:
    a, b, points = 3.0, -2.0, np.linspace(-5, 5, 11)[:, None]
    bowl = Bowl(np.array([[2 * a]]), np.array([-b / (2 * a)]))
    assert bowl.gradient(points)[:, 0] == pytest.approx(2 * a * points[:, 0] + b)
    assert steps(bowl, points)["ratio"] == pytest.approx(points - bowl.bottom)


def test_the_second_derivative_mends_the_rule_only_where_parameters_do_not_act_together(quick: Run) -> None:
    numbers = quick("adagrad").numbers
    assert numbers["right_ratio/uncorrelated"] == 1
    assert numbers["right_first/uncorrelated"] < 0.65
    assert numbers["right_ratio/correlated"] < 0.65
    assert numbers["right_newton/correlated"] == 1


def test_a_rule_that_is_right_for_equal_curvatures_is_judged_right() -> None:
    points = np.random.default_rng(3).normal(size=(500, 2))
    assert judged(correlated(np.ones(2), 0.0), points) == {"first": 1.0, "ratio": 1.0, "newton": 1.0}


def test_three_correlated_parameters_that_each_step_to_their_own_goal_move_away() -> None:
    # Steps side by side are Jacobi's iteration, whose error grows by twice the correlation.
    distances = parallel_steps(correlated(np.ones(3), 0.9), np.ones(3), 4)
    assert distances[1:] / distances[:-1] == pytest.approx([1.8] * 4)
    assert parallel_steps(correlated(np.ones(3), 0.0), np.ones(3), 1)[-1] == pytest.approx(0)


def test_gradients_grow_with_the_second_derivative() -> None:
    points = np.random.default_rng(4).normal(size=(50_000, 3))
    roots = stand_in(np.array([1.0, 4.0, 25.0]), points)
    assert roots / roots[0] == pytest.approx([1, 4, 25], rel=0.02)


def test_turning_a_valley_costs_adagrad_its_advantage_and_plain_descent_nothing(quick: Run) -> None:
    numbers = quick("adagrad").numbers
    assert numbers["updates_plain/turned"] == numbers["updates_plain/straight"]
    assert numbers["updates_adagrad/straight"] < 0.1 * numbers["updates_plain/straight"]
    assert numbers["updates_adagrad/turned"] > 10 * numbers["updates_adagrad/straight"]


def test_a_turned_valley_is_the_same_valley() -> None:
    bowl = Bowl(np.diag([1.0, 9.0]), np.array([0.5, -1.0]))
    point = np.array([2.0, 3.0])
    assert turned(bowl).spectrum == pytest.approx(bowl.spectrum)
    assert turned(bowl).loss(TURN @ point) == pytest.approx(bowl.loss(point))


def test_the_fewest_updates_are_those_of_the_best_rate() -> None:
    bowl, start = Bowl(np.diag([1.0, 5.0]), np.zeros(2)), np.array([1.0, 1.0])
    count, path = best(bowl, start, "plain", 200)
    assert len(path) == count + 1
    assert bowl.excess(path[-1]) <= 1e-6 * bowl.excess(start) < bowl.excess(path[-2])
    slower = bowl.excess(descend(bowl.gradient, start, [0.1 * bowl.limit] * count))
    assert slower[-1] > bowl.excess(path[-1])

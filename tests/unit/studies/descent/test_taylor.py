"""The plane, the circle, the certain descent, and the places where descent stops."""

import numpy as np
import pytest

from redoubt.studies.contract import Doubles
from redoubt.studies.descent.taylor import (
    AT,
    WINDOW,
    between,
    circle,
    error,
    gradient,
    hessian,
    largest_curvature,
    loss,
    plane,
    raised,
    sine,
)
from tests.unit.studies.conftest import Run


@pytest.fixture(scope="module")
def points() -> Doubles:
    return np.random.default_rng(0).uniform(*WINDOW, size=(3000, 2))


def test_derivatives_are_those_of_the_loss(points: Doubles) -> None:
    few, steps = points[:50], 1e-5 * np.eye(2)
    slopes = [(loss(few + step) - loss(few - step)) / 2e-5 for step in steps]
    assert gradient(few) == pytest.approx(np.stack(slopes, axis=-1), abs=1e-8)
    bends = [(gradient(few + step) - gradient(few - step)) / 2e-5 for step in steps]
    assert hessian(few) == pytest.approx(np.stack(bends, axis=-1), abs=1e-8)


def test_no_point_is_more_curved_than_the_largest(points: Doubles) -> None:
    assert np.linalg.eigvalsh(hessian(points))[:, -1].max() <= largest_curvature() * (1 + 1e-3)


def test_every_step_obeys_the_bound_of_descent(points: Doubles) -> None:
    top = 1.001 * largest_curvature()
    squared = np.square(gradient(points)).sum(axis=1)
    for rate in np.array([0.1, 0.5, 1.0, 1.5, 2.0]) / top:
        bound = loss(points) - rate * (1 - rate * top / 2) * squared
        assert np.all(loss(points - rate * gradient(points)) <= bound + 1e-12)


def test_below_the_limit_no_step_leads_up_and_above_it_some_do(quick: Run, points: Doubles) -> None:
    numbers = quick("taylor").numbers
    assert numbers["raised/0.5_of_limit"] == 0
    assert numbers["raised/1_of_limit"] == 0
    assert 0 < numbers["raised/1.5_of_limit"] < numbers["raised/3_of_limit"]
    assert raised(points, 0.999 * numbers["limit"]) == 0


def test_the_limit_is_no_looser_than_it_must_be() -> None:
    # Beside the bottom of the deepest well the loss is the parabola of its largest curvature.
    beside = np.array([[0.0, -3.497], [1e-3, -3.4964]])
    assert raised(beside, 1.1 * 2 / largest_curvature()) > 0


def test_the_plane_is_lowest_straight_against_the_gradient(quick: Run) -> None:
    numbers = quick("taylor").numbers
    for radius in (0.05, 2.0):
        ring = circle(radius)
        assert between(ring, plane(ring)) < 0.1
        lowest = AT - radius * gradient(AT) / np.linalg.norm(gradient(AT))
        assert plane(lowest) <= plane(ring).min() + 1e-12
    assert numbers["loss_off_0.1"] < 5 < numbers["loss_off_1"]


def test_the_planes_error_grows_with_the_square_of_the_radius(quick: Run) -> None:
    assert quick("taylor").numbers["error_exponent"] == pytest.approx(2, abs=0.05)
    assert error(0.02) / error(0.01) == pytest.approx(4, rel=0.05)


def test_descent_is_certain_within_a_radius_that_is_no_larger_than_the_true_one(quick: Run) -> None:
    numbers = quick("taylor").numbers
    assert 0 < numbers["radius/guaranteed"] <= numbers["radius/found"] < 10


@pytest.mark.parametrize(("order", "power"), [(0, 1), (1, 2), (2, 3)])
def test_the_series_of_sine(order: int, power: int) -> None:
    near = np.pi / 4 + np.array([1e-2, 2e-2])
    off = np.abs(np.sin(near) - sine(near, order))
    assert off[1] / off[0] == pytest.approx(2**power, rel=0.03)


def test_walks_end_where_the_course_warns_of(quick: Run) -> None:
    numbers = quick("taylor").numbers
    goal = numbers["loss/global"]
    for name in ("global", "local", "saddle", "nudged"):
        assert numbers[f"slope/{name}"] < 1e-8
    for name in ("local", "saddle", "nudged", "plateau"):
        assert numbers[f"loss/{name}"] > goal + 0.5
    for name in ("global", "local", "nudged"):
        assert numbers[f"curvature_low/{name}"] > 0
    assert numbers["curvature_low/saddle"] < 0 < numbers["curvature_high/saddle"]
    assert 0 < numbers["slope/plateau"] < 1e-3
    assert numbers["loss/plateau"] > -1e-3
    assert numbers["loss/nudged"] == pytest.approx(numbers["loss/local"])

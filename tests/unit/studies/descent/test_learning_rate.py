"""Where descent turns into bouncing and then into divergence, and the course's demonstration."""

import numpy as np
import pytest

from redoubt.studies.descent.gradient_descent import START, Bowl, demonstration, descend, squares
from redoubt.studies.descent.learning_rate import COURSE, SHARES, curves, decaying, demo, updates_to
from redoubt.studies.given import Given
from tests.unit.studies.conftest import Run


@pytest.fixture(scope="module")
def bowl() -> Bowl:
    return demonstration(Given(course=False, seed=20).evolutions())


def test_a_bowl_is_the_sum_of_squares_and_its_gradient() -> None:
    rng = np.random.default_rng(0)
    columns, y, point = rng.normal(size=(12, 3)), rng.normal(size=12), rng.normal(size=3)
    made = squares(columns, y)
    assert made.loss(point) == pytest.approx(np.square(columns @ point - y).sum())
    steps = 1e-6 * np.eye(3)
    slopes = [(made.loss(point + step) - made.loss(point - step)) / 2e-6 for step in steps]
    assert made.gradient(point) == pytest.approx(np.array(slopes), rel=1e-6)


def test_where_descent_is_after_many_updates_is_where_it_walks_to() -> None:
    rng = np.random.default_rng(1)
    made, start = squares(rng.normal(size=(9, 2)), rng.normal(size=9)), rng.normal(size=2)
    path = descend(made.gradient, start, [0.4 * made.limit] * 30)
    assert np.allclose(made.after(start, 0.4 * made.limit, np.arange(31)), path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_below_the_limit_every_update_lowers_the_loss(bowl: Bowl, share: float) -> None:
    loss = bowl.excess(descend(bowl.gradient, START, [share * bowl.limit] * 200))
    assert np.all(np.diff(loss) < 0)


def test_just_above_the_limit_the_loss_rises_in_the_end(bowl: Bowl) -> None:
    loss = bowl.excess(descend(bowl.gradient, START, [1.001 * bowl.limit] * 5000))
    assert loss[-1] > 100 * loss[0]


def test_too_small_is_slow_and_large_bounces_and_larger_explodes(bowl: Bowl) -> None:
    left = {name: line[-1] for name, line in curves(bowl, 60)["constant"].items()}
    assert left["right"] < 0.01
    assert 0.3 < left["too_small"] < 1
    assert left["large"] == pytest.approx(1, abs=1e-4)
    assert left["diverging"] > 1e6
    assert left["far_too_large"] > left["diverging"]


def test_a_decaying_rate_recovers_wherever_it_starts_and_is_slower_where_the_rate_was_too_small(quick: Run) -> None:
    numbers = quick("learning_rate").numbers
    for name in SHARES:
        if name != "too_small":
            assert numbers[f"left_decaying/{name}"] < 0.01
    assert numbers["left_decaying/too_small"] > numbers["left_constant/too_small"]


def test_the_schedule_is_the_courses() -> None:
    assert decaying(2.0, 4) == pytest.approx([2.0, 2 / np.sqrt(2), 2 / np.sqrt(3), 1.0])


def test_the_courses_demonstration(course: Run) -> None:
    numbers = course("learning_rate").numbers
    assert numbers["b/best"] == pytest.approx(-188.4, abs=0.05)
    assert numbers["w/best"] == pytest.approx(2.67, abs=0.005)
    assert COURSE["1e-6"] < numbers["limit"] < COURSE["1e-5"]
    # w has arrived in its valley, b is far from its goal, ten times less far at ten times the rate.
    assert numbers["b/rate_1e-7"] == pytest.approx(-123.7, abs=0.05)
    assert numbers["b/rate_1e-6"] == pytest.approx(-149.2, abs=0.05)
    assert abs(numbers["w/rate_1e-6"] - numbers["w/best"]) < 0.2
    assert numbers["loss/rate_1e-5"] > 1e14 * numbers["loss/best"]


def test_the_slow_axis_tells_how_long_b_needs(bowl: Bowl) -> None:
    times = updates_to(bowl, 1e-6, 1.0) * np.array([0.99, 1.01])
    before, after = np.abs(bowl.after(START, 1e-6, times.round())[:, 0] - bowl.bottom[0])
    assert after < 1 < before


def test_the_demonstration_ends_where_the_closed_form_says(bowl: Bowl) -> None:
    ends = demo(bowl, 20_000)["1e-6"][-1]
    assert ends == pytest.approx(bowl.after(START, 1e-6, np.array([20_000]))[0])

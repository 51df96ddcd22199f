"""Far points of the right class turn the regression's line and not the other; which class is 2 decides the answers."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from redoubt.studies.classification.classify_by_regression import (
    CODES,
    DISTANCES,
    Sizes,
    by_code,
    least_squares,
    named,
    share_flat,
    three_classes,
    turned,
    two_classes,
    wrong,
)
from redoubt.studies.given import Given
from tests.unit.studies.conftest import Run, find


def test_the_farther_the_too_correct_points_the_more_the_regression_turns(quick: Run) -> None:
    numbers = quick("classify_by_regression").numbers
    angles, shares = (
        [numbers[f"{what}/regression/far_{distance}"] for distance in DISTANCES] for what in ("turned", "wrong")
    )
    assert angles[0] == 0
    assert all(after > before for before, after in pairwise(angles))
    assert shares[-1] > 3 * shares[0]
    assert angles[-1] > 20


def test_logistic_regression_stays_where_it_was(quick: Run) -> None:
    numbers = quick("classify_by_regression").numbers
    for distance in DISTANCES:
        assert numbers[f"turned/logistic/far_{distance}"] < 3
        assert numbers[f"wrong/logistic/far_{distance}"] <= numbers["wrong/logistic/far_0"] + 0.01


def test_the_number_of_errors_has_no_slope(quick: Run) -> None:
    assert quick("classify_by_regression").numbers["flat_share/number_of_errors"] > 0.99


def test_a_line_through_a_point_is_not_flat() -> None:
    x, y = np.array([[1.0, 0.0]]), np.array([1.0])
    assert share_flat(x, y, np.array([[-1.0, 1.0, 0.0]])) == 0.0
    assert share_flat(x, y, np.array([[-0.5, 1.0, 0.0]])) == 1.0


def test_the_class_in_the_middle_decides_and_a_column_each_has_none(quick: Run) -> None:
    numbers = quick("classify_by_regression").numbers
    for code in CODES:
        mirrored = tuple(4 - number for number in code)
        here, there = (numbers[named(each)] for each in (code, mirrored))
        assert here == there
        assert here > 3 * numbers["wrong/one_hot"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_claims_are_not_luck(seed: int) -> None:
    numbers = find("classify_by_regression").run(Given(course=False, seed=seed), Sizes(), seed).numbers
    assert numbers["wrong/regression/far_16"] > 2 * numbers["wrong/logistic/far_16"]
    assert min(numbers[named(code)] for code in CODES) > 2 * numbers["wrong/one_hot"]


def test_least_squares_is_scikit_learns() -> None:
    x, y = two_classes(np.random.default_rng(0), 30)
    other = LinearRegression().fit(x, y)
    assert np.allclose(least_squares(x, y), [other.intercept_, *other.coef_])
    assert wrong(least_squares(x, y), x, y) == np.mean(np.sign(other.predict(x)) != y)


def test_the_nearest_integer_answers() -> None:
    x = three_classes(np.random.default_rng(0), 5)[0]
    weights = np.array([2.2, 0.0, 0.0])
    assert set(by_code(weights, x, (3, 2, 1))) == {1.0}
    assert set(by_code(weights, x, (2, 1, 3))) == {0.0}


def test_turned_is_the_angle() -> None:
    assert turned(np.array([5.0, 0.0, 2.0]), np.array([0.0, 1.0, 0.0])) == pytest.approx(90)

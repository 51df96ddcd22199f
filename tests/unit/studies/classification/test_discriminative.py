"""The learning curves cross where the generative assumption is slightly wrong, and only there."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from redoubt.studies.classification.classifiers import answers, fit_gaussians
from redoubt.studies.classification.discriminative import (
    FEATURES,
    POKEMON_ROWS,
    ROWS,
    TRUTHS,
    Sizes,
    covariance,
    crossing,
    draw,
    independent,
    true_error,
)
from redoubt.studies.given import Given
from tests.unit.studies.conftest import Run, find


def test_little_data_is_the_generative_models_and_much_the_others(quick: Run) -> None:
    numbers = quick("discriminative").numbers
    ahead = [numbers[f"ahead/slightly_wrong/{rows}"] for rows in ROWS]
    assert min(ahead[:3]) > 4
    assert max(ahead[4:]) < -4
    assert 80 < numbers["crossing"] < 320


def test_a_right_assumption_stays_ahead(quick: Run) -> None:
    numbers = quick("discriminative").numbers
    assert min(numbers[f"ahead/right/{rows}"] for rows in ROWS) > 4
    assert numbers["limit/right/generative"] == pytest.approx(numbers["limit/right/discriminative"])


def test_errors_fall_towards_the_limits_and_stay_above(quick: Run) -> None:
    numbers = quick("discriminative").numbers
    for truth in TRUTHS:
        for model in ("generative", "discriminative"):
            errors = [numbers[f"error/{truth}/{model}/{rows}"] for rows in ROWS]
            assert all(after < before for before, after in pairwise(errors))
            assert numbers[f"limit/{truth}/{model}"] < errors[-1] < numbers[f"limit/{truth}/{model}"] + 0.02


@pytest.mark.parametrize("seed", [1, 2])
def test_the_crossing_is_not_luck(seed: int) -> None:
    numbers = find("discriminative").run(Given(course=False, seed=seed), Sizes(repetitions=40, subsets=2), seed).numbers
    assert 80 < numbers["crossing"] < 320


def test_on_the_courses_pokemon_both_stay_close(course: Run) -> None:
    numbers = course("discriminative").numbers
    assert numbers["pokemon_error/generative/140"] == pytest.approx(1 - 0.771, abs=0.0005)
    assert numbers["pokemon_error/discriminative/140"] == pytest.approx(1 - 0.786, abs=0.0005)
    for rows in POKEMON_ROWS:
        generative, discriminative = (
            numbers[f"pokemon_error/{name}/{rows}"] for name in ("generative", "discriminative")
        )
        assert abs(generative - discriminative) < 0.05


def test_naive_bayes_imagines(quick: Run) -> None:
    numbers = quick("discriminative").numbers
    assert numbers["toy/generative"] == pytest.approx(3 / 7)
    assert numbers["toy/discriminative"] > 0.5


def test_curves_that_do_not_cross_are_said_to() -> None:
    flat = {f"error/slightly_wrong/{model}/{rows}": 0.1 for model in ("generative", "discriminative") for rows in ROWS}
    with pytest.raises(ValueError, match="do not cross"):
        crossing(flat)


def test_the_generative_line_is_that_of_naive_gaussians_with_shared_variances() -> None:
    x, y = draw(np.random.default_rng(0), 2, 30, 0.1)
    y[0, :7] = 1.0
    for each, target, line in zip(x, y, independent(x, y), strict=True):
        model = fit_gaussians(each, target, "shared")
        model.covariances[:] *= np.eye(FEATURES)
        assert line == pytest.approx(model.line())
        other = GaussianNB(var_smoothing=0).fit(each, target)
        other.var_[:] = np.diag(model.covariances[0])
        assert (answers(line, each) > 0).tolist() == (other.predict(each) == 1).tolist()


def test_the_exact_error_is_that_of_many_rows() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1, FEATURES + 1))
    x, y = draw(rng, 1, 40000, 0.3)
    assert true_error(weights, 0.3)[0] == pytest.approx(np.mean((answers(weights, x) > 0) != (y == 1)), abs=0.01)
    assert np.cov((x[0, y[0] == 1]).T) == pytest.approx(covariance(0.3), abs=0.05)

"""Bias, variance and noise add up to the error, and go where the course says they go."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from redoubt.data import pokemon_go
from redoubt.studies.error.universes import DEGREES, PENALTIES, Parts, decompose
from redoubt.studies.worlds import TOP_CP, columns, draw, fit, truth
from tests.unit.studies.conftest import Run


def test_the_parts_add_up_to_the_error_on_fresh_rows(quick: Run) -> None:
    numbers = quick("universes").numbers
    for degree in DEGREES:
        for kind in ("rows", "more"):
            assert numbers[f"off_in_halves/degree_{degree}/{kind}"] < 1.6
            bias, spread, error = (numbers[f"{each}/degree_{degree}/{kind}"] for each in ("bias", "spread", "error"))
            assert error == pytest.approx(np.sqrt(bias**2 + spread**2 + numbers["noise"] ** 2), rel=0.03)


def test_a_complex_model_has_less_bias_and_more_variance(quick: Run) -> None:
    numbers = quick("universes").numbers
    for kind in ("rows", "more"):
        bias, spread = ([numbers[f"{each}/degree_{d}/{kind}"] for d in DEGREES] for each in ("bias", "spread"))
        assert bias[0] > 2 * bias[1] > 2 * bias[2]
        assert spread[0] < spread[1] < spread[2]


def test_a_large_bias_shows_on_the_training_rows_and_a_large_variance_does_not(quick: Run) -> None:
    numbers = quick("universes").numbers
    training, error = ([numbers[f"{each}/degree_{d}/rows"] for d in DEGREES] for each in ("training", "error"))
    assert training[0] > 1.2 * training[2]
    gaps = np.array(error) - np.array(training)
    assert gaps[2] > 2 * gaps[0] > 0


def test_more_data_takes_variance_and_leaves_bias(quick: Run) -> None:
    numbers = quick("universes").numbers
    for degree in DEGREES:
        (few, many), (before, after) = (
            [numbers[f"{each}/degree_{degree}/{kind}"] for kind in ("rows", "more")] for each in ("spread", "bias")
        )
        # Four times the rows: half the spread or less.
        assert many < 0.62 * few
        assert after == pytest.approx(before, rel=0.15)


def test_a_penalty_trades_variance_for_bias(quick: Run) -> None:
    numbers = quick("universes").numbers
    bias, spread = ([numbers[f"{each}/penalty_{penalty:g}"] for penalty in PENALTIES] for each in ("bias", "spread"))
    assert all(after > before for before, after in pairwise(bias[1:]))
    assert all(after < before for before, after in pairwise(spread[:4]))
    assert bias[-1] > 2 * bias[0]


def test_the_truth_is_what_simulated_pokemon_do_on_average() -> None:
    known = truth()
    drawn = pokemon_go.simulate(np.random.default_rng(0), 200_000)
    assert known.share.sum() == pytest.approx(1)
    assert set(drawn["cp"]) <= set(known.cp)
    assert known.cp.max() <= TOP_CP
    assert known.share @ known.cp == pytest.approx(drawn["cp"].mean(), rel=0.005)
    errors = drawn["newcp"].to_numpy(float) - np.interp(drawn["cp"], known.cp, known.mean)
    assert errors.mean() == pytest.approx(0, abs=1)
    assert np.square(errors).mean() == pytest.approx(known.share @ known.noise, rel=0.03)


def test_the_decomposition_is_an_identity_on_the_truth_itself() -> None:
    known = truth()
    caught = draw(np.random.default_rng(0), 20, 60)
    curves = fit(*caught, 3) @ columns(known.cp, 3).T
    parts: Parts = decompose(caught, draw(np.random.default_rng(1), 1, 10), 3)
    expected = known.share @ (np.square(curves - known.mean).mean(axis=0) + known.noise)
    assert parts.total == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_fits_are_numpys_and_sklearns(penalty: float) -> None:
    cp, after = draw(np.random.default_rng(0), 3, 40)
    found = fit(cp, after, 3, penalty)
    for weights, x, y in zip(found, cp, after, strict=True):
        if penalty:
            model = Ridge(alpha=penalty, solver="svd").fit(columns(x, 3)[:, 1:], y)
            expected = np.array([model.intercept_, *model.coef_])
        else:
            expected = np.polynomial.Legendre.fit(x, y, 3, domain=[0, TOP_CP]).coef
        assert np.allclose(weights, expected)

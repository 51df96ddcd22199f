"""What the course derives of two estimators holds by simulation, within intervals that could exclude it."""

import numpy as np
import pytest

from redoubt.studies.error.estimators import (
    DEVIATION,
    INTERVAL,
    MEAN,
    POPULATIONS,
    ROWS,
    SHOTS,
    estimates,
    interval,
    off,
    shots,
)
from tests.unit.studies.conftest import Run

# Of so many intervals one or the other must miss at 95 %; four standard errors none.
WIDE = 4.0 / INTERVAL


def test_the_mean_is_unbiased(quick: Run) -> None:
    numbers = quick("estimators").numbers
    for rows in ROWS:
        assert abs(numbers[f"mean/normal_{rows}"] - 1) < WIDE * numbers[f"mean_half/normal_{rows}"]
        assert numbers[f"var_of_mean/normal_{rows}"] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("population", POPULATIONS)
def test_the_variance_is_biased_by_one_row(population: str, quick: Run) -> None:
    numbers = quick("estimators").numbers
    for rows in ROWS:
        found, half = (numbers[f"{kind}/{population}_{rows}"] for kind in ("ratio", "ratio_half"))
        assert abs(found - (rows - 1) / rows) < WIDE * half
        assert found + half < 1
        assert half < 0.02


def test_most_intervals_hold_the_theory(quick: Run) -> None:
    numbers = quick("estimators").numbers
    names = [f"{population}_{rows}" for population in POPULATIONS for rows in ROWS]
    theory = [(rows - 1) / rows for _ in POPULATIONS for rows in ROWS]
    held = [
        abs(numbers[f"ratio/{name}"] - each) < numbers[f"ratio_half/{name}"]
        for name, each in zip(names, theory, strict=True)
    ]
    assert sum(held) >= 9


def test_estimates_are_numpys() -> None:
    samples = np.random.default_rng(0).normal(size=(5, 7))
    mean, variance = estimates(samples)
    assert np.allclose(mean, np.mean(samples, axis=1))
    assert np.allclose(variance, np.var(samples, axis=1))


def test_an_interval_holds_the_mean_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    found = [interval(rng.normal(3.0, 1.0, 200)) for _ in range(2000)]
    share = np.mean([abs(middle - 3.0) < half for middle, half in found])
    assert 0.93 < share < 0.97


@pytest.mark.parametrize("population", POPULATIONS)
def test_populations_have_the_mean_and_spread_they_say(population: str) -> None:
    values = POPULATIONS[population](np.random.default_rng(0), (1, 200_000))
    assert values.mean() == pytest.approx(MEAN, abs=0.6)
    assert values.std() == pytest.approx(DEVIATION, rel=0.01)


def test_shots_are_biased_and_spread_as_their_names_say() -> None:
    found = {name: off(shots(np.random.default_rng(0), *behind, 4000)) for name, behind in SHOTS.items()}
    for name, (bias, spread) in found.items():
        assert (bias > 0.5) == ("high bias" in name)
        assert (bias < 0.05) == ("low bias" in name)
        assert (spread > 0.5) == ("high variance" in name)
        assert (spread < 0.2) == ("low variance" in name)
        rows, share = SHOTS[name]
        assert bias == pytest.approx((1 - share) * np.sqrt(2), abs=0.05)
        assert spread == pytest.approx(share * np.sqrt(2 / rows), rel=0.05)

"""Randomized smoothing of a linear model, of which everything is known beforehand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from redoubt.bundle.switches import Switches
from redoubt.certify.randomized_smoothing import _ranks, certify_classes, certify_numbers
from redoubt.core.types import PIXELS, Bounds, Floats
from redoubt.params.settings.sections import CertifyParams

PARAMS = CertifyParams(sigma=0.5, radii=(0.1,), selection_draws=50, draws=2000, alpha=0.001, points=10)
WEIGHTS = np.float32([0.6, -0.8])
BOX = Bounds(np.full(3, -9, np.float32), np.full(3, 9, np.float32), np.float32([1.0, 100.0, 0.0]))


def sides(x: Floats) -> Floats:
    """Logits of the side of a line through 0 whose normal has length 1."""
    z = x.reshape(len(x), -1)[:, :2] @ WEIGHTS
    return np.stack([z, -z], axis=1)


def line(x: Floats) -> Floats:
    return (3.0 * x[:, :2] @ WEIGHTS)[:, None]


def at(distances: list[float]) -> Floats:
    """Points at these distances from the line."""
    return np.float32(distances)[:, None] * WEIGHTS


def test_the_radius_is_just_short_of_the_distance_to_the_line() -> None:
    distances = [0.2, 0.5, 0.9, -0.4]
    found = certify_classes(sides, at(distances), PARAMS, PIXELS, seed=1)
    assert found.label.tolist() == [0, 0, 0, 1]
    assert np.all(found.radius < np.abs(distances)), "certified more than is true"
    # What the lower end of the interval gives for the expected number of hits.
    chances = norm.cdf(np.abs(distances) / PARAMS.sigma)
    usual = chances - 3.1 * np.sqrt(chances * (1 - chances) / PARAMS.draws)
    assert np.allclose(found.radius, PARAMS.sigma * norm.ppf(usual), atol=0.08)


def test_a_unanimous_vote_has_the_largest_radius_there_is() -> None:
    """No error in 2,000 draws bounds the error by alpha^(1/2000)."""
    found = certify_classes(sides, at([50.0]), PARAMS, PIXELS, seed=1)
    assert found.radius[0] == pytest.approx(PARAMS.sigma * norm.ppf(PARAMS.alpha ** (1 / PARAMS.draws)), rel=1e-5)


def test_on_the_line_it_abstains() -> None:
    found = certify_classes(sides, at([0.0, 1e-4]), PARAMS, PIXELS, seed=1)
    assert (found.label.tolist(), found.radius.tolist()) == ([-1, -1], [0.0, 0.0])


def test_promises_are_kept_for_all_but_alpha_of_the_rows() -> None:
    params = PARAMS.model_copy(update={"alpha": 0.2, "draws": 100})
    distances = np.random.default_rng(0).uniform(0.05, 0.6, 200)
    found = certify_classes(sides, at(distances.tolist()), params, PIXELS, seed=1)
    assert np.mean(found.radius > distances) <= 0.2 + 0.08
    assert np.mean(found.radius > distances) > 0.02, "so careful that alpha means nothing"


@settings(max_examples=20)
@given(st.floats(0.01, 2), st.floats(1.05, 3))
def test_farther_from_the_line_the_radius_is_larger(distance: float, factor: float) -> None:
    found = certify_classes(sides, at([distance, distance * factor]), PARAMS, PIXELS, seed=1)
    # Chance gives each row draws of its own.
    assert found.radius[1] >= found.radius[0] - 0.1


def test_seeds_and_rows_have_draws_of_their_own() -> None:
    x = at([0.5, 0.5])
    one, again, other = (certify_classes(sides, x, PARAMS, PIXELS, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.radius, again.radius)
    assert one.radius[0] != one.radius[1]
    assert not np.array_equal(one.radius, other.radius)
    assert certify_classes(sides, x[:1], PARAMS, PIXELS, seed=1).radius[0] == one.radius[0]


def test_noise_is_in_units_of_the_scale_and_spares_what_must_not_change() -> None:
    seen: list[Floats] = []

    def watch(x: Floats) -> Floats:
        seen.append(x)
        return np.zeros((len(x), 2), np.float32)

    certify_classes(watch, np.float32([[1, 2, 1]]), PARAMS, BOX, seed=1)
    assert [len(x) for x in seen] == [PARAMS.selection_draws, PARAMS.draws]
    assert np.allclose(seen[1].std(axis=0), [0.5, 50.0, 0.0], rtol=0.1)
    assert seen[1].dtype == np.float32
    assert not np.array_equal(seen[0], seen[1][: PARAMS.selection_draws]), "the guess saw what it is judged by"


@pytest.mark.parametrize("radius", [0.0, 0.1, 0.4])
def test_an_interval_of_numbers_holds_what_every_shift_can_do(radius: float) -> None:
    """The median of a linear model under noise is the model; a shift by r moves it by 3 r at most."""
    x = at([-1.0, 0.0, 2.0])
    low, high = certify_numbers(line, x, radius, PARAMS, PIXELS, seed=1)
    centre = line(x)[:, 0]
    assert np.all(low <= centre - 3 * radius)
    assert np.all(high >= centre + 3 * radius)
    assert np.all(high - low <= 6 * radius + 0.6), "wider than chance explains"


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_a_larger_radius_has_a_wider_interval(radii: list[float]) -> None:
    (low, high), (lower, higher) = (certify_numbers(line, at([1.0]), r, PARAMS, PIXELS, seed=1) for r in radii)
    assert lower <= low <= high <= higher


def test_a_sample_too_small_to_say_says_nothing() -> None:
    few = PARAMS.model_copy(update={"draws": 5})
    low, high = certify_numbers(line, at([1.0]), 0.1, few, PIXELS, seed=1)
    assert (low[0], high[0]) == (-math.inf, math.inf)


@given(st.integers(1, 500), st.floats(0, 3), st.floats(1e-4, 0.4))
def test_ranks_miss_the_shifted_medians_no_more_often_than_promised(draws: int, shift: float, alpha: float) -> None:
    below, above = _ranks(draws, shift, alpha)
    # The value of rank k exceeds a quantile p if fewer than k draws fall below it.
    assert below == 0 or binom.cdf(below - 1, draws, norm.cdf(-shift)) <= alpha / 2 + 1e-12
    assert above == draws + 1 or binom.sf(above - 1, draws, norm.cdf(shift)) <= alpha / 2 + 1e-12
    # And no rank nearer to the middle would do.
    assert binom.cdf(below, draws, norm.cdf(-shift)) >= alpha / 2 - 1e-12


def shifted(x: Floats) -> Floats:
    """The line, further away for the second of two categories by what stands in the inputs' last column."""
    z = x[:, :2] @ WEIGHTS - 0.3 * x[:, 3]
    return np.stack([z, -z], axis=1)


def table(distances: list[float]) -> Floats:
    return np.concatenate([at(distances), np.tile(np.float32([1.0, 0.0]), (len(distances), 1))], axis=1)


MUTABLE = Bounds(
    np.full(4, -9, np.float32),
    np.full(4, 9, np.float32),
    np.float32([1.0, 1.0, 0.0, 0.0]),
    switches=Switches(("colour",), ((2, 2),), 1),
)


def test_a_radius_is_of_every_category_that_an_attacker_may_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = certify_classes(shifted, table([0.9, 0.2, -0.5]), PARAMS, replace(MUTABLE, switches=None), seed=1)
    found = certify_classes(shifted, table([0.9, 0.2, -0.5]), PARAMS, MUTABLE, seed=1)
    assert found.label.tolist() == given_.label.tolist() == [0, 0, 1]
    assert 0.4 < found.radius[0] < 0.6 < given_.radius[0]
    assert found.radius[1] == 0.0 < given_.radius[1]
    assert 0.3 < found.radius[2] < 0.5
    monkeypatch.setattr("redoubt.bundle.switches.MOST_PROVEN", 0)
    assert not certify_classes(shifted, table([0.9]), PARAMS, MUTABLE, seed=1).radius.any()


def test_an_interval_holds_every_category_that_an_attacker_may_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    def value(x: Floats) -> Floats:
        return shifted(x)[:, :1]

    x = table([0.9, -0.2])
    low, high = certify_numbers(value, x, 0.1, PARAMS, MUTABLE, seed=1)
    assert np.all(low < [0.5, -0.6])
    assert np.all(high > [1.0, -0.1])
    fixed = certify_numbers(value, x, 0.0, PARAMS, MUTABLE, seed=1)
    assert np.all(fixed[0] > [0.8, -0.3])
    monkeypatch.setattr("redoubt.bundle.switches.MOST_PROVEN", 0)
    assert np.isinf(certify_numbers(value, x, 0.1, PARAMS, MUTABLE, seed=1)).all()

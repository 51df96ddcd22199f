"""Square error is flat far from the goal, cross-entropy is not; one rule is the gradient of both regressions."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import log_loss

from redoubt.studies.classification.classifiers import answers
from redoubt.studies.classification.logistic import (
    LOSSES,
    STARTS,
    Sizes,
    cross_entropy,
    descend,
    differences,
    likelihood,
    rule,
    share_not_convex,
    slope_square_error,
    square_error,
    two_classes,
)
from redoubt.studies.contract import Doubles
from redoubt.studies.given import Given
from tests.unit.studies.conftest import Run, find

ROWS = two_classes(np.random.default_rng(3), 50)


def test_far_from_the_goal_only_the_square_error_is_flat(quick: Run) -> None:
    numbers = quick("logistic").numbers
    steep, flat = ([numbers[f"slope/{loss}/{start}"] for start in STARTS] for loss in LOSSES)
    assert steep == sorted(steep)
    assert flat == sorted(flat, reverse=True)
    assert steep[-1] > 50 * flat[-1]


def test_cross_entropy_arrives_from_everywhere_and_square_error_does_not(quick: Run) -> None:
    numbers = quick("logistic").numbers
    for start in STARTS:
        assert numbers[f"updates/cross_entropy/{start}"] < 50
    assert numbers["updates/square_error/very far"] == Sizes().steps
    assert numbers["accuracy/square_error/very far"] < 0.6
    assert numbers["updates/square_error/far"] > 2 * numbers["updates/cross_entropy/far"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_claim_is_not_luck(seed: int) -> None:
    numbers = find("logistic").run(Given(course=False, seed=seed), Sizes(steps=500, grid=11), seed).numbers
    assert numbers["updates/cross_entropy/very far"] < 50
    assert numbers["updates/square_error/very far"] == 500


def test_only_cross_entropy_is_convex(quick: Run) -> None:
    numbers = quick("logistic").numbers
    assert numbers["not_convex/cross_entropy"] == 0
    assert numbers["not_convex/square_error"] > 0.5


def test_one_rule_for_both_regressions_and_likelihood_is_cross_entropy(quick: Run) -> None:
    numbers = quick("logistic").numbers
    assert numbers["rule_off/linear"] < 1e-8
    assert numbers["rule_off/logistic"] < 1e-8
    assert numbers["likelihood_off"] < 1e-9
    assert likelihood(*ROWS)["likelihood_off"] < 1e-9


@pytest.mark.parametrize("loss", LOSSES)
def test_slopes_are_those_of_the_losses(loss: str) -> None:
    function, slope = LOSSES[loss]
    for weights in np.random.default_rng(0).normal(size=(10, 2)):
        assert slope(weights, *ROWS) == pytest.approx(differences(function, weights, *ROWS), abs=1e-8)


def test_cross_entropy_is_scikit_learns_and_square_error_brier() -> None:
    x, y = ROWS
    weights = np.array([0.3, 0.8])
    f = 1 / (1 + np.exp(-answers(weights, x)))
    assert cross_entropy(weights, x, y) == pytest.approx(log_loss(y, f))
    assert square_error(weights, x, y) == pytest.approx(np.mean((f - y) ** 2))


def test_the_square_errors_slope_vanishes_at_both_ends() -> None:
    x, y = np.array([[1.0]]), np.array([1.0])
    for z in (-40.0, 40.0):
        assert np.abs(slope_square_error(np.array([z, 0.0]), x, y)).max() < 1e-15
    assert rule(x, y, np.array([0.0])).tolist() == [-1.0, -1.0]


@pytest.mark.parametrize(("loss", "function"), [("cross_entropy", cross_entropy), ("square_error", square_error)])
def test_curvature_is_that_of_the_surface(loss: str, function: Callable[..., Doubles]) -> None:
    for weights in np.random.default_rng(1).normal(size=(8, 2), scale=2):
        step, hessian = 1e-3, np.zeros((2, 2))
        for i, j in np.ndindex(2, 2):
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                moved = weights + step * (a * np.eye(2)[i] + b * np.eye(2)[j])
                hessian[i, j] += a * b * function(moved, *ROWS) / (4 * step**2)
        bends_down = np.linalg.eigvalsh(hessian)[0] < 0
        assert share_not_convex(loss, weights[None], *ROWS) == float(bends_down)


def test_descent_stops_where_enough_is_right() -> None:
    assert len(descend("cross_entropy", (0.0, 3.0), *ROWS, 100)) == 1
    assert len(descend("square_error", (40.0, -3.0), *ROWS, 7)) == 8

"""N folds choose better than one of them, and what has chosen cannot judge."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.model_selection import KFold

from redoubt.studies.error.cross_validation import DEGREES, FOLDS, choices, climb, held_out, losses, taken, true_errors
from redoubt.studies.worlds import TOP_CP, draw, truth
from tests.unit.studies.conftest import Run


@pytest.mark.parametrize("folds", FOLDS)
def test_all_folds_choose_better_than_the_first_of_them(folds: int, quick: Run) -> None:
    numbers = quick("cross_validation").numbers
    assert numbers[f"right/all_{folds}_folds"] > numbers[f"right/single_split_of_{folds}"] + 0.03
    assert numbers[f"times_best_error/all_{folds}_folds"] < numbers[f"times_best_error/single_split_of_{folds}"] - 0.1


def test_the_training_error_chooses_the_highest_degree(quick: Run) -> None:
    numbers = quick("cross_validation").numbers
    assert numbers["right/training"] == numbers[f"truly_best/degree_{DEGREES[-1]}"]
    assert numbers["times_best_error/training"] > 2
    assert numbers["right/training"] < min(numbers[f"right/single_split_of_{folds}"] for folds in FOLDS)


def test_shares_are_shares(quick: Run) -> None:
    numbers = quick("cross_validation").numbers
    assert sum(numbers[f"truly_best/degree_{degree}"] for degree in DEGREES) == pytest.approx(1)
    assert all(value >= 1 for name, value in numbers.items() if name.startswith("times_best_error"))


def test_a_test_set_that_has_chosen_flatters_and_one_that_has_not_does_not(quick: Run) -> None:
    numbers = quick("cross_validation").numbers
    # Two and a half standard errors of a share of 400.
    assert numbers["private_worse/all_5_folds"] == pytest.approx(0.5, abs=0.063)
    assert numbers["private_worse/public_test_set"] > 0.55
    assert numbers["private_over_public/public_test_set"] > 1.1


def test_the_leaderboard_climbs_and_the_private_error_stays_behind(quick: Run) -> None:
    numbers = quick("cross_validation").numbers
    assert numbers["first_try/public"] == pytest.approx(numbers["first_try/private"], rel=0.1)
    gained, kept = (numbers[f"first_try/{part}"] - numbers[f"best_of_all/{part}"] for part in ("public", "private"))
    assert gained > 2 * kept
    assert numbers["best_of_all/private"] > 1.2 * numbers["best_of_all/public"]


def test_the_public_error_of_the_leader_never_rises() -> None:
    rng = np.random.default_rng(0)
    rows, public, private = (draw(rng, 30, count) for count in (20, 10, 10))
    climbed = climb(rows, (public, private), 8, rng)
    assert all(after <= before for before, after in pairwise(climbed["public"]))
    assert len(climbed["private"]) == 8


def test_folds_are_judged_by_functions_that_have_not_seen_them() -> None:
    rows = draw(np.random.default_rng(0), 2, 20)
    scores = held_out(rows, 5)
    for world in range(2):
        x, y = rows[0][world], rows[1][world]
        for place, degree in enumerate(DEGREES[:3]):
            for index in range(5):
                part = np.arange(index, 20, 5)
                rest = np.setdiff1d(np.arange(20), part)
                line = np.polynomial.Legendre.fit(x[rest], y[rest], degree, domain=[0, TOP_CP])
                assert scores[index, place, world] == pytest.approx(np.square(line(x[part]) - y[part]).sum(), rel=1e-6)


def test_folds_are_as_large_as_sklearns() -> None:
    ours = [int((np.arange(23) % 5 == index).sum()) for index in range(5)]
    assert ours == [len(part) for _, part in KFold(5).split(np.zeros(23))]


def test_the_training_rows_choose_by_their_own_loss() -> None:
    rows, public = (draw(np.random.default_rng(seed), 6, 20) for seed in (0, 1))
    chosen = choices(rows, public)
    assert np.array_equal(chosen["training"], np.full(6, len(DEGREES) - 1))
    by_hand = [np.argmin([losses(rows, public, degree)[world] for degree in DEGREES]) for world in range(6)]
    assert list(chosen["public_test_set"]) == by_hand
    errors = np.arange(30.0).reshape(5, 6)
    assert list(taken(errors, chosen["training"])) == list(errors[4])


def test_the_true_error_is_that_on_very_many_rows() -> None:
    rows, many = draw(np.random.default_rng(0), 1, 40), draw(np.random.default_rng(1), 1, 200_000)
    by_drawing = np.sqrt(losses(rows, many, 2)[0] / 200_000)
    assert true_errors(rows, 2)[0] == pytest.approx(by_drawing, rel=0.02)
    known = truth()
    assert true_errors(rows, 2)[0] > np.sqrt(known.share @ known.noise)

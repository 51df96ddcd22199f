"""The slides' table to the last digit, and three ways to one polynomial."""

from itertools import pairwise

import numpy as np
import pytest

from redoubt.studies.regression.polynomial import COURSE, DEGREES, closed_form, design, lees_error
from tests.unit.studies.conftest import Run


def test_the_courses_table_comes_out(course: Run) -> None:
    numbers = course("polynomial").numbers
    for degree, (train, test) in COURSE.items():
        assert numbers[f"train/degree_{degree}"] == pytest.approx(train, abs=0.005)
        assert numbers[f"test/degree_{degree}"] == pytest.approx(test, abs=0.005)


def test_rmse_is_what_the_field_calls_it(course: Run) -> None:
    numbers = course("polynomial").numbers
    assert numbers["test_rmse/degree_5"] == pytest.approx(734.0, abs=0.05)
    assert numbers["test_mae/degree_5"] == pytest.approx(360.5, abs=0.05)


def test_a_higher_degree_fits_better_and_on_other_rows_worse_in_the_end(quick: Run) -> None:
    numbers = quick("polynomial").numbers
    train, test = ([numbers[f"{part}/degree_{degree}"] for degree in DEGREES] for part in ("train", "test"))
    assert all(after <= before * (1 + 1e-9) for before, after in pairwise(train))
    assert int(np.argmin(test)) < len(DEGREES) - 1


def test_over_many_tables_a_middle_degree_is_best(quick: Run) -> None:
    median = [quick("polynomial").numbers[f"simulated_test/degree_{degree}"] for degree in DEGREES]
    assert int(np.argmin(median)) in (1, 2)
    assert median[0] > 1.05 * min(median)
    assert median[-1] > 2 * min(median)


def test_three_ways_agree(quick: Run) -> None:
    numbers = quick("polynomial").numbers
    assert numbers["descent_off"] < 1e-6
    assert numbers["keras_off"] < 1e-6


def test_the_closed_form_is_numpys() -> None:
    rng = np.random.default_rng(0)
    columns, y = design(rng.normal(size=20), 3), rng.normal(size=20)
    assert np.allclose(closed_form(columns, y), np.linalg.lstsq(columns, y, rcond=None)[0])


def test_lees_error_is_rmse_over_the_root_of_the_rows() -> None:
    errors = np.array([3.0, 4.0, 0.0, 0.0])
    assert lees_error(errors) == 5.0 / 4
    assert lees_error(errors) == np.sqrt(np.square(errors).mean()) / np.sqrt(4)

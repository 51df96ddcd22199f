"""The slide's species model, and that its four lines are one linear model."""

import numpy as np
import pytest

from redoubt.data import pokemon_go
from redoubt.studies.given import SPECIES, Given
from redoubt.studies.regression.species import (
    COURSE,
    SUSPECTS,
    deltas,
    errors,
    four_lines,
    groups,
    separate_lines,
    solve,
)
from redoubt.studies.worlds import collections
from tests.unit.studies.conftest import Run


def test_the_courses_figures_come_out(course: Run) -> None:
    numbers = course("species").numbers
    found = [numbers[f"{part}/four_lines"] for part in ("train", "test")]
    assert found == pytest.approx([3.839, 14.255], abs=0.0005)
    assert [round(each, 1) for each in found] == list(COURSE)
    assert numbers["test_rmse/four_lines"] == pytest.approx(45.08, abs=0.005)


def test_the_courses_lines_come_out(course: Run) -> None:
    lines = course("species").tables[1].rows
    assert [row[2:] for row in lines] == [
        ["2.751", "1.868"],
        ["-0.140", "1.087"],
        ["-0.661", "1.082"],
        ["-860.740", "3.991"],
    ]
    assert [row[1] for row in lines] == [32, 16, 8, 4]


@pytest.mark.parametrize("data", ["quick", "course"])
def test_the_species_is_the_factor(data: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(data)("species").numbers
    left = {suspect: numbers[f"left_over/{suspect}"] for suspect in SUSPECTS}
    assert min(left, key=left.__getitem__) == "species"
    assert left["species"] < 0.5 * min(left["hp"], left["weight"], left["height"])
    assert numbers["train/four_lines"] < numbers["train/shifted_lines"] < numbers["train/one_line"]
    assert numbers["test_rmse_without_eevee/four_lines"] < 0.2 * numbers["test_rmse_without_eevee/one_line"]


def test_four_lines_are_one_linear_model(quick: Run) -> None:
    assert quick("species").numbers["apart_off"] < 1e-9
    rows = Given(course=False, seed=3).evolutions().train
    by_numpy = [
        np.polyfit(rows["cp"][rows["species"] == name], rows["newcp"][rows["species"] == name], 1) for name in SPECIES
    ]
    expected = np.array(by_numpy)[:, ::-1].T.ravel()
    assert np.allclose(separate_lines(rows), expected)
    assert np.allclose(solve(four_lines(rows), rows["newcp"].to_numpy(float)), expected)


def test_four_lines_win_more_often_than_not(quick: Run) -> None:
    numbers = quick("species").numbers
    assert numbers["four_lines_better"] > 0.6
    assert numbers["simulated_test/four_lines"] < numbers["simulated_test/one_line"]


def test_a_row_has_one_species_and_one_group() -> None:
    rows = Given(course=False, seed=3).evolutions().train
    assert np.array_equal(deltas(rows).sum(axis=1), np.ones(60))
    for suspect in SUSPECTS:
        parts = groups(rows, suspect)
        assert sorted(index for part in parts for index in part.index) == sorted(rows.index)
    assert [len(part) for part in groups(rows, "hp")] == [15, 15, 15, 15]


def test_errors_are_the_answer_less_the_truth() -> None:
    table = collections(np.random.default_rng(0), 1)[0]
    found = errors(table, "one_line")["test"] + table.test["newcp"].to_numpy(float)
    line = np.polyfit(table.train["cp"], table.train["newcp"], 1)
    assert np.allclose(found, np.polyval(line, table.test["cp"]))


def test_collections_have_the_courses_species_and_share_no_rows() -> None:
    tables = collections(np.random.default_rng(0), 3)
    for table in tables:
        assert list(table.table["species"]) == [name for name, count in SPECIES.items() for _ in range(count)]
        assert list(table.table.columns) == list(pokemon_go.COLUMNS)
    heights = [tuple(table.table["weight"]) for table in tables]
    assert len(set(heights)) == 3

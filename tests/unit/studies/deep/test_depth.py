"""At equal parameters the deep network learns a tree of folds better; what folding is worth is counted exactly."""

import numpy as np
import pytest

from redoubt.studies.contract import Doubles
from redoubt.studies.deep.depth import (
    COURSE,
    DEEP,
    FAT,
    FATTER,
    INPUTS,
    MIDDLE,
    PLACES,
    fat_network,
    fold,
    folding_network,
    modular,
    name_of,
    straight_pieces,
)
from tests.unit.studies.conftest import Run

GRID = np.linspace(0.0, 1.0, 257)


def test_shapes_have_as_many_parameters(quick: Run) -> None:
    numbers = quick("depth").numbers
    deep, fat, fatter = (numbers[f"parameters/{name_of(units)}"] for units in (DEEP, FAT, FATTER))
    assert abs(deep - fat) <= 1
    assert fatter == pytest.approx(4 * fat, rel=0.01)
    # Eight inputs, two outputs, a bias per neuron.
    assert fat == 8 * FAT[0] + FAT[0] + 2 * FAT[0] + 2


def test_thin_and_deep_beats_fat_and_shallow(quick: Run) -> None:
    numbers = quick("depth").numbers
    deep, fat, fatter = (numbers[f"accuracy/{name_of(units)}"] for units in (DEEP, FAT, FATTER))
    assert deep > fat + 0.04
    assert deep > fatter + 0.02


def test_with_a_fifth_of_the_points_neither_comes_near(quick: Run) -> None:
    numbers = quick("depth").numbers
    for units in (DEEP, FAT):
        assert numbers[f"accuracy_few/{name_of(units)}"] < numbers[f"accuracy/{name_of(units)}"] - 0.05


def test_folding_doubles_the_pieces_and_a_neuron_adds_one(quick: Run) -> None:
    numbers = quick("depth").numbers
    for folds in PLACES:
        assert numbers[f"pieces_deep/folds_{folds}"] == 2**folds
        assert numbers[f"pieces_fat/folds_{folds}"] == 2 * folds + 1


def test_the_folding_network_folds() -> None:
    assert np.array_equal(folding_network(GRID, 3), fold(fold(fold(GRID))))
    assert fold(np.array([0.0, 0.25, 0.5, 0.75, 1.0])).tolist() == [0.0, 0.5, 1.0, 0.5, 0.0]


def test_one_hidden_layer_has_no_more_pieces_than_kinks_allow() -> None:
    for neurons in (1, 4, 9):
        assert straight_pieces(fat_network(GRID, neurons, np.random.default_rng(neurons))) == neurons + 1


def test_the_function_is_a_tree_of_one_function_and_cut_at_its_median() -> None:
    points = np.random.default_rng(0).random((50_000, INPUTS))

    def h(a: Doubles, b: Doubles) -> Doubles:
        return fold((a + b) / 2)

    x = points.T
    expected = h(h(h(x[0], x[1]), h(x[2], x[3])), h(h(x[4], x[5]), h(x[6], x[7])))
    assert np.array_equal(modular(points), expected)
    assert (expected > MIDDLE).mean() == pytest.approx(0.5, abs=0.01)


def test_the_slide_compares_equal_parameters() -> None:
    by_shape = {name: error for left, error, right, other in COURSE for name, error in ((left, error), (right, other))}
    assert by_shape["5 x 2k"] < by_shape["1 x 3772"] - 5
    assert by_shape["7 x 2k"] < by_shape["1 x 16k"] - 4

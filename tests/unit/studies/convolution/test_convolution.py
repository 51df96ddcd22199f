"""A convolution is a dense layer; pooling is Keras's; the rules of Go are right."""

import keras
import numpy as np
import pytest

from redoubt.studies.contract import Doubles
from redoubt.studies.convolution.convolution import LAYERS, NONE, as_dense, convolve, max_pool, moved, weights_of
from redoubt.studies.convolution.go_groups import BLACK, SIDE, WHITE, Board, captures, group_at, groups, random_board
from tests.unit.studies.conftest import Run


def board(*rows: str) -> Board:
    return np.array([[{".": 0, "x": BLACK, "o": WHITE}[point] for point in row] for row in rows])


def maps(seed: int = 0) -> Doubles:
    return np.random.default_rng(seed).normal(size=(3, 7, 6, 2))


def test_three_ways_to_the_same_outputs_and_the_same_slope(quick: Run) -> None:
    numbers = quick("convolution").numbers
    assert numbers["dense_off"] < 1e-12
    assert numbers["windows_off"] < 1e-12
    assert numbers["shared_slope_off"] < 1e-12


def test_the_dense_matrix_is_sparse_and_shared() -> None:
    rng = np.random.default_rng(0)
    kernel, images = rng.normal(size=(3, 3, 2, 4)), rng.normal(size=(5, 6, 7, 2))
    dense, which = as_dense(kernel, (6, 7, 2))
    assert np.allclose(images.reshape(5, -1) @ dense.T, convolve(images, kernel).reshape(5, -1))
    assert (dense.size, (dense != 0).sum(), np.unique(dense[dense != 0]).size) == weights_of((6, 7, 2), 3, 4)
    assert np.bincount(which[which != NONE]).tolist() == [4 * 5] * kernel.size


def test_the_courses_counts_come_out(quick: Run) -> None:
    for _, shape, side, filters, course in LAYERS:
        assert weights_of(shape, side, filters)[2] == course * filters
        name = "x".join(map(str, shape))
        layer = keras.layers.Conv2D(filters, side, use_bias=False)
        layer.build((None, *shape))
        assert quick("convolution").numbers[f"weights/{name}_shared"] == layer.count_params()


def test_the_slides_map_comes_out(quick: Run) -> None:
    numbers = quick("convolution").numbers
    assert (numbers["slide/first"], numbers["slide/second"]) == (3, -1)
    assert numbers["slide/first"] == numbers["slide/lower_left"] == numbers["slide/largest"]


@pytest.mark.parametrize("size", [2, 3])
def test_pooling_is_kerass(size: int) -> None:
    expected = np.asarray(keras.layers.MaxPooling2D(size, dtype="float64")(maps()))
    assert np.array_equal(max_pool(maps(), size), expected)


def test_maps_move_with_the_picture(quick: Run) -> None:
    assert quick("convolution").numbers["moves_along_off"] == 0
    assert np.array_equal(moved(maps(), (1, 0))[:, 1:], maps()[:, :-1])


@pytest.mark.parametrize("data", ["quick", "course"])
def test_pooling_keeps_the_digit_and_dulls_the_move(data: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(data)("convolution").numbers
    assert numbers["accuracy/every_second"] > numbers["accuracy/all"] - 0.05
    assert numbers["accuracy/max_2"] > numbers["accuracy/all"] - 0.05
    assert numbers["accuracy_moved/max_2"] > numbers["accuracy_moved/all"] + 0.02
    assert numbers["accuracy_moved/max_2"] > numbers["accuracy_moved/every_second"] + 0.05
    changes = [numbers[f"change_moved/{reduce}"] for reduce in ("all", "max_2", "max_4")]
    assert changes == sorted(changes, reverse=True)
    assert numbers["change_moved/max_2"] < 0.8 * numbers["change_moved/every_second"]


def test_a_smaller_go_board_is_another_position(quick: Run) -> None:
    numbers = quick("convolution").numbers
    assert numbers["go/left"] < 0.4
    assert numbers["go/still"] < 0.25
    assert numbers["go/false"] > 0.75


def test_a_chain_and_its_liberties() -> None:
    stones, liberties = group_at(board("xx.", "ox.", "..."), (0, 0))
    assert stones == {(0, 0), (0, 1), (1, 1)}
    assert liberties == {(0, 2), (1, 2), (2, 1)}


def test_black_captures_at_the_last_liberty() -> None:
    assert captures(board("xox", ".o.", "xx.")) == set()
    assert captures(board("xox", "xo.", ".x.")) == {(1, 2)}
    assert captures(board("ox.", "...", "xo.")) == {(1, 0)}


def test_on_a_random_board_every_chain_has_a_liberty() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        drawn = random_board(rng)
        assert drawn.shape == (SIDE, SIDE)
        assert all(liberties for colour in (BLACK, WHITE) for _, liberties in groups(drawn, colour))

"""A frame of noise that makes a network count, and the weights it leaves alone."""

import io
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from tqdm import tqdm

from redoubt.attacks.core.problem import AttackError
from redoubt.scenarios.reprogramming import Board, Reprogram, Reprogrammed, make_boards

SHAPE = (8, 8, 1)
BOARD = Board(cells=2, pixels=1, most=4)
QUICK = Reprogram(steps=400)


def centre(board: Board, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """The board's pixels of a picture, found by another road than the code's."""
    inside = np.ones((board.cells * board.pixels,) * 2, bool)
    margins = [(size - len(inside)) for size in shape[:2]]
    return np.pad(inside, [(margin // 2, margin - margin // 2) for margin in margins])


@settings(max_examples=40)
@given(cells=st.integers(1, 4), pixels=st.integers(1, 3), seed=st.integers(0, 99), odd=st.booleans(), data=st.data())
def test_boards_hold_as_many_squares_as_their_label_says(
    cells: int, pixels: int, seed: int, odd: bool, data: st.DataObject
) -> None:
    board = Board(cells=cells, pixels=pixels, most=data.draw(st.integers(1, cells**2)))
    shape = (board.side + 3 + odd, board.side + 4, 2)
    drawn = make_boards(np.random.default_rng(seed), 30, board, shape)
    assert (drawn.x.shape, drawn.x.dtype, drawn.y.dtype) == ((30, *shape), np.float32, np.int64)
    assert set(np.unique(drawn.x)) <= {0.0, 1.0}
    assert not drawn.x[:, ~centre(board, shape)].any()
    assert np.array_equal(drawn.x[..., 0].sum(axis=(1, 2)), (drawn.y + 1) * pixels**2)
    assert drawn.y.min() >= 0
    assert drawn.y.max() < board.most


def test_numbers_and_places_are_equally_likely() -> None:
    board = Board(cells=3, pixels=2, most=5)
    drawn = make_boards(np.random.default_rng(0), 20_000, board, SHAPE)
    assert np.bincount(drawn.y) / 20_000 == pytest.approx(np.full(5, 0.2), abs=0.015)
    assert drawn.x[:, centre(board)].mean(axis=0) == pytest.approx(np.full((36, 1), 3 / 9), abs=0.015)


def counter(zero: float) -> keras.Model:
    """Counts white pixels, but from the wrong zero, which the brightness of the frame can set right."""
    weights = np.where(centre(BOARD), 1.0, 0.2).astype(np.float32).reshape(-1, 1)
    names = np.arange(10, dtype=np.float32)
    count, nearest = keras.layers.Dense(1), keras.layers.Dense(10)
    network = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), count, nearest])
    count.set_weights([weights, np.float32([-1.0 - zero])])
    nearest.set_weights([2 * names[None], -np.square(names)])
    return network


@pytest.mark.parametrize("zero", [-4.0, 10.0])
def test_a_network_that_can_count_is_made_to(zero: float) -> None:
    """The frame holds 60 pixels that weigh 0.2 each: at first grey, 6 in all, so that every board is off the scale."""
    found = QUICK(counter(zero), BOARD, seed=0)
    # One answer to everything would be right for a quarter.
    assert found.history[:5].mean() < 0.35
    assert found.accuracy == 1.0
    assert 0.2 * found.frame.sum() - zero + np.arange(4) == pytest.approx(found.classes, abs=0.5)


def test_classes_that_stand_for_other_counts_are_found() -> None:
    """A network that counts rightly, but calls its counts otherwise; no frame could teach it new names."""
    network, names = counter(6.0), np.random.default_rng(3).permutation(10)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel[:, np.argsort(names)], bias[np.argsort(names)]])
    found = QUICK(network, BOARD, seed=0)
    assert found.accuracy == 1.0
    assert np.isin(found.classes, names).all()
    assert np.diff(np.argsort(names)[found.classes]).tolist() == [1, 1, 1], "the counts are not in a row"


def test_a_bar_moves_once_per_step() -> None:
    with tqdm(total=7, file=io.StringIO()) as bar:
        Reprogram(steps=7)(counter(6.0), BOARD, seed=0, bar=bar)
        assert bar.n == 7


@pytest.fixture(scope="module")
def digits() -> keras.Model:
    """Reads the bundled 8 x 8 digits."""
    data = load_digits()
    network = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten()]
        + [keras.layers.Dense(64, "relu", kernel_initializer=keras.initializers.HeNormal(seed)) for seed in (10, 11)]
        + [keras.layers.Dense(10, kernel_initializer=keras.initializers.HeNormal(12))]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    x, y = (data.images / 16)[..., None].astype(np.float32), data.target
    network.fit(x[:1400], y[:1400], epochs=10, shuffle=False, verbose=0)
    assert (network(x[1400:]).numpy().argmax(axis=1) == y[1400:]).mean() > 0.85
    return network


@pytest.fixture(scope="module")
def reprogrammed(digits: keras.Model) -> Reprogrammed:
    return QUICK(digits, BOARD, seed=0)


def test_a_network_that_reads_digits_counts_squares(digits: keras.Model, reprogrammed: Reprogrammed) -> None:
    assert reprogrammed.chance == 0.25
    assert reprogrammed.accuracy > 0.45
    boards = make_boards(np.random.default_rng(123), 2000, BOARD, SHAPE)
    shares = [
        np.mean(digits(boards.x + frame).numpy().argmax(axis=1) == reprogrammed.classes[boards.y])
        for frame in (reprogrammed.frame, 0.0)
    ]
    assert shares[0] == pytest.approx(reprogrammed.accuracy, abs=0.05)
    assert shares[0] > shares[1] + 0.1, "the frame adds nothing"


def test_the_frame_is_a_picture_round_the_board(reprogrammed: Reprogrammed) -> None:
    frame, inside = reprogrammed.frame, centre(BOARD)
    assert (frame.shape, frame.dtype) == (SHAPE, np.float32)
    assert not frame[inside].any()
    assert np.all((frame[~inside] > 0) & (frame <= 1)[~inside])
    assert reprogrammed.history.shape == (QUICK.steps,)
    assert np.all((reprogrammed.history >= 0) & (reprogrammed.history <= 1))


def test_the_weights_stay_as_they_are_and_the_seed_decides(digits: keras.Model) -> None:
    before = digits.get_weights()
    first, again, another = (Reprogram(steps=5)(digits, BOARD, seed=seed) for seed in (0, 0, 1))
    assert all(np.array_equal(old, new) for old, new in zip(before, digits.get_weights(), strict=True))
    assert np.array_equal(first.frame, again.frame)
    assert np.array_equal(first.history, again.history)
    assert not np.array_equal(first.frame, another.frame)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"board": Board(cells=4, pixels=2)}, r"shape \(8, 8, 1\) leave no frame round a board of 8 x 8 pixels"),
        ({"shape": (64,)}, r"shape \(64,\) leave no frame"),
        ({"classes": 3}, "the network has 3 classes; counting to 4 needs as many"),
    ],
    ids=["board", "table", "classes"],
)
def test_what_cannot_be_reprogrammed_is_refused(change: dict[str, Any], says: str) -> None:
    shape = change.get("shape", SHAPE)
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(change.get("classes", 10))]
    with pytest.raises(AttackError, match=says):
        QUICK(keras.Sequential(layers), change.get("board", BOARD), seed=0)


@pytest.mark.parametrize("most", [0, 5])
def test_a_board_holds_no_more_squares_than_cells(most: int) -> None:
    with pytest.raises(AttackError, match=f"up to {most} squares on 2 x 2 cells"):
        Board(cells=2, most=most)

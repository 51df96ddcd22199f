"""Go's rules, inputs that hold what they claim, and networks that generalize along the axis their filters move on."""

import numpy as np
import pytest

from redoubt.studies.convolution.cnn_beyond_images import (
    BINS,
    FILLERS,
    FRAMES,
    GOOD,
    HALVES,
    NOISE,
    VOCABULARY,
    WORDS,
    formants,
    sentences,
    spoken,
    voice_networks,
)
from redoubt.studies.convolution.go_boards import MINE, THEIRS, Board, group, groups, planes, play, problem
from tests.unit.studies.conftest import Run


def board(text: str) -> Board:
    stones = {".": 0, "x": MINE, "o": THEIRS}
    return np.array([[stones[point] for point in row] for row in text.split()], np.int8)


def test_filters_find_the_capture_and_pooling_loses_the_place(quick: Run) -> None:
    numbers = quick("cnn_beyond_images").numbers
    assert numbers["go/convolution/test"] > 0.9
    assert numbers["go/pooled/test"] < 0.2
    assert numbers["go/convolution/parameters"] == numbers["go/pooled/parameters"]
    assert numbers["go/dense/test"] < numbers["go/dense/train"] - 0.1
    assert numbers["go/convolution/test"] > numbers["go/dense/test"] + 0.3


def test_filters_along_frequency_understand_other_voices(quick: Run) -> None:
    numbers = quick("cnn_beyond_images").numbers
    for name in ("frequency", "time", "dense"):
        assert numbers[f"speech/{name}/low"] > 0.95
    assert numbers["speech/frequency/high"] > 0.95
    assert max(numbers["speech/time/high"], numbers["speech/dense/high"]) < 0.6


def test_filters_along_time_read_a_phrase_at_any_place(quick: Run) -> None:
    numbers = quick("cnn_beyond_images").numbers
    assert min(numbers["text/time/early"], numbers["text/time/late"]) > 0.95
    assert numbers["text/bag/early"] == pytest.approx(0.5, abs=0.07)
    assert numbers["text/embedding/late"] == pytest.approx(0.5, abs=0.07)


def test_groups_share_their_liberties() -> None:
    position = board("xx.o. .xoo. ..... ....o .....")
    stones, liberties = group(position, (0, 0))
    assert stones == {(0, 0), (0, 1), (1, 1)}
    assert liberties == {(0, 2), (1, 0), (2, 1)}
    assert sorted(len(stones) for _, stones, _ in groups(position)) == [1, 3, 3]


def test_a_move_takes_off_what_has_no_liberty_left_and_nothing_else() -> None:
    after = play(board("oo... xx.o. ..... ..... ....."), (0, 2))
    assert np.argwhere(after == THEIRS).tolist() == [[1, 3]]
    assert (after == MINE).sum() == 3
    corner = play(board(".ox.. ox... x.... ..... ....."), (0, 0))
    assert (corner == THEIRS).sum() == 0


def test_exactly_one_move_of_a_problem_captures() -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        position, move = problem(rng, 7)
        assert all(liberties for _, _, liberties in groups(position))
        theirs = (position == THEIRS).sum()
        takes = [
            (row, column)
            for row, column in np.argwhere(position == 0).tolist()
            if (play(position, (row, column)) == THEIRS).sum() < theirs
        ]
        assert takes == [move]
        assert np.array_equal(planes(position).sum(axis=-1), np.ones((7, 7)))


def test_a_higher_voice_is_the_same_pattern_moved_up() -> None:
    words = formants(np.random.default_rng(1))
    assert words.shape == (WORDS, 2, FRAMES)
    assert words.min() >= 4
    assert words.max() + 15 < BINS - 2
    low, high = (spoken(np.random.default_rng(2), 40, (shift, shift), words) for shift in (0, 12))
    assert np.array_equal(low.y, high.y)
    difference = high.x[:, 12:] - low.x[:, :-12]
    assert difference.std() == pytest.approx(NOISE * np.sqrt(2), rel=0.05)


def test_a_shift_along_frequency_changes_no_answer_of_filters_along_it() -> None:
    networks = voice_networks(8, 3)
    x = np.zeros((2, BINS, FRAMES), np.float32)
    x[:, 12:20] = np.random.default_rng(4).random((8, FRAMES)).astype(np.float32)
    x[1] = np.roll(x[0], 9, axis=0)
    same = {name: np.allclose(*np.asarray(network(x)), atol=1e-5) for name, network in networks.items()}
    assert same == {"frequency": True, "time": False, "dense": False}


@pytest.mark.parametrize("places", HALVES.values())
def test_sentences_mean_what_their_label_says(places: tuple[int, int]) -> None:
    batch = sentences(np.random.default_rng(6), 400, places)
    for words, kind in zip(batch.x.astype(int), batch.y, strict=True):
        judging = np.flatnonzero(words > len(FILLERS))
        assert judging.size == 1
        assert max(1, places[0]) <= judging[0] <= places[1]
        assert (words == VOCABULARY.index("not")).sum() == 1
        negated = VOCABULARY[words[judging[0] - 1]] == "not"
        assert kind == ((VOCABULARY[words[judging[0]]] in GOOD) != negated)
    assert batch.y.mean() == pytest.approx(0.5, abs=0.08)

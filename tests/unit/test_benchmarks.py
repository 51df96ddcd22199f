"""What a benchmark computes rather than measures."""

import keras
import pytest

from benchmarks.limits import multiplications

LAYERS = keras.layers


@pytest.mark.parametrize(
    ("layers", "forward"),
    [
        ([LAYERS.Flatten(), LAYERS.Dense(3)], 6 * 6 * 2 * 3),
        ([LAYERS.Conv2D(4, 3, padding="same")], 36 * 9 * 2 * 4),
        ([LAYERS.Conv2D(4, 3, strides=2, padding="same"), LAYERS.ReLU()], 9 * 9 * 2 * 4),
    ],
    ids=["dense", "convolution", "strided"],
)
def test_multiplications_are_counted_forward_and_back(layers: list[keras.layers.Layer], forward: int) -> None:
    assert multiplications(keras.Sequential([keras.Input((6, 6, 2)), *layers])) == 2 * forward

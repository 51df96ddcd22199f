"""What stands for a generator in service draws as one does."""

import numpy as np

from redoubt.bundle.model.entropy import Entropy


def test_numbers_lie_in_the_unit_interval_and_are_spread_over_it() -> None:
    drawn = Entropy().random((4000, 3))
    assert drawn.shape == (4000, 3)
    assert drawn.dtype == np.float64
    assert 0.0 <= drawn.min() < 0.01 < 0.99 < drawn.max() < 1.0
    assert np.abs(np.histogram(drawn, 10, (0, 1))[0] / drawn.size - 0.1).max() < 0.02
    assert len(np.unique(drawn)) == drawn.size


def test_normal_numbers_are_normal() -> None:
    drawn = Entropy().standard_normal((4000, 3), dtype=np.float32)
    assert drawn.dtype == np.float32
    assert abs(float(drawn.mean())) < 0.06
    assert abs(float(drawn.std()) - 1.0) < 0.06


def test_no_two_draws_are_alike() -> None:
    assert len({Entropy().random((1,)).item() for _ in range(100)}) == 100
    assert len({Entropy().standard_normal((1,), np.float32).item() for _ in range(100)}) > 90

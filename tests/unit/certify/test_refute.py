"""The points at which a proof is tried lie in the box that was proven, and one wrong answer there ends all."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.certify.refute import RefutedError, check_not_refuted, ends, points
from redoubt.certify.worst_case import ball
from redoubt.core.types import PIXELS, Bounds

TABLE = Bounds(np.float32([0, -50, 0]), np.float32([1, 50, 1]), np.float32([1.0, 30.0, 0.0]))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0, 2), st.sampled_from([PIXELS, TABLE]))
def test_the_ends_are_those_of_the_proof_and_hold_every_point(seed: int, eps: float, bounds: Bounds) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(np.zeros(3) + bounds.lower - 0.1, bounds.upper, (5, 3)).astype(np.float32)
    low, high = ends(x, eps, bounds)
    box = ball(tf.constant(x), tf.constant(eps, tf.float32), bounds)
    assert np.array_equal(low, box.low.numpy())
    assert np.array_equal(high, box.high.numpy())
    found = list(points(x, low, high, seed))
    assert len(found) >= 4
    for _, point in found:
        assert point.dtype == np.float32
        assert np.all((low <= point) & (point <= high))
    assert np.array_equal(found[0][1], x)


def test_an_example_that_is_proven_and_wrong_is_named_with_the_place() -> None:
    proven, wrong = np.array([True, True, False]), np.array([False, False, True])
    check_not_refuted("L-inf 0.1", proven, wrong, "a corner")
    with pytest.raises(
        RefutedError, match=r"^L-inf 0.1: example 1 is certified, .* misclassified at a corner \(1 such\)"
    ):
        check_not_refuted("L-inf 0.1", proven, np.array([False, True, True]), "a corner")

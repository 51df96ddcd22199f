"""What is read from a proof: of whole balls, of the largest ball, of the interval of a number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.bundle.certificates import HALVINGS, certified_eps, certified_interval, proven
from redoubt.core.types import Floats


def test_a_class_is_proven_where_its_own_smallest_lead_is_above_0() -> None:
    leads = np.float32([[0.1, -5.0, -6.0], [0.1, -5.0, -6.0], [-0.2, -0.1, -3.0], [0.0, -1.0, -1.0]])
    assert proven(leads, np.array([0, 1, 1, 0]), None).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("ends", "right"),
    [([9.5, 10.5], True), ([9.0, 11.0], True), ([8.9, 10.0], False), ([10.0, 11.1], False), ([8.0, 12.0], False)],
    ids=str,
)
def test_a_number_is_proven_where_both_ends_are_within_the_tolerance(ends: list[float], right: bool) -> None:
    assert proven(np.float32([ends]), np.float32([10.0]), 1.0).tolist() == [right]


def test_what_is_no_number_is_not_proven() -> None:
    assert not proven(np.float32([[np.nan, np.nan]]), np.array([0]), None).any()
    assert not proven(np.float32([[np.nan, 1.0]]), np.float32([1.0]), 1.0).any()


class Line:
    """Two variants; the second's lead, and the distance of its ends, shrink with eps the faster the larger x is."""

    proves = True

    def __init__(self) -> None:
        self.draws: list[int] = []

    def prove(self, x: Floats, eps: float | Floats, rng: np.random.Generator) -> Floats:
        self.draws.append(int(rng.integers(1000)))
        lead = 1.0 - x[:, 0] * np.asarray(eps)
        return np.stack([np.stack([lead + shift, -lead], axis=1) for shift in (0.5, 0.0)], axis=1)


class Silent(Line):
    proves = False

    def prove(self, x: Floats, eps: float | Floats, rng: np.random.Generator) -> Floats:
        raise AssertionError("it was asked for what it cannot prove")


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=5), st.floats(0.01, 2))
def test_the_certified_eps_is_the_last_multiple_before_the_lead_is_gone(speeds: list[float], largest: float) -> None:
    x, unit = np.float32(speeds)[:, None], largest / 2**HALVINGS
    found = certified_eps(Line(), x, np.zeros(len(x), np.int64), 3, largest)
    # Where a multiple lies on the very end, rounding decides.
    near = 1e-5 * found
    assert np.all(found * x[:, 0] < 1 + 1e-4)
    assert np.all((found >= largest - unit - near) | ((found + unit) * x[:, 0] >= 1 - 1e-4))
    assert np.allclose(found / unit, np.round(found / unit), atol=1e-3)
    assert found.dtype == np.float32


def test_a_label_that_is_not_kept_has_no_eps() -> None:
    found = certified_eps(Line(), np.float32([[0.1], [0.1]]), np.array([0, 1]), 3, 1.0)
    assert found[0] > 0.9
    assert found[1] == 0


def test_all_that_is_asked_of_one_answer_meets_the_same_draws() -> None:
    model = Line()
    certified_eps(model, np.float32([[1.0]]), np.array([0]), 3, 2.0)
    assert len(model.draws) > 2
    assert len(set(model.draws)) == 1


def test_without_bounds_nothing_is_certified() -> None:
    assert certified_eps(Silent(), np.float32([[1.0], [2.0]]), np.array([0, 0]), 3, 1.0).tolist() == [0.0, 0.0]


def test_an_interval_averages_the_ends_of_the_variants() -> None:
    found = certified_interval(Line(), np.float32([[1.0]]), 0.25, 3)
    assert np.allclose(found, [[1.0, -0.75]])

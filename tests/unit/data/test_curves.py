import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from redoubt.data.prepare.curves import Curve, fitted
from tests.support.skewed import SKEWED

numbers = st.floats(-(2.0**60), 2.0**60, width=32)


@given(arrays(np.float32, st.integers(1, 40), elements=numbers))
def test_a_curve_rises_and_brings_its_rows_to_unit_variance(values: np.ndarray) -> None:
    curve = fitted(values)
    if values.min() == values.max():
        assert curve is None
        return
    assert curve is not None
    assert np.all(np.diff(curve.knots) > 0)
    assert np.all(np.diff(curve.values) > 0)
    assert curve == Curve.from_json(curve.to_json())


@pytest.mark.parametrize("name", SKEWED)
def test_what_is_skewed_is_so_no_more(name: str) -> None:
    values = SKEWED[name]
    curve = fitted(values)
    assert curve is not None
    made = np.interp(values.astype(np.float64), curve.knots, curve.values)
    assert made.mean() == pytest.approx(0.0, abs=0.02)
    assert made.std() == pytest.approx(1.0, abs=0.02)
    skew, before = (float((((x - x.mean()) / x.std()) ** 3).mean()) for x in (made, values.astype(np.float64)))
    assert abs(skew) < 0.4 * abs(before)


def test_the_order_of_the_rows_does_not_matter() -> None:
    values = SKEWED["money"]
    assert fitted(values) == fitted(np.random.default_rng(3).permutation(values))


def test_no_row_lies_on_a_knot() -> None:
    """There the slope has two values, and where many rows share one value an attack must see the right one."""
    for values in SKEWED.values():
        curve = fitted(values)
        assert curve is not None
        assert not set(curve.knots) & set(values.astype(np.float64).tolist())

"""The box and the unit of eps: given or inferred, said, and doubted where they cannot be meant."""

import numpy as np
import pytest

from redoubt.audit.budget import Budget, BudgetWordError, parse
from redoubt.audit.frame import FrameError, frame_of
from redoubt.core.types import Norm

R = np.random.default_rng(0)
UNIT = R.random((20, 4, 4, 1), np.float32)
TABLE = (R.random((50, 3), np.float32) * [1, 10, 100]).astype(np.float32)


@pytest.mark.parametrize(
    ("x", "bounds", "said", "span"),
    [
        (UNIT, None, "0 to 1, inferred from the examples", 1.0),
        (2 * UNIT - 1, None, "-1 to 1, inferred from the examples", 2.0),
        (255 * UNIT, None, "0 to 255, inferred from the examples", 255.0),
        (UNIT, (0.0, 255.0), "0 to 255, given", 255.0),
        (TABLE, (0.0, 100.0), "0 to 100, given", 100.0),
        (TABLE, None, "of each feature as in the examples; eps is in standard deviations", None),
    ],
)
def test_bounds(x: np.ndarray, bounds: tuple[float, float] | None, said: str, span: float | None) -> None:
    frame = frame_of(x, bounds)
    assert (frame.said, frame.span) == (said, span)
    frame.check(x)


SAYS: list[tuple[np.ndarray, Norm, float, str]] = [
    (UNIT, "linf", 0.1, "L-inf 0.1 = 25.5 of 255"),
    (255 * UNIT, "linf", 8, "L-inf 8 = 8 of 255"),
    (2 * UNIT - 1, "linf", 0.2, "L-inf 0.2 = 25.5 of 255"),
    (np.round(16 * UNIT) / 16, "linf", 0.15, "L-inf 0.15 = 2.4 of 16"),
    (np.round(16 * UNIT) / 8 - 1, "linf", 0.3, "L-inf 0.3 = 2.4 of 16"),
    (UNIT, "l2", 0.4, "L2 0.4 = 25.5 of 255 if spread evenly over all pixels"),
    (TABLE, "linf", 0.5, "L-inf 0.5 standard deviations = 0.1"),
]


@pytest.mark.parametrize(("x", "norm", "eps", "said"), SAYS)
def test_an_eps_in_words(x: np.ndarray, norm: Norm, eps: float, said: str) -> None:
    assert frame_of(x, None).says(norm, eps).startswith(said)


@pytest.mark.parametrize(
    ("x", "eps", "expected"),
    [
        (UNIT, 8 / 255, None),
        (UNIT, 1 / 255, None),
        (UNIT, 0.001, "under one grey level"),
        (UNIT, 8.0, "over half of the range.*0.031372"),
        (255 * UNIT, 0.3, "under one grey level.*give 76.5"),
        (255 * UNIT, 76.5, None),
        (TABLE, 0.3, None),
        (TABLE, 3.0, "over half of the range of 3 of 3 features"),
    ],
)
def test_an_eps_that_is_hardly_meant(x: np.ndarray, eps: float, expected: str | None) -> None:
    found = frame_of(x, None).warning("linf", eps)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        import re

        assert re.search(expected, found), found


def test_examples_outside_are_refused() -> None:
    with pytest.raises(FrameError, match=r"span .* outside of the bounds 0 to 0.5, given: give --bounds"):
        frame_of(UNIT, (0.0, 0.5)).check(UNIT)
    with pytest.raises(FrameError, match="no usual range of images: give --bounds"):
        frame_of(3000 * UNIT, None)
    with pytest.raises(FrameError, match="example 2 holds NaN"):
        broken = UNIT.copy()
        broken[2, 0] = np.nan
        frame_of(broken, None).check(broken)
    with pytest.raises(FrameError, match="the first must be below"):
        frame_of(UNIT, (1.0, 0.0))


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5", Budget(300.0)),
        ("90s", Budget(90.0)),
        ("2 h", Budget(7200.0)),
        ("20000q", Budget(None, 20000)),
        ("1.5m", Budget(90.0)),
    ],
)
def test_budgets(text: str, budget: Budget) -> None:
    assert parse(text) == budget


@pytest.mark.parametrize("text", ["", "0", "-3m", "five", "5 apples"])
def test_a_budget_that_is_none(text: str) -> None:
    with pytest.raises(BudgetWordError, match="expected minutes, such as 5m"):
        parse(text)

"""Robustness as a test's assertion."""

from typing import Any

import numpy as np
import pytest

from redoubt.core.errors import RedoubtError
from redoubt.testing import RobustnessError, assert_robust

R = np.random.default_rng(0)
X = np.round(R.uniform(0, 100, (60, 2)), 2).astype(np.float32)
Y = (X[:, 0] > 50).astype(int)


def above(x: Any) -> np.ndarray:
    return 10.0 * np.stack([50 - np.asarray(x)[:, 0], np.asarray(x)[:, 0] - 50], axis=1)


@pytest.fixture(autouse=True)
def few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redoubt.audit.plan.MANY", 40)
    monkeypatch.setattr("redoubt.audit.plan.FEW", 20)


def test_an_assertion() -> None:
    """Whoever lies nearer than eps to the threshold is fooled, and nobody else: the figure is exact."""
    exact = float((np.abs(X[:, 0] - 50) > 5).mean())
    found = assert_robust(above, X, Y, eps=5.0, at_least=exact - 1e-6, bounds=(0.0, 100.0))
    assert abs(found.worst.share - exact) < 1e-6
    with pytest.raises(RobustnessError, match=r"robust accuracy at most .* expected at least 99 %"):
        assert_robust(above, X, Y, eps=5.0, at_least=0.99, bounds=(0.0, 100.0))
    with pytest.raises(RobustnessError, match="NOT TRUSTED.*classes renamed"):
        assert_robust(above, X, 1 - Y, eps=5.0, at_least=0.0)


@pytest.mark.parametrize(
    ("x", "y", "options", "expected"),
    [
        (X, Y[:5], {}, "expected .* and "),
        (X, Y + 0.5, {}, "numbered from 0"),
        (X, Y, {"step": 3}, "there is no option 'step'"),
        (X, Y, {"budget": "ages"}, "expected minutes"),
    ],
)
def test_arrays_that_are_no_examples(x: np.ndarray, y: np.ndarray, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(RedoubtError, match=expected):
        assert_robust(above, x, y, eps=1.0, at_least=0.5, **options)

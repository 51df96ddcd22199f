"""Shares with their intervals, and the clean metrics of a task."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, mean_absolute_error, r2_score, root_mean_squared_error

from redoubt.tasks import Floats

CONFIDENCE = 0.95


class Rate(BaseModel):
    """A share of `n` rows with its 95 % Wilson interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float
    low: float
    high: float
    n: int


def rate(flags: NDArray[np.bool_]) -> Rate:
    """The share of True flags.

    Raises:
        ValueError: no flags at all.
    """
    if not len(flags):
        raise ValueError("a share needs at least one row")
    hits = int(np.count_nonzero(flags))
    interval = binomtest(hits, len(flags)).proportion_ci(CONFIDENCE, method="wilson")
    digits = 6
    return Rate(
        share=round(hits / len(flags), digits),
        low=round(float(interval.low), digits),
        high=round(float(interval.high), digits),
        n=len(flags),
    )


def regression_metrics(values: Floats, truth: Floats) -> dict[str, float]:
    """Mean absolute error and root mean squared error in the target's units, and R squared."""
    return {
        "mae": float(mean_absolute_error(truth, values)),
        "rmse": float(root_mean_squared_error(truth, values)),
        "r2": float(r2_score(truth, values)),
    }


def error_growth(attacked: Floats, clean: Floats, truth: Floats) -> dict[str, float]:
    """How much an attack adds to the absolute error, in the target's units, over all rows.

    A row whose error the attack made smaller counts as negative growth.

    Args:
        attacked: answers to the perturbed inputs, `(rows,)`.
        clean: answers to the inputs themselves, likewise.
        truth: true values, likewise.

    Returns:
        `mean`, `p95` (95th percentile) and `max`.

    Raises:
        ValueError: no rows, or arrays of other shapes.
    """
    shapes = (attacked.shape, clean.shape, truth.shape)
    if len(set(shapes)) > 1 or truth.ndim != 1 or not len(truth):
        raise ValueError(f"attacked, clean and truth have shapes {shapes}; expected (rows,) of each, at least one row")
    growth = np.abs(attacked.astype(float) - truth) - np.abs(clean.astype(float) - truth)
    return {
        "mean": float(growth.mean()),
        "p95": float(np.percentile(growth, 95)),
        "max": float(growth.max()),
    }


def confusion(predicted: NDArray[Any], truth: NDArray[Any], labels: Sequence[str]) -> list[list[int]]:
    """Counts, one row per true class and one column per answer."""
    counts: list[list[int]] = confusion_matrix(truth, predicted, labels=range(len(labels))).tolist()
    return counts

"""Shares with their intervals, scores in which a constant is worth nothing, and the clean metrics of a task."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import ndtr, ndtri

from redoubt.core.errors import RedoubtError
from redoubt.core.types import Floats

CONFIDENCE = 0.95
DIGITS = 6
RESAMPLES = 2000
# Of examples drawn again at once.
DRAWN = 2**20
# Skill is not told below this: it only says that the model is useless, and JSON holds no infinity.
WORST = -1e6
# Stands for a loss that is no number.
LOST = 1e30
Flags = NDArray[np.bool_]
Metric = Literal["balanced accuracy", "R2", "tolerance skill"]


class MetricError(RedoubtError):
    """Examples on which a figure means nothing; the message says why."""


class Rate(BaseModel):
    """A share of `n` examples with its 95 % Wilson interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float
    low: float
    high: float
    n: int


class Score(BaseModel):
    """A figure by which no constant looks good, with its 95 % interval.

    Attributes:
        metric: balanced accuracy of classes; of a number R2 (of its values) or tolerance skill (of what is within the
            tolerance), both against the mean of the training set.
        value: of a perfect model 1; below 0 for a model that is worse than that mean.
        low: lower end of the interval.
        high: upper end.
        n: examples.
        constant: what a constant predictor scores: 1 / classes, or 0.
        per_class: share of each class, None for a class without an example; empty where it was not asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Metric
    value: float
    low: float
    high: float
    n: int
    constant: float
    per_class: tuple[Rate | None, ...] = ()

    @property
    def gained(self) -> float:
        """By how much the lower end exceeds what a constant gets; a constant's own robustness is worth 0."""
        return max(self.low - self.constant, 0.0)


def rate(flags: Flags) -> Rate:
    """The share of True flags.

    Raises:
        ValueError: no flags at all.
    """
    if not len(flags):
        raise ValueError("a rate needs at least one example")
    hits = int(np.count_nonzero(flags))
    low, high = wilson(hits, len(flags), CONFIDENCE)
    return Rate(share=round(hits / len(flags), DIGITS), low=round(low, DIGITS), high=round(high, DIGITS), n=len(flags))


def wilson(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a share, bit for bit as `scipy.stats.binomtest` has it.

    That computes a p-value first, which nobody asks for, and its module takes a second to import.

    Args:
        hits: successes, 0 .. n.
        n: trials, >= 1.
        confidence: in (0, 1).
    """
    p, z = hits / n, float(ndtri(0.5 + 0.5 * confidence))
    whole = 2 * (n + z**2)
    center, half = (2 * n * p + z**2) / whole, z / whole * math.sqrt(4 * n * p * (1 - p) + z**2)
    return 0.0 if hits == 0 else center - half, 1.0 if hits == n else center + half


def balanced_accuracy(right: Flags, y: NDArray[Any], classes: int) -> Score:
    """The mean over the classes of the accuracy on each (recall).

    The interval is the stratified Wilson interval (Yan & Su, Statistics in Biopharmaceutical Research 2010) with equal
    weights: the mean of the classes' Wilson intervals at a lower confidence, so that together they have 95 %. It is in
    closed form, and of one class Wilson's own. Classes without an example have no part in it.

    Args:
        right: which examples are classified correctly, `(examples,)`.
        y: true classes `(examples,)`, 0 .. classes - 1.
        classes: how many there are.

    Raises:
        MetricError: no examples at all.
    """
    if not len(right):
        raise MetricError("balanced accuracy needs at least one example")
    per_class = [rate(right[y == each]) if np.any(y == each) else None for each in range(classes)]
    found = [each for each in per_class if each is not None]
    widths = np.array([each.high - each.low for each in found])
    z = float(ndtri(0.5 + CONFIDENCE / 2) * np.sqrt(np.sum(widths**2)) / np.sum(widths))
    together = 2 * float(ndtr(z)) - 1
    lows, highs = zip(*(wilson(round(each.share * each.n), each.n, together) for each in found), strict=True)
    value = float(np.mean([each.share for each in found]))
    return Score(
        metric="balanced accuracy",
        value=round(value, DIGITS),
        low=round(min(value, float(np.mean(lows))), DIGITS),
        high=round(max(value, float(np.mean(highs))), DIGITS),
        n=len(right),
        constant=round(1.0 / len(found), DIGITS),
        per_class=tuple(per_class),
    )


def skill(loss: NDArray[Any], constant: NDArray[Any], metric: Metric) -> Score:
    """1 less the ratio of a model's mean loss to that of a constant on the same examples.

    The interval is a percentile bootstrap over examples (Efron 1979), both losses resampled together, always with the
    same draws. With squared errors this is R2 against the constant, with errors beyond a tolerance tolerance skill.

    Args:
        loss: of the model, `(examples,)`, >= 0; not finite where it outputs no number.
        constant: of the constant, likewise.
        metric: what to call it.

    Raises:
        MetricError: no examples, or a constant without any loss, to which nothing can be compared.
    """
    if not len(loss) or not np.sum(constant) > 0:
        raise MetricError(f"{metric} needs an example on which the constant is wrong; it is right on all {len(loss)}")
    pair = np.stack([np.where(np.isfinite(loss), loss, LOST), constant], axis=1).astype(float)
    value, drawn = float(_skill(pair.sum(axis=0))), _resampled(pair)
    # A resample without any loss of the constant says nothing.
    found = _skill(drawn[drawn[:, 1] > 0])
    ends = np.percentile(found, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]) if len(found) else [value, value]
    low, high = min(ends[0], value), max(ends[1], value)
    value, low, high = (round(float(each), DIGITS) for each in (value, low, high))
    return Score(metric=metric, value=value, low=low, high=high, n=len(loss), constant=0.0)


def column_score(right: Flags, y: NDArray[Any], classes: int, missed: Flags) -> Score | None:
    """A column of correct and wrong as a score: balanced accuracy, or of a number tolerance skill.

    Args:
        right: which examples are correct, `(examples,)`.
        y: classes or values `(examples,)`.
        classes: how many; fewer than 2 for a number.
        missed: on which examples a number's constant is beyond the tolerance; not read of classes.

    Returns:
        None where the constant misses no example, so that there is nothing to gain.
    """
    if classes > 1:
        return balanced_accuracy(right, y, classes)
    return skill(~right, missed, "tolerance skill") if missed.any() else None


def _skill(sums: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        skills: NDArray[Any] = np.maximum(1.0 - sums[..., 0] / sums[..., 1], WORST)
    return skills


def _resampled(values: NDArray[Any]) -> NDArray[Any]:
    """Sums over examples drawn with replacement, `(RESAMPLES, columns)`; the same on every call."""
    count = len(values)
    drawn = _kept_draws(count) if count * RESAMPLES <= DRAWN else _draws(count)
    return np.concatenate([each @ values for each in drawn])


def _draws(count: int) -> Iterator[NDArray[np.int64]]:
    """How often each example is drawn, so many resamples at a time as fit into memory."""
    rng, each = np.random.default_rng(0), max(1, DRAWN // count)
    for start in range(0, RESAMPLES, each):
        yield rng.multinomial(count, np.full(count, 1.0 / count), size=min(each, RESAMPLES - start))


@lru_cache(maxsize=4)
def _kept_draws(count: int) -> tuple[NDArray[np.int64], ...]:
    """The same of few examples, which a report asks for a hundred times."""
    return tuple(_draws(count))


def regression_metrics(values: Floats, truth: Floats) -> dict[str, float]:
    """Mean absolute error and root mean squared error in the target's units, and R squared."""
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    return {
        "mae": float(mean_absolute_error(truth, values)),
        "rmse": float(root_mean_squared_error(truth, values)),
        "r2": float(r2_score(truth, values)),
    }


def error_growth(attacked: Floats, clean: Floats, truth: Floats) -> dict[str, float]:
    """How much an attack adds to the absolute error, in the target's units, over all examples.

    An example whose error the attack made smaller counts as negative growth.

    Args:
        attacked: predictions on the perturbed inputs, `(examples,)`.
        clean: predictions on the inputs themselves, likewise.
        truth: true values, likewise.

    Returns:
        `mean`, `p95` (95th percentile) and `max`.

    Raises:
        ValueError: no examples, or arrays of other shapes.
    """
    shapes = (attacked.shape, clean.shape, truth.shape)
    if len(set(shapes)) > 1 or truth.ndim != 1 or not len(truth):
        raise ValueError(
            f"attacked, clean and truth have shapes {shapes}; expected (examples,) of each, at least one example"
        )
    growth = np.abs(attacked.astype(float) - truth) - np.abs(clean.astype(float) - truth)
    return {
        "mean": float(growth.mean()),
        "p95": float(np.percentile(growth, 95)),
        "max": float(growth.max()),
    }


def confusion(predicted: NDArray[Any], truth: NDArray[Any], labels: Sequence[str]) -> list[list[int]]:
    """Counts, one row per true class and one column per predicted class."""
    from sklearn.metrics import confusion_matrix

    counts: list[list[int]] = confusion_matrix(truth, predicted, labels=range(len(labels))).tolist()
    return counts


def class_metrics(predicted: NDArray[Any], truth: NDArray[Any], classes: int) -> dict[str, float]:
    """Accuracy, balanced accuracy and Matthews' correlation coefficient (0 for a constant, 1 at best)."""
    from sklearn.metrics import matthews_corrcoef

    right = predicted == truth
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": balanced_accuracy(right, truth, classes).value,
        "mcc": round(float(matthews_corrcoef(truth, predicted)), DIGITS),
    }


def robust_mcc(robust: Flags, outputs: Floats, y: NDArray[Any]) -> float:
    """Matthews' correlation coefficient under attack: 0 for a constant, however robust, and below 0 if attacks win.

    Args:
        robust: which examples are classified correctly whatever was tried, `(examples,)`.
        outputs: logits of each example as it was perturbed most successfully `(examples, classes)`; one that is not
            robust counts as the likeliest wrong class there.
        y: true classes `(examples,)`.
    """
    wrong = outputs.astype(float)
    wrong[np.arange(len(y)), y] = -np.inf
    return class_metrics(np.where(robust, y, wrong.argmax(axis=1)), y, outputs.shape[1])["mcc"]

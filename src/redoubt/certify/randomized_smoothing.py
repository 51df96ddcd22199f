"""Randomized smoothing: L2 radii for classes (arXiv 1902.02918) and intervals for numbers (arXiv 2007.03234)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, norm

from redoubt.bundle.switches import Switches
from redoubt.core.types import Bounds, Floats
from redoubt.params.settings.sections import CertifyParams
from redoubt.progress import progress_bar

Predict = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Smoothed:
    """A classifier's predictions under noise.

    Attributes:
        label: the smoothed class per example; -1 where it abstains.
        radius: L2 radius within which that class cannot change, in units of eps; 0 where it abstains.
    """

    label: NDArray[np.int64]
    radius: Floats


def certify_classes(
    predict: Predict, x: Floats, params: CertifyParams, bounds: Bounds, seed: int, label: str | None = None
) -> Smoothed:
    """Certify the smoothed classifier's prediction on every example.

    With probability 1 - alpha per example, no perturbation below the radius changes the label, nor one of a record that
    mutable categories make of it; where there are too many of these the radius is 0.

    Args:
        predict: `(examples, ...) -> logits (examples, classes)`.
        x: inputs in raw units.
        params: sigma, sample sizes, alpha.
        bounds: gives the unit of sigma.
        seed: of the noise.
        label: of a progress bar; None shows none.
    """
    switches = bounds.switches_within(np.inf)
    if switches is None:
        return _classes(predict, x, params, bounds, seed, label)
    params = _shared_out(params, switches)
    found = _classes(predict, x, params, bounds, seed, label)
    radius = found.radius if switches.is_provable else np.zeros_like(found.radius)
    for place, copy in enumerate(switches.copies(x) if switches.is_provable else (), 1):
        other = _classes(predict, copy, params, bounds, seed + place, label)
        radius = np.where(other.label == found.label, np.minimum(radius, other.radius), np.float32(0.0))
    return Smoothed(found.label, radius)


def _shared_out(params: CertifyParams, switches: Switches) -> CertifyParams:
    """Each record may fail with its share of alpha, so that all of them hold together."""
    return params.model_copy(update={"alpha": params.alpha / (1 + switches.count)})


def _classes(
    predict: Predict, x: Floats, params: CertifyParams, bounds: Bounds, seed: int, label: str | None
) -> Smoothed:
    labels, radii = [], []
    for index, row in enumerate(progress_bar(x, desc=label, unit="example", disable=label is None)):
        rng = np.random.default_rng([seed, index])
        guess = int(_votes(predict, row, params.selection_draws, params, bounds, rng).argmax())
        hits = int(_votes(predict, row, params.draws, params, bounds, rng)[guess])
        low = binomtest(hits, params.draws).proportion_ci(1 - 2 * params.alpha, method="exact").low
        certain = low > 0.5
        labels.append(guess if certain else -1)
        radii.append(params.sigma * float(norm.ppf(low)) if certain else 0.0)
    return Smoothed(np.array(labels, dtype=np.int64), np.array(radii, dtype=np.float32))


def certify_numbers(
    predict: Predict, x: Floats, radius: float, params: CertifyParams, bounds: Bounds, seed: int
) -> tuple[Floats, Floats]:
    """Bound the median-smoothed value of every example within an L2 radius, whatever its mutable categories are.

    Returns:
        Lower and upper ends `(examples,)`; infinite where the sample is too small to say, or the categories too many.
    """
    switches = bounds.switches_within(radius)
    if switches is None:
        return _numbers(predict, x, radius, params, bounds, seed)
    params = _shared_out(params, switches)
    low, high = _numbers(predict, x, radius, params, bounds, seed)
    if not switches.is_provable:
        return np.full_like(low, -np.inf), np.full_like(high, np.inf)
    for place, copy in enumerate(switches.copies(x), 1):
        other = _numbers(predict, copy, radius, params, bounds, seed + place)
        low, high = np.minimum(low, other[0]), np.maximum(high, other[1])
    return low, high


def _numbers(
    predict: Predict, x: Floats, radius: float, params: CertifyParams, bounds: Bounds, seed: int
) -> tuple[Floats, Floats]:
    low_rank, high_rank = _ranks(params.draws, radius / params.sigma, params.alpha)
    ends = []
    for index, row in enumerate(x):
        noisy = _noisy(row, params.draws, params, bounds, np.random.default_rng([seed, index]))
        values = np.concatenate([[-np.inf], np.sort(predict(noisy)[:, 0]), [np.inf]])
        ends.append((values[low_rank], values[high_rank]))
    low, high = np.array(ends, dtype=np.float32).T
    return low, high


def _ranks(draws: int, shift: float, alpha: float) -> tuple[int, int]:
    """Order statistics (1-based; 0 and draws + 1 mean infinity) that bound the shifted medians."""
    below = int(binom.ppf(alpha / 2, draws, norm.cdf(-shift)))
    above = int(binom.ppf(1 - alpha / 2, draws, norm.cdf(shift))) + 1
    return max(0, below), min(draws + 1, above)


def _votes(
    predict: Predict, row: Floats, draws: int, params: CertifyParams, bounds: Bounds, rng: np.random.Generator
) -> NDArray[np.int64]:
    logits = predict(_noisy(row, draws, params, bounds, rng))
    return np.bincount(logits.argmax(axis=1), minlength=logits.shape[1])


def _noisy(row: Floats, draws: int, params: CertifyParams, bounds: Bounds, rng: np.random.Generator) -> Floats:
    noise = rng.standard_normal((draws, *row.shape), dtype=np.float32)
    return (row + params.sigma * noise * bounds.scale).astype(np.float32)

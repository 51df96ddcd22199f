"""Two classifiers that several studies share, in a few lines each: Gaussians, and logistic regression."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

from redoubt.studies.contract import Doubles

Covariance = Literal["separate", "shared", "naive"]


def with_one(x: Doubles) -> Doubles:
    """A column of ones before the features of `(..., rows, features)`, so that the first weight is the bias."""
    return np.concatenate([np.ones((*x.shape[:-1], 1)), x], axis=-1)


def answers(weights: Doubles, x: Doubles) -> Doubles:
    """Answers b + w x for weights `(..., 1 + features)` and `(..., rows, features)`."""
    return np.asarray((with_one(x) @ weights[..., None])[..., 0])


def fit_logistic(x: Doubles, y: Doubles, ridge: float = 1e-6, steps: int = 25) -> Doubles:
    """Weights of logistic regression by Newton's method, for one data set or a stack of them.

    Args:
        x: `(..., rows, features)`, of unit spread.
        y: 1 for class 1, 0 for class 2, `(..., rows)`.
        ridge: weight of the squares, bias left out; without it separable rows have no finite answer.
        steps: of Newton's method at most, each halved where the loss would rise.

    Returns:
        `(..., 1 + features)`, the bias first.
    """
    columns = with_one(x)
    penalty = ridge * np.diag(np.arange(columns.shape[-1]) > 0).astype(float)
    weights = np.zeros((*columns.shape[:-2], columns.shape[-1]))

    def loss(trial: Doubles) -> Doubles:
        z = (columns @ trial[..., None])[..., 0]
        return np.asarray((np.logaddexp(0, z) - y * z).sum(axis=-1) + (trial @ penalty * trial).sum(axis=-1) / 2)

    before = loss(weights)
    for _ in range(steps):
        f = expit((columns @ weights[..., None])[..., 0])
        slope = ((f - y)[..., None, :] @ columns)[..., 0, :] + weights @ penalty
        curvature = np.swapaxes(columns, -1, -2) @ (columns * (f * (1 - f))[..., None])
        # A billionth keeps the system solvable where every row is answered with certainty.
        floor = penalty + 1e-9 * np.eye(columns.shape[-1])
        step = np.linalg.solve(curvature + floor, slope[..., None])[..., 0]
        for _ in range(8):
            after = loss(weights - step)
            worse = after > before
            if not worse.any():
                break
            step = np.where(worse[..., None], step / 2, step)
        step = np.where((after <= before)[..., None], step, 0.0)
        weights, before = weights - step, np.minimum(after, before)
        if np.abs(step).max() < 1e-7:
            break
    return weights


@dataclass(frozen=True)
class Gaussians:
    """A Gaussian per class; class 1 first.

    Attributes:
        priors: P(C1), P(C2).
        means: `(2, features)`.
        covariances: `(2, features, features)`.
    """

    priors: Doubles
    means: Doubles
    covariances: Doubles

    def log_odds(self, x: Doubles) -> Doubles:
        """The z = ln P(x|C1) P(C1) / P(x|C2) P(C2) by Bayes; P(C1|x) is its sigmoid."""
        parts = []
        for prior, mean, covariance in zip(self.priors, self.means, self.covariances, strict=True):
            off = x - mean
            far = (off * np.linalg.solve(covariance, off.T).T).sum(axis=1)
            parts.append(np.log(prior) - (far + np.linalg.slogdet(covariance)[1]) / 2)
        return np.asarray(parts[0] - parts[1])

    def line(self) -> Doubles:
        """The bias, then w, of the line that one shared covariance makes of z."""
        first, second = np.linalg.solve(self.covariances[0], self.means.T).T
        bias = (self.means[1] @ second - self.means[0] @ first) / 2 + np.log(self.priors[0] / self.priors[1])
        return np.concatenate([[bias], first - second])


def fit_gaussians(x: Doubles, y: Doubles, kind: Covariance) -> Gaussians:
    """The most likely Gaussians: means and covariances of the rows of each class (divided by N, not N - 1).

    Args:
        x: `(rows, features)`.
        y: 1 for class 1, 0 for class 2.
        kind: a covariance per class, the average of both weighted by rows, or per class only its diagonal.
    """
    classes = [x[y == 1], x[y == 0]]
    priors = np.array([len(rows) / len(x) for rows in classes])
    covariances = np.array([np.cov(rows.T, bias=True) for rows in classes])
    if kind == "shared":
        covariances[:] = np.tensordot(priors, covariances, axes=1)
    elif kind == "naive":
        covariances *= np.eye(x.shape[1])
    return Gaussians(priors, np.array([rows.mean(axis=0) for rows in classes]), covariances)

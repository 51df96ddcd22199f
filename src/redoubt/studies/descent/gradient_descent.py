"""A bowl and a walk down it: what the studies of gradient descent share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from redoubt.studies.contract import Doubles
from redoubt.studies.given import Evolutions

# The course's demonstration: where it starts, as (b, w), and its numbers of updates.
START = np.array([-120.0, -4.0])
UPDATES = 100_000
Gradient = Callable[[Doubles], Doubles]


@dataclass(frozen=True)
class Bowl:
    """A quadratic loss, floor + (p - bottom)' curvature (p - bottom) / 2.

    Attributes:
        curvature: second derivatives, symmetric and positive.
        bottom: where the loss is smallest.
        floor: the loss there.
    """

    curvature: Doubles
    bottom: Doubles
    floor: float = 0.0

    def excess(self, points: Doubles) -> Doubles:
        """Loss above the floor, of one point or of points along the last axis."""
        off = points - self.bottom
        return np.asarray(((off @ self.curvature) * off).sum(axis=-1) / 2)

    def loss(self, points: Doubles) -> Doubles:
        """Likewise the loss."""
        return self.floor + self.excess(points)

    def gradient(self, points: Doubles) -> Doubles:
        """Likewise its derivatives."""
        return (points - self.bottom) @ self.curvature

    @property
    def spectrum(self) -> Doubles:
        """Curvatures along the axes of the bowl, rising."""
        return np.asarray(np.linalg.eigvalsh(self.curvature), np.float64)

    @property
    def limit(self) -> float:
        """The learning rate at which descent along the steepest axis turns into bouncing; above it diverges."""
        return float(2 / self.spectrum[-1])

    def after(self, start: Doubles, rate: float, times: Doubles) -> Doubles:
        """Where descent is after so many updates, `(times, parameters)`: each axis shrinks by its own factor."""
        spectrum, axes = np.linalg.eigh(self.curvature)
        factors = np.power(1 - rate * spectrum, np.asarray(times)[:, None])
        return np.asarray(self.bottom + (factors * ((start - self.bottom) @ axes)) @ axes.T)


def squares(columns: Doubles, y: Doubles) -> Bowl:
    """The sum of squared errors of a linear model as a function of its weights."""
    bottom = np.asarray(np.linalg.lstsq(columns, y, rcond=None)[0], np.float64)
    return Bowl(2 * columns.T @ columns, bottom, float(np.square(columns @ bottom - y).sum()))


def demonstration(evolutions: Evolutions) -> Bowl:
    """The course's demonstration: newcp = b + w cp on ten Pokémon, summed squares, cp as it is."""
    few = evolutions.few
    return squares(np.column_stack([np.ones(len(few)), few["cp"]]), few["newcp"].to_numpy(float))


def descend(gradient: Gradient, start: Doubles, rates: Iterable[float | Doubles]) -> Doubles:
    """Gradient descent with one learning rate per update: the start and where every update leads."""
    path = [start]
    for rate in rates:
        path.append(path[-1] - rate * gradient(path[-1]))
    return np.array(path)

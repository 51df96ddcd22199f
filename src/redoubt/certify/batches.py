"""The examples of a batch, each verified by itself, over the cores of this machine."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.criteria import Criterion, Tolerance
from redoubt.attacks.core.geometry import as_records, must_stay_integer
from redoubt.certify.branch_and_bound import Limit
from redoubt.certify.piecewise import piecewise_linear
from redoubt.certify.refute import ends
from redoubt.certify.verifier import METHODS, Decision, Method, leads, verify_boxes, within
from redoubt.compute import spread
from redoubt.core.types import Batch, Bounds, Floats

# Examples that a process is given at a time: few, so that the bar moves.
AT_ONCE = 4


def verify_batch(
    network: keras.Model, criterion: Criterion, bounds: Bounds, batch: Batch, eps: float, how: tuple[Method, Limit]
) -> list[Decision]:
    """Prove or refute each example of a batch within an L-inf eps.

    Args:
        network: at inference.
        criterion: what counts as correct: the true class, or a value within a tolerance.
        bounds: the box inputs live in, and the unit of eps.
        batch: examples with their labels or values.
        eps: of the ball.
        how: the strongest method to try, and when branch and bound gives up on an example.

    Returns:
        A decision each. Where columns are related, one whose adversarial points are no valid records is undecided.

    Raises:
        ChainError: the network is more than a chain of layers.
        LinearBoundError: a layer without linear bounds.
    """
    switches = bounds.switches_within(eps)
    if switches is not None:
        return _over_switches(network, criterion, bounds, batch, eps, how)
    if not len(batch):
        return []
    apart, (low, high) = piecewise_linear(network), ends(batch.x, eps, bounds)
    asked = [_asked(criterion, network.output_shape[-1], y) for y in batch.y]
    doubles = [part.astype(float).reshape(len(batch), -1) for part in (batch.x, low, high)]
    boxes = [*doubles, _whole(batch.x, bounds).reshape(len(batch), -1)]
    jobs = []
    for first in range(0, len(batch), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        jobs.append((apart, tuple(part[some] for part in boxes), asked[some], how))
    label = f"{how[0]}, eps {eps:g}"
    found = [decision for some in spread(verify_boxes, jobs, label) for decision in some]
    return _confirmed(network, criterion, batch, found, lambda at, points: _valid(batch.x[at], points, eps, bounds))


def _over_switches(
    network: keras.Model, criterion: Criterion, bounds: Bounds, batch: Batch, eps: float, how: tuple[Method, Limit]
) -> list[Decision]:
    """Each example, and each record that switches make of it: proven where all are, adversarial where one is."""
    given, switches = bounds.categories_as_given, bounds.switches
    found = verify_batch(network, criterion, given, batch, eps, how)
    if switches is None:
        return found
    if not switches.is_provable:
        return [replace(each, verdict="undecided") if each.verdict == "proven" else each for each in found]
    for copy in switches.copies(batch.x):
        left = [place for place, each in enumerate(found) if each.verdict != "adversarial"]
        some = Batch(copy, batch.y).take(np.array(left, np.int64))
        for place, each in zip(left, verify_batch(network, criterion, given, some, eps, how), strict=True):
            found[place] = _both(found[place], each)
    return found


def _both(one: Decision, other: Decision) -> Decision:
    """What is known of an example if so much is known of two of its records, the first of them not adversarial."""
    verdict = one.verdict if other.verdict == "proven" else other.verdict
    method = max(one.method, other.method, key=METHODS.index)
    return Decision(verdict, method, one.seconds + other.seconds, other.point)


def _asked(criterion: Criterion, outputs: int, y: Any) -> Any:
    return within(float(y), criterion.tolerance) if isinstance(criterion, Tolerance) else leads(outputs, int(y))


def _whole(x: Floats, bounds: Bounds) -> Any:
    return np.broadcast_to(must_stay_integer(x, bounds), x.shape)


def _valid(x: Floats, points: NDArray[Any], eps: float, bounds: Bounds) -> Floats:
    """Points of the balls as they are, or the nearest that keep what is related: no other record refutes anything."""
    low, high = ends(x, eps, bounds)
    x_adv = np.clip(points.astype(np.float32), low, high)
    return x_adv if bounds.relations is None else as_records(x, x_adv, eps, "linf", bounds)


def _confirmed(
    network: keras.Model,
    criterion: Criterion,
    batch: Batch,
    found: list[Decision],
    valid: Callable[[list[int], NDArray[Any]], Floats],
) -> list[Decision]:
    """Only a valid record that is adversarial for the network itself, in the precision that is served, is called so."""
    given = {place: decision.point for place, decision in enumerate(found) if decision.point is not None}
    if not given:
        return found
    at, points = list(given), np.stack(list(given.values())).reshape(-1, *batch.x.shape[1:])
    x_adv = valid(at, points)
    is_adversarial = criterion.is_adversarial(network.predict_on_batch(x_adv), batch.y[at])
    for place, adversarial in zip(at, is_adversarial, strict=True):
        if not adversarial:
            found[place] = replace(found[place], verdict="undecided", point=None)
    return found

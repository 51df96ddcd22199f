"""What the gates can show at all with so many validation examples: said before anything is trained for it."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.core.errors import RedoubtError
from redoubt.evaluation.metrics import Score, balanced_accuracy, rate
from redoubt.params.settings.data_params import JudgedParams
from redoubt.params.settings.sections import GatesParams

# Of fewer examples of a class hardly anything is known.
FEW = 5
# A constant that is right so often leaves little to be robust about.
OFTEN = 0.8
# Of the examples; beyond them there is no use in telling how many it would take.
DOUBLINGS = 8


class FeasibilityError(RedoubtError):
    """A gate that not even a perfect model could clear; the message says what is reachable and what to do."""


def best(y: NDArray[Any], classes: int, times: int = 1) -> Score:
    """What a model scores that is correct on every example, had each class so many times as many.

    Args:
        y: classes of the validation examples that are judged, `(examples,)`.
        classes: how many there are.
        times: how many times as many.
    """
    each = np.repeat(y, times)
    return balanced_accuracy(np.ones(len(each), dtype=bool), each, classes)


def check(task: JudgedParams, y: NDArray[Any], labels: tuple[str, ...], mean: float) -> list[str]:
    """Refuse gates beyond reach, and tell what little will be known.

    Args:
        task: its gates, tolerance, split and number of attacked examples.
        y: classes or numbers of the validation examples that are judged, `(examples,)`.
        labels: class names; empty for numbers.
        mean: of a number's training examples.

    Returns:
        Sentences to print; none where all is well.

    Raises:
        FeasibilityError: a gate that a perfect model could not clear on these examples.
    """
    if labels:
        _check_classes(task, y, labels)
        return list(_rare(y, labels))
    within = np.abs(y.astype(float) - mean) <= (task.tolerance or 0.0)
    if within.all():
        raise FeasibilityError(
            f"tolerance is {task.tolerance:g}, and the mean of the training set, {mean:.6g}, is within it on all "
            f"{len(y)} validation examples: a constant predictor would be perfectly robust; lower the tolerance"
        )
    share = rate(within).share
    if share < OFTEN:
        return []
    return [
        f"the mean of the training set alone is within the tolerance of {task.tolerance:g} on {share:.0%} of the "
        "validation examples: robust accuracy says little; a lower tolerance says more"
    ]


def _check_classes(task: JudgedParams, y: NDArray[Any], labels: tuple[str, ...]) -> None:
    reachable, gates = best(y, len(labels)), task.gates
    counts = ", ".join(f"{count} of '{label}'" for label, count in _counts(y, labels)[:8])
    had = f"the {len(y)} validation examples ({counts}{', ...' if len(labels) > 8 else ''})"
    for name, floor in _floors(gates, reachable.constant):
        if reachable.low < floor:
            raise FeasibilityError(
                f"gates.{name} needs a lower end of at least {floor:.4g}, and {had} cannot show more than "
                f"{reachable.low:.3f} even for a model that predicts all of them correctly: {_fix(name, reachable)}, "
                f"{_more(task, len(y))}, or add examples{_enough(y, len(labels), floor)}"
            )


def _floors(gates: GatesParams, constant: float) -> Iterator[tuple[str, float]]:
    yield "margin", math.nextafter(constant + gates.margin, 2.0)
    for name, floor in (("clean", gates.clean), ("robust", gates.robust)):
        if floor is not None:
            yield name, floor


def _fix(name: str, reachable: Score) -> str:
    most = reachable.low - (reachable.constant if name == "margin" else 0.0)
    return f"lower it to {math.floor(100 * most) / 100:g} or less" if most > 0 else "it cannot be lowered enough"


def _more(task: JudgedParams, judged: int) -> str:
    """The setting that keeps the examples so few."""
    if judged == task.attack.points:
        return f"raise attack.points (now {judged})"
    return f"raise split.validation (now {task.split.validation:g})"


def _enough(y: NDArray[Any], classes: int, floor: float) -> str:
    """How many times as many examples would do, if that is not out of the question."""
    times = next((2**power for power in range(1, DOUBLINGS) if best(y, classes, 2**power).low >= floor), None)
    return f" ({times} times as many would do)" if times else ""


def _rare(y: NDArray[Any], labels: tuple[str, ...]) -> Iterator[str]:
    for label, count in _counts(y, labels):
        if count == 0:
            yield f"class '{label}' has no example among the {len(y)} that models are judged by: nothing is known of it"
        elif count < FEW:
            least = rate(np.ones(count, dtype=bool)).low
            yield (
                f"class '{label}' has {count} of the {len(y)} examples that models are judged by: even with all "
                f"correct, its accuracy is only known to be above {least:.0%}; raise attack.points or "
                "split.validation, or add examples"
            )


def _counts(y: NDArray[Any], labels: tuple[str, ...]) -> list[tuple[str, int]]:
    """Classes with their number of examples, the rarest first."""
    counts = np.bincount(y, minlength=len(labels))
    return [(labels[each], int(counts[each])) for each in np.argsort(counts, kind="stable")]

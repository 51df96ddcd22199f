"""What a target is measured with: bounds, criterion, norm and eps, as asked, else by its card or its task."""

from typing import Any

from redoubt.attacks.core.criteria import Criterion, Tolerance, Untargeted
from redoubt.bundle.words import meant
from redoubt.cli.recipe import recipe_of
from redoubt.cli.words import AskedError
from redoubt.core.types import Bounds, Floats, Norm
from redoubt.params.load import load
from redoubt.params.settings.base import ParamsError
from redoubt.params.settings.sections import Eps
from redoubt.targets.contract import Target


def bounds_for(target: Target, x: Floats) -> Bounds:
    """The target's; a table's widened to hold examples that were not among its training examples."""
    table = target.schema is not None and len(x.shape) == 2
    return target.bounds.covering(x) if table else target.bounds


def criterion_of(target: Target, tolerance: float | None) -> Criterion:
    """What counts as correct: the true class, or a value within the tolerance.

    Raises:
        AskedError: a number without a tolerance, or a class with one.
    """
    if target.is_classification:
        if tolerance is not None:
            raise AskedError(f"--tolerance is for regression; {target.said} is a classifier: leave it out")
        return Untargeted()
    if tolerance is None and target.task is not None:
        tolerance = _from_params(target.task, lambda task: task.tolerance)
    if tolerance is None:
        raise AskedError(
            f"{target.said} is a regressor: give --tolerance, the largest error that counts as correct"
            " (of two classes in one output make two logits, 0 and the output)"
        )
    return Tolerance(tolerance)


def class_of(target: Target, said: str) -> int:
    """The number of a class named on the command line.

    Raises:
        AskedError: the target has no such class.
    """
    found = meant(said, target.labels)
    if found is None:
        known = ", ".join(target.labels) or "none: it is a regressor"
        raise AskedError(f"no class '{said}' in {target.said}; its classes are {known}")
    return target.labels.index(found)


def size_of(target: Target, norm: Norm) -> float:
    """The eps that the bundle's card says it was hardened against, else that of the task in params.yaml.

    Raises:
        AskedError: there is none.
        BundleError: a card that cannot be read.
    """
    recipe = recipe_of(target.folder, target.task)
    if recipe is not None and recipe.eps is not None:
        return recipe.eps.l2 if norm == "l2" else recipe.eps.linf
    eps: Eps | None = None
    if target.task is not None:
        eps = _from_params(target.task, lambda task: task.eps)
    if eps is None:
        raise AskedError("say how large a perturbation may be with --eps; params.yaml here has no eps for this target")
    return eps.of(norm)


def norm_of(target: Target) -> Norm:
    """The norm in which the task was hardened, else L-inf."""
    norm: Norm | None = None
    if target.task is not None:
        norm = _from_params(target.task, lambda task: task.harden.norm)
    return norm or "linf"


def _from_params(task: str, read: Any) -> Any:
    """A parameter of a task of the project in this folder; None if there is no such task."""
    try:
        declared = load().tasks
    except ParamsError:
        return None
    return read(declared[task]) if task in declared else None

"""One attack to be run: who, on what, towards what, within which limits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.criteria import Criterion, Targeted, Tolerance, Untargeted
from redoubt.attacks.problem import AttackProblem, Outputs
from redoubt.cli.recipe import recipe_of
from redoubt.cli.rows import Rows
from redoubt.cli.targets import Target
from redoubt.defenses.adaptive import adaptive_outputs
from redoubt.errors import RedoubtError
from redoubt.params.base import ParamsError
from redoubt.params.load import load
from redoubt.params.sections import Eps
from redoubt.perturbable import Immovable, immovable, in_raw_units
from redoubt.scenarios.catalogue import Entry
from redoubt.scenarios.course_attack import TowardFalse
from redoubt.types import Batch, Bounds, Floats, Norm


class JobError(RedoubtError):
    """What was asked makes no sense together; the message says what would."""


@dataclass(frozen=True, eq=False)
class Job:
    """Everything an attack is run with.

    Attributes:
        entry: of the catalogue.
        options: of the attack, all of those in `entry.options`.
        target: what is attacked.
        rows: inputs with their true labels or values.
        criterion: what counts as correct: adversarial where a prediction is not.
        norm: in which perturbations are measured.
        eps: their size.
        seed: of everything.
        wanted: class to be answered, if one is.
        proxies: networks of the attacker's own, by the path they came from.
        knows_guard: the attacker differentiates the guard too.
    """

    entry: Entry
    options: Mapping[str, int]
    target: Target
    rows: Rows
    criterion: Criterion
    norm: Norm
    eps: float
    seed: int
    wanted: int | None
    proxies: Mapping[str, Outputs]
    knows_guard: bool

    @property
    def batch(self) -> Batch:
        """The examples."""
        return self.rows.batch

    @property
    def bounds(self) -> Bounds:
        """What holds its examples."""
        return bounds_for(self.target, self.batch.x)

    @property
    def outputs(self) -> Outputs:
        """The target as the attacker sees it."""
        target = self.target
        if self.knows_guard and target.guarded is not None:
            return adaptive_outputs(target.network, target.guarded.guard)
        return target.outputs

    @property
    def raw_units(self) -> str | None:
        """What eps is in the units of the inputs, where those are known and eps is read."""
        schema = self.target.schema
        if schema is None or "eps" in self.entry.ignores:
            return None
        return in_raw_units(schema, self.target.bounds, self.norm, self.eps)

    @property
    def immovable(self) -> Immovable | None:
        """What eps cannot change of the examples, where the target's features are known and attacked."""
        schema = self.target.schema
        if schema is None or self.entry.ignores & {"eps", "data"} or not self.eps:
            return None
        return immovable(self.batch.x, self.bounds, self.eps, schema)

    def problem(self, criterion: Criterion | None = None, outputs: Outputs | None = None) -> AttackProblem:
        """The target as the attacker sees it, or other outputs, with the plain criterion or another one."""
        return AttackProblem(
            outputs or self.outputs, criterion or self.criterion, self.norm, self.bounds, self.target.said
        )

    def aim(self) -> tuple[Criterion, NDArray[Any]]:
        """What the attacker wants of every example, and the `y` that says so.

        Raises:
            JobError: a false class is wanted of a number.
        """
        y, classes = self.batch.y, len(self.target.labels)
        if self.entry.name == "course":
            if not self.target.is_classification:
                raise JobError("course needs a false class; the target is a regressor: use pgd")
            chance = (y + np.random.default_rng(self.seed).integers(1, classes, len(y))) % classes
            false = chance if self.wanted is None else np.full_like(y, self.wanted)
            return TowardFalse(), np.stack([y, false], axis=1)
        return (self.criterion, y) if self.wanted is None else (Targeted(), np.full_like(y, self.wanted))

    @property
    def counted(self) -> NDArray[np.bool_]:
        """The examples that success is measured on: those of the wanted class are adversarial from the start.

        Raises:
            JobError: there are no others.
        """
        others: NDArray[np.bool_] = np.ones(len(self.batch), np.bool_)
        if self.wanted is not None:
            others = self.batch.y != self.wanted
            if not others.any():
                label = self.target.labels[self.wanted]
                raise JobError(f"every example already has class {label}; name another class, or take more examples")
        return others

    def narrowed(self) -> "Job":
        """The same on the counted examples alone."""
        return replace(self, rows=replace(self.rows, batch=self.batch.take(np.flatnonzero(self.counted))))

    def name(self, y: NDArray[Any], answers: Floats) -> tuple[list[str], list[str]]:
        """True labels or values, and answers, as words."""
        if not self.target.is_classification:
            return [f"{value:.4g}" for value in y], [f"{value:.4g}" for value in answers[:, 0]]
        labels = self.target.labels
        return [labels[place] for place in y], [labels[place] for place in answers.argmax(axis=1)]


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Even examples to learn from, odd examples to measure on.

    Raises:
        JobError: there is no example for each.
    """
    if len(batch) < 2:
        raise JobError(
            f"{len(batch)} examples are too few: half of them train the perturbation, half measure it; give more"
        )
    place = np.arange(len(batch))
    return batch.take(place[::2]), batch.take(place[1::2])


def bounds_for(target: Target, x: Floats) -> Bounds:
    """The target's; a table's widened to hold examples that were not among its training examples."""
    table = target.kind != "network" and len(target.shape) == 1
    return target.bounds.covering(x) if table else target.bounds


def criterion_of(target: Target, tolerance: float | None) -> Criterion:
    """What counts as correct: the true class, or a value within the tolerance.

    Raises:
        JobError: a number without a tolerance, or a class with one.
    """
    if target.is_classification:
        if tolerance is not None:
            raise JobError(f"--tolerance is for regression; {target.said} is a classifier: leave it out")
        return Untargeted()
    if tolerance is None and target.task is not None:
        tolerance = _from_params(target.task, lambda task: task.tolerance)
    if tolerance is None:
        raise JobError(
            f"{target.said} is a regressor: give --tolerance, the largest error that counts as correct"
            " (of two classes in one output make two logits, 0 and the output)"
        )
    return Tolerance(tolerance)


def class_of(target: Target, said: str) -> int:
    """The number of a class named on the command line.

    Raises:
        JobError: the target has no such class.
    """
    if said not in target.labels:
        known = ", ".join(target.labels) or "none: it is a regressor"
        raise JobError(f"no class '{said}' in {target.said}; its classes are {known}")
    return target.labels.index(said)


def size_of(target: Target, norm: Norm) -> float:
    """The eps that the bundle's card says it was hardened against, else that of the task in params.yaml.

    Raises:
        JobError: there is none.
        BundleError: a card that cannot be read.
    """
    recipe = recipe_of(target.folder, target.task)
    if recipe is not None and recipe.eps is not None:
        return recipe.eps.l2 if norm == "l2" else recipe.eps.linf
    eps: Eps | None = None
    if target.task is not None:
        eps = _from_params(target.task, lambda task: task.eps)
    if eps is None:
        raise JobError("say how large a perturbation may be with --eps; params.yaml here has no eps for this target")
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

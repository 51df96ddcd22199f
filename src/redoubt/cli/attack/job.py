"""One attack to be run: who, on what, towards what, within which limits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.criteria import Criterion, Targeted
from redoubt.attacks.core.problem import AttackProblem, Outputs
from redoubt.cli.rows import Rows
from redoubt.cli.threat import bounds_for
from redoubt.cli.words import AskedError
from redoubt.core.types import Batch, Bounds, Floats, Norm
from redoubt.defenses.adaptive import adaptive_outputs
from redoubt.perturbable import Immovable, grey_levels, immovable, in_raw_units
from redoubt.scenarios.catalogue import Entry
from redoubt.scenarios.course_attack import TowardFalse
from redoubt.targets.contract import Target


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
        return in_raw_units(schema, self.target.bounds, self.norm, self.eps, grey_levels(self.batch.x))

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
            AskedError: a false class is wanted of a number.
        """
        y, classes = self.batch.y, len(self.target.labels)
        if self.entry.name == "course":
            if not self.target.is_classification:
                raise AskedError("course needs a false class; the target is a regressor: use pgd")
            chance = (y + np.random.default_rng(self.seed).integers(1, classes, len(y))) % classes
            false = chance if self.wanted is None else np.full_like(y, self.wanted)
            return TowardFalse(), np.stack([y, false], axis=1)
        return (self.criterion, y) if self.wanted is None else (Targeted(), np.full_like(y, self.wanted))

    @property
    def counted(self) -> NDArray[np.bool_]:
        """The examples that success is measured on: those of the wanted class are adversarial from the start.

        Raises:
            AskedError: there are no others.
        """
        others: NDArray[np.bool_] = np.ones(len(self.batch), np.bool_)
        if self.wanted is not None:
            others = self.batch.y != self.wanted
            if not others.any():
                label = self.target.labels[self.wanted]
                raise AskedError(f"every example already has class {label}; name another class, or take more examples")
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
        AskedError: there is no example for each.
    """
    if len(batch) < 2:
        raise AskedError(
            f"{len(batch)} examples are too few: half of them train the perturbation, half measure it; give more"
        )
    place = np.arange(len(batch))
    return batch.take(place[::2]), batch.take(place[1::2])

"""A target under attack: its problems, what each query costs, and its own word on what is adversarial."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack, check_result
from redoubt.attacks.core.criteria import Criterion
from redoubt.attacks.core.problem import BATCH, AttackProblem, of_callable
from redoubt.attacks.query import BudgetError, Oracle
from redoubt.audit.frame import Frame
from redoubt.audit.plan import STEPS
from redoubt.bundle.batches import slices
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Bounds, Floats, Norm
from redoubt.evaluation.redraws import Flags, majority
from redoubt.evaluation.results import NORMS
from redoubt.targets.contract import Target

NOT_FINITE = "it answers NaN or infinity to perturbed inputs, which counts as wrong: correct the model"


class Counter(Oracle):
    """An oracle that also counts what the same model is asked elsewhere, such as through its guard."""

    def spend(self, queries: int) -> None:
        """Count so many more.

        Raises:
            BudgetError: there is no budget left for all of them; none is counted.
        """
        if self._budget is not None and self.queries + queries > self._budget:
            raise BudgetError(
                f"{queries} more queries would exceed the budget of {self._budget}, of which {self.queries} are spent"
            )
        self.queries += queries


@dataclass(frozen=True, eq=False)
class Judge:
    """What `evaluation.unbounded.Arena` asks for, of any target.

    Attributes:
        target: what is attacked.
        frame: the box and the unit of eps.
        criterion: what the attacker wants.
        seed: of everything.
        repeats: how often a random model is asked before its majority decides; 1 for one that is not.
        queries: that may be asked in all; None sets no limit.
        said: what a reader must know of its answers.
    """

    target: Target
    frame: Frame
    criterion: Criterion
    seed: int = 0
    repeats: int = 1
    queries: int | None = None
    steps: int = field(default=STEPS // 2)
    said: set[str] = field(default_factory=set)

    @cached_property
    def oracle(self) -> Counter:
        """The model, its queries counted."""
        return Counter(self.target.predict, self.queries)

    @property
    def bounds(self) -> Bounds:
        """What holds every example."""
        return self.frame.bounds

    @property
    def schema(self) -> Schema:
        """Names the features."""
        return self.frame.schema

    @cached_property
    def undefended(self) -> Mapping[Norm, AttackProblem]:
        """The model, per norm."""
        outputs = self.target.gradients
        if outputs is None:
            return self.queried
        return {norm: AttackProblem(outputs, self.criterion, norm, self.bounds, self.target.said) for norm in NORMS}

    @cached_property
    def queried(self) -> Mapping[Norm, AttackProblem]:
        """The model as it is asked, every query counted, per norm: what attacks without gradients meet."""
        outputs = of_callable(self.oracle, self.target.width)
        return {norm: AttackProblem(outputs, self.criterion, norm, self.bounds, self.target.said) for norm in NORMS}

    @property
    def left(self) -> int | None:
        """Queries that the budget still allows; None sets no limit."""
        return None if self.queries is None else max(0, self.queries - self.oracle.queries)

    def attack(self, attack: Attack, problem: AttackProblem, batch: Batch, eps: float, start: int = 0) -> Floats:
        """Perturbed inputs, inside the bounds and the ball: re-checked here, whoever made them."""
        pieces = [
            attack(problem, batch.x[part], batch.y[part], eps=eps, seed=self.seed + start + 7919 * part.start)
            for part in slices(len(batch), BATCH)
        ]
        x_adv = np.concatenate([batch.x[:0], *pieces])
        check_result(batch.x, x_adv, problem, eps)
        return x_adv

    def is_adversarial(self, x: Floats, y: NDArray[Any]) -> Flags:
        """Where the model itself is wrong, by the majority of its repeats."""
        return majority([self.wrong(self.oracle(x), y) for _ in range(self.repeats)])

    def wrong(self, outputs: Floats, y: NDArray[Any]) -> Flags:
        """Where such outputs are wrong, or no finite answer."""
        finite: Flags = np.asarray(np.isfinite(outputs).all(axis=1))
        if not finite.all():
            self.said.add(NOT_FINITE)
        wrong: Flags = ~finite | self.criterion.is_adversarial(np.where(finite[:, None], outputs, 0), y)
        return wrong

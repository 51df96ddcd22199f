"""What an evaluation found, as data: three columns per threat, the guard's parts, and whether to believe any of it."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from redoubt.bundle.base.types import Vote
from redoubt.core.types import Norm, Threat
from redoubt.evaluation.metrics import Rate, Score
from redoubt.params.settings.sections import unset
from redoubt.perturbable import Immovable

NORMS: tuple[Norm, ...] = ("linf", "l2")
# The columns of a threat that are scored too, so that a constant does not look robust.
SCORED = ("undefended", "oblivious", "adaptive", "certified", "certified_guarded")


class Found(BaseModel):
    """Frozen, refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GuardedColumns(Found):
    """One threat behind another guard of the same network: the columns of `ThreatResult` that depend on the guard."""

    oblivious: Rate
    adaptive: Rate
    query: Rate | None = None
    certified_guarded: Rate | None = None
    flagged_oblivious: Rate
    flagged_adaptive: Rate
    scores: dict[str, Score] = {}
    robust: dict[str, str] = {}
    mcc: dict[str, float] = Field(default_factory=dict, exclude_if=unset)


class ThreatResult(Found):
    """One threat: a norm and an eps, with every share of examples still classified correctly.

    Where nothing can be perturbed, nothing was measured: every share is None, and `immovable` says why.

    Attributes:
        noise: undefended, under random noise of full size.
        fgsm: undefended, under FGSM.
        pgd: undefended, under PGD from one random start.
        square: undefended, under Square, which sees outputs only (at the budget).
        undefended: undefended, worst case over all of the above and the ensemble.
        broken: examples that each attack of the worst case was the first to fool, in the order tried.
        oblivious: guarded, under the perturbations made for the undefended network.
        adaptive: guarded, worst case over those, APGD and PGD through the guard (BPDA, EOT) and Square against it.
        query: guarded, under those of the undefended network and Square against the guard alone (at the budget).
        certified: undefended, certified throughout the eps-ball by interval bounds (L-inf).
        certified_guarded: guarded, proven likewise in most redraws.
        flagged_oblivious: flagged by the detector under the oblivious perturbations.
        flagged_adaptive: flagged under the adaptive perturbations.
        error_growth: how the undefended attack raises the absolute error: mean, p95 and max (regression).
        immovable: what the threat cannot change; None where it can change everything.
        scores: the columns `SCORED` again, in a measure by which a constant is worth nothing: balanced accuracy, per
            class at the budget; of a number tolerance skill.
        robust: the examples behind those columns that are still classified correctly, see `paired.packed`.
        mcc: the columns `undefended` and `adaptive` as Matthews' correlation, at the budget of a table with relations
            between its columns (classes only).
        behind: the same threat behind other guards, where those were measured.
    """

    norm: Norm
    eps: float
    noise: Rate | None
    fgsm: Rate | None
    pgd: Rate | None
    square: Rate | None = None
    undefended: Rate | None
    broken: list[tuple[str, int]]
    oblivious: Rate | None
    adaptive: Rate | None
    query: Rate | None = None
    certified: Rate | None = None
    certified_guarded: Rate | None = None
    flagged_oblivious: Rate | None
    flagged_adaptive: Rate | None
    error_growth: dict[str, float] | None = None
    immovable: Immovable | None = None
    scores: dict[str, Score] = {}
    robust: dict[str, str] = {}
    mcc: dict[str, float] = Field(default_factory=dict, exclude_if=unset)
    behind: dict[Vote, GuardedColumns] = Field(default_factory=dict, exclude_if=unset)

    @property
    def threat(self) -> Threat:
        """The norm and the eps."""
        return Threat(self.norm, self.eps)

    @property
    def measured(self) -> bool:
        """Whether there was anything to perturb."""
        return self.adaptive is not None


class CostResult(Found):
    """Robust accuracy under an attacker who may spend a budget on the changes of an example.

    Where nothing can be changed for it, nothing was measured: both shares are None.

    Attributes:
        budget: the most that the changes of one example may cost.
        prices: by column what a unit of change costs, or of a category a switch.
        undefended: the network alone, worst case over the attacks.
        adaptive: guarded, worst case over those perturbations and the same attacks through the guard; None behind a
            guard that was not attacked so.
        broken: examples that each attack was the first to fool the network on, in the order tried.
        robust: the examples behind both columns, see `paired.packed`.
        mcc: both columns as Matthews' correlation (classes only).
    """

    budget: float
    prices: dict[str, float]
    undefended: Rate | None = None
    adaptive: Rate | None = None
    broken: list[tuple[str, int]] = []
    robust: dict[str, str] = {}
    mcc: dict[str, float] = {}

    def says(self) -> str:
        """The budget and what was found, in one sentence without a full stop."""
        each = ", ".join(f"{name} {price:g}" for name, price in self.prices.items())
        said = f"an attacker who may spend {self.budget:g} on an example (a unit or a switch costs: {each})"
        if self.undefended is None:
            return f"{said} can change nothing: not measured"
        columns = {"undefended": ("undefended", self.undefended), "adaptive": ("guarded and adaptive", self.adaptive)}
        told = [self._told(name, words, rate) for name, (words, rate) in columns.items()]
        return f"{said} leaves a robust accuracy of {told[0]}, {told[1]}"

    def _told(self, name: str, words: str, rate: Rate | None) -> str:
        if rate is None:
            return f"not measured {words}"
        mcc = f", MCC {self.mcc[name]:.2f}" if name in self.mcc else ""
        return f"{100 * rate.share:.1f} % ({100 * rate.low:.0f} to {100 * rate.high:.0f}{mcc}) {words}"


class ComponentResult(Found):
    """One component of the guard at one threat; an example is robust if it is classified correctly or rejected.

    Attributes:
        component: its name.
        clean: unperturbed examples that are classified correctly, and not refused.
        oblivious: under the perturbations made for the undefended network.
        adaptive: worst case over those, APGD and PGD through this very part, its detector included.
    """

    component: str
    clean: Rate
    oblivious: Rate
    adaptive: Rate


class Check(Found):
    """One reason to believe a robustness figure, or not to.

    Attributes:
        name: of the rule.
        passed: whether it holds.
        found: what was seen, one sentence.
    """

    name: str
    passed: bool
    found: str


class GuardedClean(Found):
    """Unperturbed examples behind another guard of the same network: what of `Robustness` depends on the guard."""

    clean_guarded: Rate
    scores: dict[str, Score] = {}
    mcc: float | None = None
    degenerate: str | None = None
    right: dict[str, str] = {}


class Robustness(Found):
    """Everything measured on one guarded model.

    Attributes:
        clean: unperturbed, undefended.
        clean_guarded: unperturbed, guarded: the difference is what the guard costs.
        false_positives: unperturbed inputs that the detector flags.
        cells: one per norm and eps, rising.
        targeted: per norm at the budget, examples turned into the next class by targeted PGD (classes only).
        components: the guard's parts, at the budget of the norm that the gates look at.
        checks: per norm at the budget, the checks of `evaluation.checks`.
        scores: `clean` and `clean_guarded` again: balanced accuracy per class; of a number R2 against the mean of the
            training examples.
        mcc: Matthews' correlation coefficient, guarded (classes only).
        mcc_network: of the network alone.
        examples: digest of what was attacked, inputs and labels.
        right: the examples behind `clean` and `clean_guarded`, see `paired.packed`.
        cost: under a budget, of a task that declares costs.
        degenerate: why the model's outputs are worth nothing, such as one class for every example; None if they vary.
        behind: unperturbed behind other guards, where those were measured.
    """

    digest: str
    clean: Rate
    clean_guarded: Rate
    false_positives: Rate
    cells: list[ThreatResult]
    targeted: dict[Norm, Rate] = {}
    components: list[ComponentResult] = []
    checks: dict[Norm, list[Check]] = {}
    scores: dict[str, Score] = {}
    mcc: float | None = None
    mcc_network: float | None = None
    degenerate: str | None = None
    examples: str = ""
    right: dict[str, str] = {}
    behind: dict[Vote, GuardedClean] = Field(default_factory=dict, exclude_if=unset)
    cost: CostResult | None = Field(default=None, exclude_if=unset)

    def at(self, threat: Threat) -> ThreatResult:
        """The cell of one threat."""
        return next(cell for cell in self.cells if cell.threat == threat)

    def failed_checks(self, norm: Norm) -> list[Check]:
        """The checks that failed: with any, the norm's figures are not to be trusted."""
        return [check for check in self.checks.get(norm, []) if not check.passed]


def join(shares: Sequence[Robustness]) -> Robustness:
    """What was measured of one model on the same examples, norm by norm, as one.

    Raises:
        ValueError: they are of other models or examples.
    """
    first = shares[0]
    if any((each.digest, each.clean) != (first.digest, first.clean) for each in shares):
        raise ValueError("the results to join were measured on different models or examples")
    return first.model_copy(
        update={
            "cells": [cell for each in shares for cell in each.cells],
            "targeted": {norm: found for each in shares for norm, found in each.targeted.items()},
            "components": [component for each in shares for component in each.components],
            "checks": {norm: checks for each in shares for norm, checks in each.checks.items()},
            "cost": next((each.cost for each in shares if each.cost is not None), None),
        }
    )

"""What an evaluation found, as data: three columns per threat, and the clean figures they cost."""

from pydantic import BaseModel, ConfigDict

from redoubt.evaluation.metrics import Rate
from redoubt.params import AttackParams, Norm

NORMS: tuple[Norm, ...] = ("linf", "l2")


class Cell(BaseModel):
    """One threat: a norm and an eps, with every share of rows still answered right.

    Attributes:
        noise: undefended, under random noise of full size.
        fgsm: undefended, under FGSM.
        pgd: undefended, under PGD from one random start.
        undefended: undefended, worst case over all of the above and PGD's restarts.
        oblivious: guarded, under the perturbations made for the undefended network.
        adaptive: guarded, worst case over those and PGD through the guard (BPDA and EOT).
        flagged_oblivious: flagged by the detector under the oblivious perturbations.
        flagged_adaptive: flagged under the adaptive perturbations.
        error_undefended: mean absolute error under the undefended attack (regression only).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: Norm
    eps: float
    noise: Rate
    fgsm: Rate
    pgd: Rate
    undefended: Rate
    oblivious: Rate
    adaptive: Rate
    flagged_oblivious: Rate
    flagged_adaptive: Rate
    error_undefended: float | None = None


class Robustness(BaseModel):
    """Everything measured on one guarded model.

    Attributes:
        clean: unperturbed, undefended.
        clean_guarded: unperturbed, guarded: the difference is what the guard costs.
        false_positives: unperturbed inputs that the detector flags.
        cells: one per norm and eps, rising.
        targeted: per norm at the budget, rows turned into the next class by targeted PGD (classes only).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    clean: Rate
    clean_guarded: Rate
    false_positives: Rate
    cells: list[Cell]
    targeted: dict[Norm, Rate] = {}

    def at(self, norm: Norm, eps: float) -> Cell:
        """The cell of one threat."""
        return next(cell for cell in self.cells if cell.norm == norm and cell.eps == eps)


def threats(params: AttackParams) -> list[tuple[Norm, float]]:
    """Every norm and eps declared, rising."""
    return [(norm, eps) for norm in NORMS for eps in (params.linf if norm == "linf" else params.l2)]

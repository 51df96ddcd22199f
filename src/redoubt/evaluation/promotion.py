"""Gates and the choice of a champion, on validation figures alone."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from redoubt.evaluation.verdict import Robustness
from redoubt.params import GatesParams, Norm, Share


class Candidate(BaseModel):
    """A model and its validation figures: the lower ends of the intervals that the gates look at, and the doubts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    clean: Share
    robust: Share | None
    doubts: tuple[str, ...] = ()

    def failed(self, gates: GatesParams) -> list[str]:
        """One sentence per gate that the model does not clear, and per reason not to trust its figures."""
        checks = (("clean", self.clean, gates.clean), ("robust", self.robust, gates.robust))
        low = [
            f"{name} lower bound {found:.3f} is below the gate {floor:g}"
            for name, found, floor in checks
            if found is not None and found < floor
        ]
        if self.robust is None:
            low.append("robust accuracy was not measured")
        return [*low, *(f"the figures are not to be trusted: {doubt}" for doubt in self.doubts)]


def candidate(name: str, validation: Robustness, norm: Norm, eps: float) -> Candidate:
    """A candidate from its evaluation on validation rows: guarded clean, and adaptive at the budget."""
    robust = validation.at(norm, eps).adaptive
    return Candidate(
        name=name,
        digest=validation.digest,
        clean=validation.clean_guarded.low,
        robust=robust.low if robust else None,
        doubts=tuple(f"{check.name}: {check.found}" for check in validation.doubts(norm)),
    )


def choose(candidates: list[Candidate], gates: GatesParams) -> Candidate | None:
    """The most robust candidate that clears every gate, clean accuracy breaking ties; None if none does."""
    passing = [each for each in candidates if not each.failed(gates)]
    return max(passing, key=lambda each: (each.robust or 0.0, each.clean), default=None)


def beats(challenger: Candidate, incumbent: dict[str, Any]) -> bool:
    """Whether a challenger replaces an incumbent that was measured on the same rows."""
    return (challenger.robust or 0.0, challenger.clean) >= (incumbent["robust"], incumbent["clean"])

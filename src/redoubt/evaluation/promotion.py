"""Gates and the choice of a champion, on validation figures alone."""

import math
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict

from redoubt.bundle.base.types import Vote
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Threat
from redoubt.evaluation.metrics import Score
from redoubt.evaluation.results import Robustness
from redoubt.params.settings.sections import GatesParams


class PromotionError(RedoubtError):
    """Figures that no choice can be made by; the message says what is missing and what to do."""


class Candidate(BaseModel):
    """A model behind one of its guards, and its validation figures.

    Attributes:
        vote: which variants of the guard vote.
        clean: unperturbed.
        robust: under the adaptive attack at the budget.
        certified: by interval bounds at the budget, of the guarded model; None where nothing is certified.
        linear: what the plain linear model scores on the same unperturbed examples.
        mcc: Matthews' correlation coefficient, unperturbed (classes only).
        degenerate: why its outputs are worth nothing, if they are.
        failed_checks: reasons not to trust the figures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    vote: Vote = "all"
    clean: Score
    robust: Score | None
    certified: Score | None = None
    linear: float
    mcc: float | None = None
    degenerate: str | None = None
    failed_checks: tuple[str, ...] = ()

    def failed(self, gates: GatesParams) -> list[str]:
        """One sentence per gate that the model does not clear, and per reason not to trust its figures."""
        if self.degenerate:
            return [f"{self.degenerate}; such a model is trivially robust"]
        return [*self._failed(gates), *(f"failed check: {doubt}" for doubt in self.failed_checks)]

    @property
    def worth(self) -> tuple[float, float]:
        """What candidates are ranked by: robustness beyond a constant's, which costs nothing, and then clean."""
        return (self.robust.gained if self.robust else -math.inf), self.clean.low

    @property
    def between(self) -> tuple[float, float, bool]:
        """What the guards of one model are ranked by: the ends between which its robustness lies, and then clean.

        The attacks that were tried leave at least as much as there is, and bounds certify at most as much. Where all is
        alike the plain answer is the better one: it is quicker and always the same.
        """
        ends = [score.value for score in (self.robust, self.certified) if score]
        return sum(ends), self.clean.value, self.vote == "plain"

    def _failed(self, gates: GatesParams) -> Iterator[str]:
        clean, least = self.clean, self.clean.constant + gates.margin
        if clean.low <= least:
            yield (
                f"clean {_told(clean)} is not significantly above {_number(least)}, which "
                f"{'a constant predictor scores' if not gates.margin else 'is a constant predictor plus gates.margin'}"
            )
        if clean.value < self.linear - gates.worse_than_linear:
            yield (
                f"clean {clean.metric} {clean.value:.3f} is {self.linear - clean.value:.3f} below the linear "
                f"model's {self.linear:.3f}; gates.worse_than_linear allows {gates.worse_than_linear:g}"
            )
        if self.robust is None:
            yield "robust accuracy was not measured"
        for name, score, floor in (("clean", clean, gates.clean), ("robust", self.robust, gates.robust)):
            if score is not None and floor is not None and score.low < floor:
                yield f"{name} {_told(score)} is below the gate {floor:g} at its lower end"


def _told(score: Score) -> str:
    return f"{score.metric} {score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def candidate(name: str, validation: Robustness, threat: Threat, linear: float, vote: Vote = "all") -> Candidate:
    """A candidate from its evaluation on validation examples: guarded clean, and adaptive at the budget.

    Args:
        name: of the model.
        validation: its figures behind a guard that votes like this.
        threat: the budget.
        linear: what a plain linear model scores.
        vote: which variants vote.

    Raises:
        PromotionError: the figures hold no scores: made before there were any, or of a number that the mean of the
            training examples always hits within the tolerance.
    """
    cell = validation.at(threat)
    clean, robust = validation.scores.get("clean_guarded"), cell.scores.get("adaptive") if cell.measured else None
    if clean is None or (robust is None and cell.measured):
        raise PromotionError(
            f"the robustness figures of '{name}' have no score against a constant: the mean of the training set is "
            "within the tolerance on every validation example, or the figures are old; lower the task's tolerance, or "
            "run the attack stage again"
        )
    return Candidate(
        name=name,
        digest=validation.digest,
        vote=vote,
        clean=clean,
        robust=robust,
        certified=cell.scores.get("certified_guarded"),
        linear=linear,
        mcc=validation.mcc,
        degenerate=validation.degenerate,
        failed_checks=tuple(f"{check.name}: {check.found}" for check in validation.failed_checks(threat.norm)),
    )


def choose(candidates: list[Candidate], gates: GatesParams) -> Candidate | None:
    """The most robust model that clears every gate, clean breaking ties, behind its best guard; None if none does."""
    passing = [each for each in candidates if not each.failed(gates)]
    return max(best_guards(passing), key=lambda each: each.worth, default=None)


def best_guards(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate per model: behind the guard that leaves it more robust, by what attacks leave and is certified."""
    guards: dict[str, list[Candidate]] = {}
    for each in candidates:
        guards.setdefault(each.name, []).append(each)
    return [_best(each) for each in guards.values()]


def _best(guards: list[Candidate]) -> Candidate:
    """A guard that lowers what attacks leave of the network is not taken, whatever it raises."""
    plain = next((each for each in guards if each.vote == "plain"), None)
    least = plain.robust.value if plain and plain.robust else -math.inf
    kept = [each for each in guards if each.robust is None or each.robust.value >= least]
    return max(kept, key=lambda each: each.between)


def beats(challenger: Candidate, incumbent: Candidate) -> bool:
    """Whether a challenger replaces an incumbent that was measured on the same examples."""
    return challenger.worth >= incumbent.worth


def next_step(candidates: list[Candidate], gates: GatesParams) -> str:
    """What to do where no candidate cleared the gates, by what stopped them."""
    classes = any(each.clean.metric == "balanced accuracy" for each in candidates)
    rare = "set train.balance: weights if a class is rare, " if classes else ""
    if all(each.clean.low <= each.clean.constant + gates.margin for each in candidates):
        return (
            f"no model is significantly better than a constant predictor: {rare}add examples or features; these may "
            "not tell the target"
        )
    if all(each.degenerate or each.clean.value < each.linear - gates.worse_than_linear for each in candidates):
        return (
            f"a linear model does better: train longer, lower the task's eps, {rare}or allow more by "
            "gates.worse_than_linear"
        )
    return "lower the task's eps, train longer, or lower the gate that is named"

"""What an audit comes to, as data: one row per eps, checks, and everything that a reader must know to believe it."""

from typing import Any

from pydantic import Field

from redoubt.core.types import Norm
from redoubt.evaluation.metrics import Rate, Score
from redoubt.evaluation.results import Check, Found


class EpsRow(Found):
    """One eps.

    Attributes:
        eps: size of the perturbation.
        says: it in words.
        asked: whether it was asked for; else it was added for the curve, and attacked with what is cheap.
        robust: still correct under everything that was tried: an upper bound on robust accuracy.
        score: the same by which a constant is worth nothing.
        by_attack: correct under each attack that was run on every example.
        broken: examples that each attack was the first to fool.
        certified: proven correct within the eps, whatever the attack: a lower bound; None without bounds.
        oblivious: of a guarded model, on the examples made for its network.
        adaptive: of a guarded model, attacked through its guard.
        certified_guarded: of a guarded model, proven.
        warning: why this eps is unlikely to be what was meant.
    """

    eps: float
    says: str
    asked: bool
    robust: Rate
    score: Score | None = None
    by_attack: dict[str, Rate]
    broken: list[tuple[str, int]]
    certified: Rate | None = None
    oblivious: Rate | None = None
    adaptive: Rate | None = None
    certified_guarded: Rate | None = None
    warning: str | None = None


class Audit(Found):
    """One audit.

    Attributes:
        target: as it was named, its kind and the digest of its content.
        access: what the attacker saw.
        notes: what was done to the model or found in it.
        data: where the examples are from, their digest and how many there are.
        bounds: the box in words, and where it is from.
        norm: of the perturbations.
        clean: accuracy without any.
        clean_score: the same by which a constant is worth nothing.
        constant: what the commonest class of these examples would be right on.
        rows: per eps, rising.
        checks: on the model, its data and the gradients.
        tried: every attack with its eps, how many examples it was run on, and what it was the first to fool.
        not_tried: what an attacker might still do.
        queries: that the model answered, its guard's answers and redraws among them.
        uncounted: what the model was made to say beside them.
        stopped: why the plan was not carried out to its end; None if it was.
        settings: that the figures depend on.
        reproduce: the command.
    """

    target: dict[str, str]
    access: str
    notes: list[str]
    data: dict[str, Any]
    bounds: str
    norm: Norm
    clean: Rate
    clean_score: Score | None
    constant: float | None
    rows: list[EpsRow]
    checks: list[Check]
    tried: list[dict[str, Any]]
    not_tried: list[str]
    queries: int
    uncounted: list[str] = Field(default_factory=list)
    stopped: str | None
    settings: dict[str, Any]
    reproduce: str = ""

    @property
    def failed(self) -> list[Check]:
        """The checks that failed: with any, the figures are not to be trusted."""
        return [check for check in self.checks if not check.passed]

    @property
    def headline(self) -> EpsRow:
        """The largest eps that was asked for."""
        return [row for row in self.rows if row.asked][-1]

    @property
    def worst(self) -> Rate:
        """Robust accuracy at the headline: of a guarded model the adaptive one."""
        return self.headline.adaptive or self.headline.robust

    @property
    def verdict(self) -> str:
        """The audit in one sentence."""
        row, found = self.headline, self.worst
        count = len(self.failed)
        trust = "" if not count else f"NOT TRUSTED, {count} check{'s' if count > 1 else ''} failed: "
        proven = row.certified_guarded if row.adaptive is not None else row.certified
        upper = "" if proven is None else f", certified at least {100 * proven.share:.1f} %"
        guarded = "" if row.adaptive is None else ", guarded,"
        robust = f"robust accuracy{guarded} at most {100 * found.share:.1f} %"
        return (
            f"{trust}clean accuracy {100 * self.clean.share:.1f} %, {robust}"
            f" (95 %: {100 * found.low:.1f} to {100 * found.high:.1f}){upper} at {row.says}, by {self.access}"
        )

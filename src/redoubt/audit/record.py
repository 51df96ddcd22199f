"""An audit as a run of MLflow: what it depends on, its figures by eps, and what it is of."""

import re

from redoubt.audit.result import Audit, EpsRow
from redoubt.evaluation.metrics import Rate
from redoubt.runs import RunRecord

# The experiment of MLflow, and the stage that its runs are marked with.
EXPERIMENT, STAGE = "audits", "audit"
COLUMNS = ("robust", "certified", "oblivious", "adaptive", "certified_guarded")
# What no name of a run may hold.
QUOTES = re.compile(r"['\"`\n]+")


def run_record(audit: Audit, name: str) -> RunRecord:
    """The record of an audit; its files are not in it.

    Curves are stepped by 1000 eps, as those of this project's own models are, or by a larger power of ten times eps
    where two sizes would share a step: the parameter `steps_per_eps` says which.

    Args:
        audit: done, or broken off.
        name: of the run.
    """
    norm, steps = audit.norm, steps_per_eps([row.eps for row in audit.rows])
    metrics: dict[str, float | None] = {
        "test/accuracy": audit.clean.share,
        "test/constant": audit.constant,
        f"robust/{norm}/failed_checks": float(len(audit.failed)),
        "queries": float(audit.queries),
    }
    metrics |= {f"robust/{norm}/{column}": share for column, share in _columns(audit.headline).items()}
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in audit.rows:
        for column, share in _columns(row).items():
            curves.setdefault(f"eps_{norm}/{column}", []).append((round(steps * row.eps), share))
    return RunRecord(
        run=QUOTES.sub("-", name)[:250] or STAGE,
        stage=STAGE,
        task=EXPERIMENT,
        params=_params(audit, steps),
        metrics=metrics,
        curves=curves,
        tags={"digest": audit.target["digest"], "dataset": audit.data["digest"], "verdict": audit.verdict},
    )


def steps_per_eps(sizes: list[float]) -> int:
    """The smallest power of ten from 1000 up by which all sizes of a perturbation, rounded, differ, and from 0 too."""
    return next(10**k for k in range(3, 50) if len({0, *(round(10**k * eps) for eps in sizes)}) == 1 + len(set(sizes)))


def _columns(row: EpsRow) -> dict[str, float]:
    """Shares at one eps, those of each attack that was run on every example too."""
    rates: dict[str, Rate | None] = {column: getattr(row, column) for column in COLUMNS}
    rates |= {f"attack/{name}": rate for name, rate in row.by_attack.items()}
    return {column: rate.share for column, rate in rates.items() if rate is not None}


def _params(audit: Audit, steps: int) -> dict[str, str | int | float | bool]:
    params: dict[str, str | int | float | bool | None] = {
        "target": audit.target["name"],
        "kind": audit.target["kind"],
        "access": audit.access,
        "data": audit.data["source"],
        "examples": audit.data["examples"],
        "norm": audit.norm,
        "eps": ", ".join(f"{row.eps:g}" for row in audit.rows if row.asked),
        "bounds": audit.bounds,
        "steps_per_eps": steps,
        "stopped": audit.stopped,
        **audit.settings,
    }
    return {name: value for name, value in params.items() if value is not None}

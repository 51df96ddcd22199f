"""A model's figures behind the guard that it would be served with, for MLflow: the attack stage does not know which."""

from collections.abc import Mapping
from typing import Any

from redoubt.bundle.base.types import Vote
from redoubt.evaluation.guards import GUARDS, behind, clean_behind
from redoubt.evaluation.results import NORMS, Robustness
from redoubt.params.settings.sections import Eps
from redoubt.runs import RunRecord

CLEAN = ("accuracy", "mae")


def served_record(task: str, model: str, measured: Mapping[str, Any], eps: Eps, vote: Vote) -> RunRecord:
    """The share of the stage `promote` in a model's run.

    Args:
        task: its name.
        model: its name.
        measured: of the model in `robustness.json`.
        eps: the budget.
        vote: of the guard, as chosen on validation examples.
    """
    robustness = behind(Robustness.model_validate(measured["test"]), vote)
    clean = clean_behind(measured["clean"], vote)
    metrics = {f"served/{name}": clean["guarded"][name] for name in CLEAN if name in clean["guarded"]}
    for norm in NORMS:
        cell = robustness.at(eps.threat(norm))
        rates = {"adaptive": cell.adaptive, "certified": cell.certified_guarded}
        metrics |= {f"served/{norm}/{name}": rate.share for name, rate in rates.items() if rate}
    return RunRecord(run=model, stage="promote", task=task, metrics=metrics, params={"guard": GUARDS[vote]})

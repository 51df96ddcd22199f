"""Saved views of an experiment's runs: MLflow's menu `Views` lists them, and the links of `make ui` open them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from redoubt.runs import RunRecord

# Where MLflow keeps a view: a tag of the experiment, with the id that a link names.
TAG = "mlflow.sharedViewState."
TABLE = "redoubt"
SUPERSEDED = "redoubt.superseded"
NORMS = ("linf", "l2")
# What an audit finds of a model without a guard.
AUDITED = ("robust", "certified")
# Of each, the first that the runs have: behind the guard that was chosen, else as attacked; numbers have no accuracy.
CLEAN = ("served/accuracy", "served/mae", "test/accuracy", "test/mae")
ROBUST = ("served/{norm}/adaptive", "robust/{norm}/adaptive")
# The sections of the page of charts; MLflow's own order is the alphabet's.
FIRST = ("eps_linf", "eps_l2", "radius_l2", "robust/linf", "robust/l2", "certified/linf", "certified/l2", "test")
LINE = {
    "type": "LINE",
    "runsCountToCompare": 10,
    "deleted": False,
    "isGenerated": True,
    "lineSmoothness": 0,
    "useGlobalLineSmoothing": False,
    "useGlobalXaxisKey": False,
    "xAxisKey": "step",
    "xAxisScaleType": "linear",
    "scaleType": "linear",
}
# Pixels: of a letter in the head of a column, of the narrowest column, and of descriptions.
LETTER, NARROW, BROAD = 6, 80, 420


def link(experiment: str) -> str:
    """The path of the runs' table; the first word also turns MLflow from language models to model training."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={TABLE}"


def views(records: Sequence[RunRecord], since: int) -> dict[str, str]:
    """The views as tags of the experiment.

    Args:
        records: of the experiment, at least one.
        since: milliseconds since 1970, shown as the time at which the view was saved.

    Returns:
        Value by tag: models, the most robust first, where some were attacked; else every run.
    """
    known = _metrics(records)
    norm = next((norm for norm in NORMS if _robust(known, norm)), None)
    state = _runs() if norm is None else _models(known, norm)
    return _saved("Runs" if norm is None else "Models, the most robust first", state, since)


def audit_views(since: int) -> dict[str, str]:
    """The views of the experiment of audits, whose runs are of models that need not have anything in common."""
    shares = ["test/accuracy", *(f"robust/{norm}/{found}" for norm in NORMS for found in AUDITED)]
    columns = ["params.`eps`", *(f"metrics.`{name}`" for name in shares)]
    return _saved("Audits, the latest first", _columns(columns), since)


def _saved(name: str, state: dict[str, Any], since: int) -> dict[str, str]:
    view = {"name": name, "createdAt": since, "updatedAt": since, "state": _short(state)}
    return {f"{TAG}{TABLE}": _short(view)}


def _short(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _columns(columns: list[str]) -> dict[str, Any]:
    """What is shown in which order, each as wide as its name."""
    wide = {column: max(NARROW, LETTER * len(column)) for column in columns}
    return {"selectedColumns": columns, "columnOrder": columns, "columnWidths": wide}


def _robust(known: set[str], norm: str) -> str | None:
    return next((name for each in ROBUST if (name := each.format(norm=norm)) in known), None)


def _metrics(records: Iterable[RunRecord]) -> set[str]:
    return {name for record in records for name in (*record.metrics, *record.curves)}


def _runs() -> dict[str, Any]:
    # Whatever was found is said in the description; a study's numbers are its own.
    shown = "attributes.`Description`"
    return {"selectedColumns": [shown], "columnOrder": [shown], "columnWidths": {shown: BROAD}}


def _models(known: set[str], norm: str) -> dict[str, Any]:
    """The table of models: clean, robust, certified and eps, without sweep points and what is out of date."""
    clean, robust = next((name for name in CLEAN if name in known), CLEAN[-1]), _robust(known, norm)
    proven = f"served/{norm}/certified"
    metrics = [clean, robust]
    if proven in known:
        metrics.append(proven)
    elif norm == "linf":
        metrics += sorted(name for name in known if name.startswith("certified/linf/"))
    columns = [*(f"metrics.`{name}`" for name in metrics), f"params.`eps/{norm}`"]
    order = f"metrics.`{robust}`"
    sections, charts = _charts(known)
    return {
        "searchFilter": f"{order} >= 0 AND tags.`{SUPERSEDED}` IS NULL",
        "orderByKey": order,
        "orderByAsc": False,
        **_columns(columns),
        "compareRunSections": sections,
        "compareRunCharts": charts,
        "isAccordionReordered": True,
    }


def _charts(known: set[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The sections, curves against eps first, and the lines of the curves, which MLflow would smooth.

    It adds a chart for whatever else there is. Servers of before keep no more than 5,000 characters of a view.
    """
    held = {section: sorted(name for name in known if name.rpartition("/")[0] == section) for section in FIRST}
    sections = [
        {"uuid": section, "name": section, "display": True, "isReordered": False, "deleted": False}
        for section, names in held.items()
        if names
    ]
    charts = [
        {"uuid": name, "metricKey": name, "displayName": name, "metricSectionId": section, **LINE}
        for section, names in held.items()
        for name in names
        if section.startswith(("eps_", "radius_"))
    ]
    return sections, charts

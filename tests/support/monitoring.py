"""What Prometheus and Grafana are told to ask of the service's metrics."""

import json
import re
from typing import Any

import yaml

from tests.support.compose import TOP

FOLDER = TOP / "serving" / "monitoring"
# A metric's name as it stands in a query.
METRIC = re.compile(r"\b(?:redoubt|bentoml)_\w+")
# What is a histogram's series, each under a name of its own.
SERIES = re.compile(r"_(?:bucket|sum|count)$")


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The one that is provisioned."""
    found: dict[str, Any] = json.loads((FOLDER / "dashboards" / "redoubt.json").read_text())
    return found


def queries() -> list[str]:
    """Everything that is asked."""
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    variables = [variable["query"]["query"] for variable in dashboard()["templating"]["list"]]
    return [*(rule["expr"] for rule in alerts()), *panels, *variables]


def labels(query: str) -> set[tuple[str, str]]:
    """The labels that a query picks series by, each with the metric's name."""
    return {
        (name, label)
        for name, picked in re.findall(r"\b(redoubt_\w+)\{([^}]*)\}", query)
        for label in re.findall(r"(\w+)[=!]", picked)
    }

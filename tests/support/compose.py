"""docker-compose.yml as Docker Compose reads it: anchors resolved, variables filled in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(?P<name>\w+):\?(?P<message>[^}]+)\}")


def services() -> dict[str, dict[str, Any]]:
    """Each service's block."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]
    return found


def environment(service: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, str]:
    """A service's environment with `${NAME:?message}` replaced by the variable's value."""
    return {
        name: VARIABLE.sub(lambda match: variables[match["name"]], value)
        for name, value in service["environment"].items()
    }

"""Settings that one run alone has, from the command line of `pipelines.repro`: they win over params.yaml."""

import json
import os
from collections.abc import Mapping
from typing import Any

SETTINGS = "REDOUBT_SETTINGS"


def overrides() -> dict[str, Any]:
    """Read them from the environment, where `as_environment` has put them for every stage."""
    return json.loads(os.environ.get(SETTINGS, "{}"))


def as_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Write them as the variable that `overrides` reads."""
    return {SETTINGS: json.dumps(settings)} if settings else {}

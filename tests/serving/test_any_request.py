"""Whatever another program makes of the OpenAPI document, valid or not, is answered as the document says.

`REDOUBT_EXAMPLES=250 python -m pytest tests/serving/test_any_request.py` tries ten times as many requests.
"""

import os
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from serving.openapi import document
from tests.support.bundles import SCHEMAS

PATHS = document([SCHEMAS[task] for task in sorted(SCHEMAS)])["paths"]
# What is made by chance fits its schema, but is no PNG file, no tensor of that model, or too large for an answer.
load_all_checks()
CHECKED = [check for check in CHECKS.get_all() if check.__name__ != "positive_data_acceptance"]
FORM = "multipart/form-data"
EXAMPLES = int(os.environ.get("REDOUBT_EXAMPLES", "25"))


@pytest.fixture(scope="module")
def described(http: httpx.Client) -> Any:
    """The running service's own description."""
    return schemathesis.openapi.from_url(f"{http.base_url}/docs.json")


def check(operation: Any, mode: GenerationMode) -> None:
    """Try an operation."""

    @settings(max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        # In a form every value is a text, and a number's may be valid; of an empty list nothing is sent at all.
        eps = case.body.get("eps", "") if isinstance(case.body, dict) else ""
        assume(case.media_type != FORM or isinstance(eps, str))
        case.validate_response(case.call(), checks=CHECKED)

    each()


@pytest.mark.parametrize("path", PATHS)
def test_valid_requests(path: str, described: Any) -> None:
    check(described[path]["post" if "post" in PATHS[path] else "get"], GenerationMode.POSITIVE)


@pytest.mark.parametrize("path", [path for path in PATHS if "post" in PATHS[path] or "{" in path])
def test_invalid_requests(path: str, described: Any) -> None:
    check(described[path]["post" if "post" in PATHS[path] else "get"], GenerationMode.NEGATIVE)

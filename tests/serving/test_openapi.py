"""The OpenAPI document is sound, and the service keeps what it promises."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from serving.openapi import document, example
from tests.support.bundles import SCHEMAS, SPECIES

DOCUMENT = document([SCHEMAS[task] for task in sorted(SCHEMAS)])


def validator(name: str) -> Draft202012Validator:
    """Checks a value against a schema of the document."""
    return Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{name}"})


def references(node: Any) -> Iterator[str]:
    """Every `$ref` below a node."""
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from references(item)


def test_the_service_sends_it(asgi: httpx.Client) -> None:
    sent = asgi.get("/docs.json").json()
    assert sent["openapi"] == "3.1.0"
    assert sent["components"] == DOCUMENT["components"]


def test_it_says_how_large_eps_is_in_raw_units() -> None:
    told = document(list(SCHEMAS.values()), {"loans": "L-inf 0.3 standard deviations = 6.3 of `age`"})
    assert "`loans`: robustness was measured within L-inf 0.3 standard deviations = 6.3" in told["info"]["description"]


def test_the_service_tells_its_cards_threat(asgi: httpx.Client) -> None:
    assert "robustness was measured within L-inf 0.1" in asgi.get("/docs.json").json()["info"]["description"]


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        node: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def test_operations_are_complete() -> None:
    paths = DOCUMENT["paths"].values()
    operations = [path[method] for path in paths for method in ("get", "post") if method in path]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["responses"] and operation["summary"] for operation in operations)


@pytest.mark.parametrize("task", SCHEMAS)
def test_requests_and_answers_fit_it(task: str, asgi: httpx.Client) -> None:
    examples = DOCUMENT["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    request = json.loads(json.dumps(examples[task]["value"]))
    validator("PredictRequest").validate(request)
    validator("PredictResponse").validate(asgi.post("/predict", json=request).json())


def test_it_says_when_to_come_back() -> None:
    for path in ("/predict", "/predict_image", "/invocations", "/v2/models/{model}/infer"):
        answers = DOCUMENT["paths"][path]["post"]["responses"]
        assert set(answers) - {"404"} == {"200", "400", "408", "413", "415", "429", "431", "503", "504"}
        told = {status for status, answer in answers.items() if "Retry-After" in answer.get("headers", {})}
        assert told == {"429", "503"}


def test_it_says_when_an_input_is_flagged() -> None:
    for name in ("ClassPrediction", "NumberPrediction"):
        assert "outside its training range" in DOCUMENT["components"]["schemas"][name]["description"]


@pytest.mark.parametrize("name", ["digits", "colours", "evolution"])
def test_each_task_has_its_own_shape(name: str) -> None:
    request = {"task": name, "inputs": [example(SCHEMAS[name])]}
    assert validator(f"{name}_request").is_valid(request)
    for other in set(SCHEMAS) - {name}:
        assert not validator("PredictRequest").is_valid({**request, "task": other})


@pytest.mark.parametrize("task", SCHEMAS)
@pytest.mark.parametrize("path", ["/invocations", "/v2/models/{model}/infer"])
def test_other_protocols_examples_are_answered(path: str, task: str, asgi: httpx.Client) -> None:
    examples = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"]
    answer = asgi.post(path.format(model=task), params={"task": task}, json=examples[task]["value"])
    assert answer.status_code == 200, answer.text


def test_a_task_is_one_that_is_served() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Task"]["enum"] == sorted(SCHEMAS)
    assert schemas["PredictResponse"]["properties"]["task"] == {"$ref": "#/components/schemas/Task"}
    assert schemas["UploadRequest"]["properties"]["task"]["enum"] == ["colours", "digits"]
    assert schemas["evolution_input"]["properties"]["species"]["enum"] == list(SPECIES)


def test_a_real_example_is_shown_where_there_is_one() -> None:
    said = document(list(SCHEMAS.values()), examples={"evolution": {"cp": 20, "hp": 30, "species": "Eevee"}})
    examples = said["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert examples["evolution"]["value"]["inputs"] == [{"cp": 20, "hp": 30, "species": "Eevee"}]


def test_a_service_without_tasks_has_a_document() -> None:
    for reference in references(empty := document([])):
        assert reference.removeprefix("#/components/schemas/") in empty["components"]["schemas"]


def test_protocol_errors_fit_it(asgi: httpx.Client) -> None:
    validator("ProtocolErrorBody").validate(asgi.post("/v2/models/digits/infer", json={}).json())


def test_errors_fit_it(asgi: httpx.Client) -> None:
    validator("ErrorBody").validate(asgi.post("/predict", json={}).json())


def test_a_summary_is_one_line_for_a_reader() -> None:
    paths = document([])["paths"]
    for path in ("/predict", "/predict_image"):
        summary = paths[path]["post"]["summary"]
        assert "\n" not in summary
        assert "Attributes" not in summary

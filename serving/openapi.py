"""The OpenAPI 3.1 document, true of the tasks that are served now, with an example for each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.errors import ErrorBody
from serving.invocation_schema import InvocationRequest
from serving.oip_answers import (
    InferResponse,
    InvocationResponse,
    Live,
    ModelMetadata,
    ModelReady,
    ProtocolErrorBody,
    Ready,
    ServerMetadata,
)
from serving.oip_schema import InferRequest
from serving.openapi_tasks import PREFIX, components, ref, tensors, upload
from serving.schema import PredictRequest, PredictResponse, Served

if TYPE_CHECKING:
    from redoubt.bundle.schema import Schema

REQUESTS: list[type[BaseModel]] = [PredictRequest, InferRequest, InvocationRequest]
ANSWERS: list[type[BaseModel]] = [
    PredictResponse,
    Served,
    InferResponse,
    InvocationResponse,
    Live,
    Ready,
    ModelReady,
    ServerMetadata,
    ModelMetadata,
    ErrorBody,
    ProtocolErrorBody,
]
ERRORS = {
    "400": "The request does not fit; the message names the input and what was expected.",
    "408": "The body stopped or came too slowly.",
    "413": "The body is too large.",
    "415": "The body is of another content type, charset or content encoding.",
    "429": "Too much work waits, or holds too much memory; try again after Retry-After.",
    "431": "The headers are too large.",
    "503": "Busy: its turn did not come in time, try again after Retry-After; or, without that header, the task's model"
    " has no passing robustness report.",
    "504": "The answer took too long.",
}
UNKNOWN = {"404": "There is no such model, or not in this version."}
RETRY = {"Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}}}
PROBES = {
    "/livez": "The process is alive.",
    "/readyz": "Every bundle is loaded and has a passing robustness report, and there is room for more requests.",
    "/ping": "As /readyz, at the path that MLflow's servers have.",
    "/metrics": "Prometheus metrics.",
}
NOT_READY = "A bundle was refused, there is none, or there has been no room for requests."
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Bytes of the JSON that the body begins with, if tensors follow it as bytes.",
    "schema": {"type": "integer", "minimum": 0},
}


def document(
    schemas: "Sequence[Schema]",
    threats: Mapping[str, str] | None = None,
    examples: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe the service.

    Args:
        schemas: of the tasks that it answers for.
        threats: by task the eps-ball that its card reports on, in raw units.
        examples: by task a real input; of a task without one an input that means nothing is shown.
    """
    _, definitions = models_json_schema(
        [*((each, "validation") for each in REQUESTS), *((each, "serialization") for each in ANSWERS)],
        ref_template=PREFIX + "{model}",
    )
    tasks = {schema.task: schema for schema in schemas}
    shown = {task: example(schema) for task, schema in tasks.items()} | dict(examples or {})
    made = definitions["$defs"] | components(tasks) | {"UploadRequest": upload(tasks)}
    if tasks:
        made["PredictResponse"]["properties"]["task"] = ref("Task")
    about = [f"Guarded champions. Tasks served: {', '.join(tasks) or 'none'}."]
    about += [f"- `{task}`: robustness was measured within {says}." for task, says in (threats or {}).items()]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Redoubt", "version": "1", "description": "\n".join(about)},
        "servers": [{"url": "."}],
        "paths": {**_predictions(tasks, shown), **_protocol(tasks, shown), **{path: _probe(path) for path in PROBES}},
        "components": {"schemas": made},
    }


def example(schema: "Schema") -> dict[str, Any] | list[Any]:
    """A valid input of the task, though it means nothing: a black image, or a record of zeros where they are valid."""
    if schema.kind != "image":
        parts = [name for dated in schema.dates for name in dated.columns]
        dates = {dated.name: dated.start.isoformat() for dated in schema.dates}
        return {column.name: column.example for column in schema.columns if column.name not in parts} | dates
    height, width, channels = schema.shape
    return [[0.0 if channels == 1 else [0.0] * channels] * width] * height


def _predictions(tasks: "Mapping[str, Schema]", shown: Mapping[str, Any]) -> dict[str, Any]:
    named = {
        "name": "task",
        "in": "query",
        "description": "Which task; not needed where one alone is served, or the header X-Redoubt-Task names it.",
        "required": len(tasks) > 1,
        "schema": _task(tasks),
    }
    said = {task: {"value": {"task": task, "inputs": [value]}} for task, value in shown.items()}
    instances = {task: {"value": {"instances": [value]}} for task, value in shown.items()}
    form = {"multipart/form-data": {"schema": ref("UploadRequest")}}
    return {
        "/predict": {
            "post": _operation(
                "predict",
                "Answer images as nested lists in [0, 1], or records in raw units.",
                _json("PredictRequest", said),
            )
        },
        "/predict_image": {"post": _operation("predict_image", "Answer one image as a PNG or JPEG file.", form)},
        "/invocations": {
            "post": {
                **_operation(
                    "invocations",
                    "Answer inputs as MLflow's clients send them, in JSON; a table may come as text/csv too.",
                    _json("InvocationRequest", instances),
                    "InvocationResponse",
                    UNKNOWN,
                ),
                "parameters": [named],
            }
        },
    }


def _protocol(tasks: "Mapping[str, Schema]", shown: Mapping[str, Any]) -> dict[str, Any]:
    """The Open Inference Protocol's paths."""
    said = {task: {"value": tensors(schema, shown[task])} for task, schema in tasks.items()}
    ready = {"503": _response(NOT_READY, "ProtocolErrorBody")}
    paths: dict[str, Any] = {
        "/v2": {"get": _told("server_metadata", "The service.", "ServerMetadata", {})},
        "/v2/health/live": {"get": _told("server_live", "The process is alive.", "Live", {})},
        "/v2/health/ready": {"get": _told("server_ready", "As /readyz.", "Ready", ready)},
    }
    model = {"name": "model", "in": "path", "required": True, "schema": _task(tasks)}
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    missing = {
        "404": _response(UNKNOWN["404"], "ProtocolErrorBody"),
        "503": _response("Its bundle was refused.", "ProtocolErrorBody"),
    }
    for path, prefix, named in (
        ("/v2/models/{model}", "model", [model]),
        ("/v2/models/{model}/versions/{version}", "model_version", [model, version]),
    ):
        paths[path] = {
            "parameters": named,
            "get": _told(f"{prefix}_metadata", "The model's tensors.", "ModelMetadata", missing),
        }
        paths[path + "/ready"] = {
            "parameters": named,
            "get": _told(f"{prefix}_ready", "Whether the model answers.", "ModelReady", missing),
        }
        infer = _operation(
            f"{prefix}_infer",
            "Answer inputs as tensors.",
            _json("InferRequest", said) | BINARY,
            "InferResponse",
            UNKNOWN,
            "ProtocolErrorBody",
        )
        infer["responses"]["200"]["content"] |= BINARY
        paths[path + "/infer"] = {"parameters": [*named, LENGTH], "post": infer}
    return paths


def _task(tasks: "Mapping[str, Schema]") -> dict[str, Any]:
    return ref("Task") if tasks else {"type": "string"}


def _json(name: str, examples: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": ref(name), **({"examples": examples} if examples else {})}}


def _operation(
    name: str,
    summary: str,
    content: dict[str, Any],
    answer: str = "PredictResponse",
    more: Mapping[str, str] = {},
    error: str = "ErrorBody",
) -> dict[str, Any]:
    refusals = dict(sorted({**ERRORS, **more}.items()))
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": _response("One prediction per input, in order.", answer),
            **{status: _refusal(status, meaning, error) for status, meaning in refusals.items()},
        },
    }


def _refusal(status: str, meaning: str, error: str) -> dict[str, Any]:
    return _response(meaning, error) | ({"headers": RETRY} if status in ("429", "503") else {})


def _response(meaning: str, name: str) -> dict[str, Any]:
    return {"description": meaning, "content": {"application/json": {"schema": ref(name)}}}


def _told(name: str, summary: str, answer: str, refusals: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": {"200": _response(summary, answer), **refusals}}


def _probe(path: str) -> dict[str, Any]:
    meaning = PROBES[path]
    if path in ("/readyz", "/ping"):
        responses = {"200": _response(meaning, "Served"), "503": _response(NOT_READY, "ErrorBody")}
    else:
        responses = {"200": {"description": meaning, "content": {"text/plain": {"schema": {"type": "string"}}}}}
    return {"get": {"operationId": path.strip("/"), "summary": meaning, "responses": responses}}

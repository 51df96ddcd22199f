"""The OpenAPI 3.1 document, with an example for every task that is served."""

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.errors import ErrorBody
from serving.schema import PredictRequest, PredictResponse, UploadRequest

if TYPE_CHECKING:
    from redoubt.bundle.schema import Schema

PREFIX = "#/components/schemas/"

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
RETRY = {"Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}}}
PROBES = {
    "/livez": "The process is alive.",
    "/readyz": "Every bundle is loaded and has a passing robustness report, and there is room for more requests.",
    "/metrics": "Prometheus metrics.",
}


def document(schemas: "Sequence[Schema]", threats: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Describe the service.

    Args:
        schemas: of the tasks that it answers for.
        threats: by task the eps-ball that its card reports on, in raw units.
    """
    requests: list[type[BaseModel]] = [PredictRequest, UploadRequest]
    replies: list[type[BaseModel]] = [PredictResponse, ErrorBody]
    _, definitions = models_json_schema(
        [*((model, "validation") for model in requests), *((model, "serialization") for model in replies)],
        ref_template=PREFIX + "{model}",
    )
    examples = {schema.task: {"value": {"task": schema.task, "inputs": [example(schema)]}} for schema in schemas}
    served = ", ".join(schema.task for schema in schemas) or "none"
    about = [f"Guarded champions. Tasks served: {served}."]
    about += [f"- `{task}`: robustness was measured within {says}." for task, says in (threats or {}).items()]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Redoubt", "version": "1", "description": "\n".join(about)},
        "servers": [{"url": "."}],
        "paths": {
            "/predict": {"post": _operation("predict", PredictRequest, "application/json", examples)},
            "/predict_image": {"post": _operation("predict_image", UploadRequest, "multipart/form-data", {})},
            **{path: {"get": _probe(path, meaning)} for path, meaning in PROBES.items()},
        },
        "components": {"schemas": definitions["$defs"]},
    }


def example(schema: "Schema") -> dict[str, Any] | list[Any]:
    """A valid input of the task, though it means nothing: a black image, or a record of zeros where they are valid."""
    if schema.kind != "image":
        return {column.name: column.example for column in schema.columns}
    height, width, channels = schema.shape
    return [[0.0 if channels == 1 else [0.0] * channels] * width] * height


def _operation(name: str, body: type[BaseModel], media_type: str, examples: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": PREFIX + body.__name__}}
    if examples:
        content["examples"] = examples
    return {
        "operationId": name,
        "summary": cleandoc(body.__doc__ or "").split("\n\n")[0],
        "requestBody": {"required": True, "content": {media_type: content}},
        "responses": {
            "200": _response("One prediction per input, in order.", PredictResponse),
            **{status: _refusal(status, meaning) for status, meaning in ERRORS.items()},
        },
    }


def _refusal(status: str, meaning: str) -> dict[str, Any]:
    return _response(meaning, ErrorBody) | ({"headers": RETRY} if status in ("429", "503") else {})


def _response(meaning: str, body: type[BaseModel]) -> dict[str, Any]:
    return {"description": meaning, "content": {"application/json": {"schema": {"$ref": PREFIX + body.__name__}}}}


def _probe(path: str, meaning: str) -> dict[str, Any]:
    responses = {"200": {"description": meaning}}
    if path == "/readyz":
        responses["503"] = _response(
            "A bundle was refused, there is none, or there has been no room for requests.", ErrorBody
        )
    return {"operationId": path.strip("/"), "summary": meaning, "responses": responses}

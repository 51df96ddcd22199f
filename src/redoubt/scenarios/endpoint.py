"""A served model as an oracle: all that is known of it is its address and its task's schema."""

import json
from typing import Any, Self

import httpx
import numpy as np

from redoubt.attacks.query import OracleError, log_scores
from redoubt.bundle.base.errors import InputError
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.types import Floats
from redoubt.http import client

# What the service takes per request; a body must stay below 4 MiB.
MAX_INPUTS, MAX_BODY = 256, 4_000_000
SECONDS = 30.0


class EndpointError(OracleError):
    """The service cannot be reached, refuses, or returns what makes no sense for the task."""


class Endpoint:
    """Asks `POST /predict`; give it to an `Oracle`.

    Scores of classes are the logarithms of the service's probabilities (see `log_scores`), those of a number are its
    values. It can be used in a `with` block, which closes the connection that it opened itself.
    """

    def __init__(self, service: str | httpx.Client, schema: Schema, *, labels_only: bool = False) -> None:
        """Aim at a service; nothing is asked yet.

        Args:
            service: its URL, or a client whose base URL it is. Starlette's `TestClient` of an ASGI application is
                such a client too: then all happens in this process.
            schema: of the task to be asked; says how an example becomes a record, and the order of the classes.
            labels_only: read the label alone, as from a service that gives no probabilities: 0 for the class that is
                answered, far less for the others. For a decision-based attack.

        Raises:
            EndpointError: not a URL; labels asked of a task that has none.
        """
        if labels_only and not schema.is_classification:
            raise EndpointError(f"task '{schema.task}' answers numbers; labels_only is for tasks with classes")
        self._opened: httpx.Client | None = None
        if isinstance(service, str):
            try:
                service = self._opened = client(service, base_url=service, timeout=SECONDS)
            except httpx.InvalidURL as error:
                raise EndpointError(f"{service!r} is not a URL ({error}); expected such as http://HOST:3000") from None
        self._client, self._schema, self._labels_only = service, schema, labels_only

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def __call__(self, x: Floats) -> Floats:
        """Scores `(examples, classes)`, or values `(examples, 1)`, for inputs `(examples, ...)` in raw units.

        Raises:
            EndpointError: no answer, a refusal (with what the service says), or an answer to something else.
        """
        texts = [json.dumps(value) for value in _inputs(self._schema, x)]
        predictions = [prediction for part in _requests(texts) for prediction in self._post(part)]
        try:
            return self._scores(predictions)
        except (KeyError, TypeError, ValueError) as error:
            expected = f"the classes {', '.join(self._schema.labels)}" if self._schema.is_classification else "values"
            raise EndpointError(
                f"{self._client.base_url} answers for task '{self._schema.task}' something else than {expected}"
                f" ({type(error).__name__}: {error}); is the schema the served model's?"
            ) from None

    def _post(self, texts: list[str]) -> list[Any]:
        body = f'{{"task": {json.dumps(self._schema.task)}, "inputs": [{",".join(texts)}]}}'
        try:
            answer = self._client.post("/predict", content=body, headers={"content-type": "application/json"})
        except httpx.HTTPError as error:
            raise EndpointError(
                f"{self._client.base_url} cannot be reached ({type(error).__name__}: {error}); is the service running?"
            ) from None
        if answer.status_code != httpx.codes.OK:
            raise EndpointError(f"{self._client.base_url} refuses with status {answer.status_code}: {_said(answer)}")
        try:
            predictions = answer.json()["predictions"]
            complete = len(predictions) == len(texts)
        except (ValueError, KeyError, TypeError):
            complete = False
        if not complete:
            raise EndpointError(f"{self._client.base_url} answers no list of {len(texts)} predictions: {_said(answer)}")
        return list(predictions)

    def _scores(self, predictions: list[Any]) -> Floats:
        labels = self._schema.labels
        if not labels:
            return np.array([[prediction["value"]] for prediction in predictions], np.float32).reshape(-1, 1)
        if self._labels_only:
            chosen = [labels.index(prediction["label"]) for prediction in predictions]
            return log_scores(np.eye(len(labels), dtype=np.float32)[chosen])
        scores = [[prediction["probabilities"][label] for label in labels] for prediction in predictions]
        return log_scores(np.array(scores, np.float32).reshape(-1, len(labels)))


def _requests(texts: list[str]) -> list[list[str]]:
    """Inputs in as few requests as the service's limits allow."""
    parts: list[list[str]] = []
    size = 0
    for text in texts:
        if not parts or len(parts[-1]) == MAX_INPUTS or size + len(text) > MAX_BODY:
            parts.append([])
            size = 0
        parts[-1].append(text)
        size += len(text) + 1
    return parts


def _inputs(schema: Schema, x: Floats) -> list[Any]:
    """Images as nested lists, examples of a table as records; every float32 arrives exactly."""
    if schema.kind == "image":
        return list(x.astype(float).tolist())
    return [_record(schema, index, row) for index, row in enumerate(x)]


def _record(schema: Schema, index: int, row: Floats) -> dict[str, Any]:
    """The inverse of `Schema.encode`."""
    ends = np.cumsum([column.inputs for column in schema.columns])[:-1]
    cells = np.split(row, ends)
    return {column.name: _cell(index, column, cell) for column, cell in zip(schema.columns, cells, strict=True)}


def _cell(index: int, column: Column, values: Floats) -> Any:
    if column.kind != "category":
        # An empty cell that is said to be one can be sent only as it is: null.
        return None if len(values) > 1 and values[1] else float(values[0])
    if sorted(values.tolist()) != [0.0] * (len(values) - 1) + [1.0]:
        raise InputError(f"input {index}: column '{column.name}' holds {values.tolist()}; expected one 1, the rest 0")
    return column.categories[int(values.argmax())]


def _said(answer: httpx.Response) -> str:
    """The message in the service's error envelope, or else the beginning of the body."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or "an empty body"

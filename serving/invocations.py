"""MLflow's scoring protocol: POST /invocations takes the forms that `mlflow models serve` takes."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson
from bentoml.exceptions import InvalidArgument
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from redoubt.bundle.base.types import Floats
from serving import csv_table, signature
from serving.answers import Ask, Champion
from serving.errors import Refused
from serving.gatekeeper import Answer
from serving.invocation_schema import InvocationRequest
from serving.openapi_tasks import IMAGE
from serving.schema import MAX_INPUTS
from serving.tensors import Spec, from_json

if TYPE_CHECKING:
    from serving.desk import Desk

TASK_HEADER = "x-redoubt-task"
TAKES_IMAGES = "the task takes images; send them as instances or inputs"
CSV = "text/csv"


class Invocations:
    """Answers MLflow's requests at a desk."""

    def __init__(self, desk: "Callable[[], Desk]") -> None:
        """Ask for the desk with every request: there is none before the service has started."""
        self._desk = desk

    async def __call__(self, scope: Scope, body: bytes, receive: Receive) -> Answer:
        """Answer one.

        Raises:
            Refused: what came does not fit, or too much waits.
        """
        desk = self._desk()
        task = _task(scope, list(desk.runtime.champions))
        champion = desk.champion(task)
        came = Headers(scope=scope).get("content-type", "").split(";")[0].strip().lower()
        reading = desk.read(len(body), partial(_read_csv if came == CSV else _read, body, champion))
        del body
        ask, x = await reading
        rows = await desk.answer(task, ask, x, receive)
        return Answer(orjson.dumps({"predictions": rows}, option=orjson.OPT_SERIALIZE_NUMPY))


def _task(scope: Scope, served: list[str]) -> str:
    named = parse_qs(scope["query_string"].decode("latin-1")).get("task", [])
    named += Headers(scope=scope).getlist(TASK_HEADER)
    if len(set(named)) == 1:
        return named[0]
    if not named and len(served) == 1:
        return served[0]
    came = f"{len(set(named))} tasks are named" if named else "no task is named"
    tasks = ", ".join(served) or "none; run `make repro`"
    raise Refused(
        HTTPStatus.BAD_REQUEST,
        f"{came}; expected one, as /invocations?task=TASK or in the header X-Redoubt-Task; tasks served: {tasks}",
    )


def _read(body: bytes, champion: Champion) -> tuple[Ask, Floats]:
    request = InvocationRequest.parse(body)
    rows, image = request.rows(), champion.schema.kind == "image"
    _check_count(rows)
    if image and (request.dataframe_split or request.dataframe_records is not None):
        raise InvalidArgument(TAKES_IMAGES)
    ask = Ask(champion, request.params.certify, tuple(request.params.eps))
    return ask, _images(rows, champion) if image else champion.read(rows)


def _read_csv(body: bytes, champion: Champion) -> tuple[Ask, Floats]:
    if champion.schema.kind == "image":
        raise InvalidArgument(TAKES_IMAGES)
    rows = csv_table.records(body, champion.schema)
    _check_count(rows)
    return Ask(champion, "budget"), champion.read(rows)


def _check_count(rows: list[Any]) -> None:
    if not 1 <= len(rows) <= MAX_INPUTS:
        raise InvalidArgument(f"{len(rows)} inputs came; expected 1 to {MAX_INPUTS}")


def _images(rows: list[Any], champion: Champion) -> Floats:
    shape = champion.schema.shape
    flat = shape[-1] == 1 and _depth(rows) == len(shape)
    sides = (len(rows), *(shape[:-1] if flat else shape))
    try:
        values = from_json(rows, Spec(IMAGE, "FP32", ()), sides)
        return signature.pixels(champion, values, len(rows))
    except InvalidArgument:
        # Says which input it is, in the words that /predict has for it.
        return champion.read(rows)


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth

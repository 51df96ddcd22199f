"""MLflow's scoring protocol: POST /invocations takes the forms that `mlflow models serve` takes, all but CSV."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs

import orjson
from bentoml.exceptions import InvalidArgument
from pydantic import Field, ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from redoubt.bundle.types import Floats
from serving import signature
from serving.answers import Ask, Champion
from serving.errors import Refused
from serving.gatekeeper import Answer
from serving.oip_schema import Strict, load, sentence
from serving.schema import MAX_INPUTS, Certify
from serving.tensors import Spec, from_json

if TYPE_CHECKING:
    from serving.desk import Desk

TASK_HEADER = "x-redoubt-task"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Params(Strict):
    """Of a request.

    Attributes:
        certify: which certificates the answers carry, as in /predict.
    """

    certify: Certify = "budget"


class Split(Strict):
    """A table as pandas writes it by `to_json(orient="split")`.

    Attributes:
        columns: their names.
        data: the rows.
        index: taken, and of no effect.
    """

    columns: Annotated[list[str], Field(min_length=1)]
    data: list[list[Any]]
    index: list[Any] | None = None

    def records(self) -> list[dict[str, Any]]:
        """Each row by column.

        Raises:
            InvalidArgument: a column twice, or a row of another length.
        """
        if len(set(self.columns)) < len(self.columns):
            raise InvalidArgument("dataframe_split: a column is named twice; expected each once")
        for index, row in enumerate(self.data):
            if len(row) != len(self.columns):
                raise InvalidArgument(f"input {index} has {len(row)} values; expected {len(self.columns)}")
        return [dict(zip(self.columns, row, strict=True)) for row in self.data]


class InvocationRequest(Strict):
    """Inputs for one task, as MLflow's clients send them, in exactly one of four forms.

    Attributes:
        dataframe_split: a table, its columns apart from its rows.
        dataframe_records: a table, an object per row.
        instances: a list of inputs: objects, or images as nested lists in [0, 1].
        inputs: likewise, or of a table a list of values per column.
        params: of the request.
    """

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: list[Any] | None = None
    inputs: list[Any] | dict[str, list[Any]] | None = None
    params: Params = Params()

    @classmethod
    def parse(cls, body: bytes) -> "InvocationRequest":
        """Parse JSON.

        Raises:
            InvalidArgument: not JSON, or of another form.
        """
        try:
            request = cls.model_validate(load(body, f"exactly one of {', '.join(FORMS)}"))
        except ValidationError as error:
            raise InvalidArgument(sentence(error)) from None
        forms = [form for form in FORMS if getattr(request, form) is not None]
        if len(forms) != 1:
            raise InvalidArgument(f"{' and '.join(forms) or 'none'} came; expected exactly one of {', '.join(FORMS)}")
        return request

    def rows(self) -> list[Any]:
        """The inputs one by one; raises as `Split.records` does."""
        if self.dataframe_split is not None:
            return self.dataframe_split.records()
        if isinstance(self.inputs, dict):
            return _rows(self.inputs)
        return next(each for each in (self.dataframe_records, self.instances, self.inputs) if each is not None)


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
        reading = desk.read(len(body), partial(_read, body, champion))
        del body
        certify, x = await reading
        rows = await desk.answer(task, Ask(champion, certify), x, receive)
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


def _read(body: bytes, champion: Champion) -> tuple[Certify, Floats]:
    request = InvocationRequest.parse(body)
    rows, image = request.rows(), champion.schema.kind == "image"
    if not 1 <= len(rows) <= MAX_INPUTS:
        raise InvalidArgument(f"{len(rows)} inputs came; expected 1 to {MAX_INPUTS}")
    if image and (request.dataframe_split or request.dataframe_records is not None):
        raise InvalidArgument(f"task '{champion.schema.task}' takes images; send them as instances or inputs")
    return request.params.certify, _images(rows, champion) if image else champion.read(rows)


def _images(rows: list[Any], champion: Champion) -> Floats:
    shape = champion.schema.shape
    flat = shape[-1] == 1 and _depth(rows) == len(shape)
    sides = (len(rows), *(shape[:-1] if flat else shape))
    try:
        values = from_json(rows, Spec(signature.IMAGE, "FP32", ()), sides)
        return signature.pixels(champion, values, len(rows))
    except InvalidArgument:
        # Says which input it is, in the words that /predict has for it.
        return champion.read(rows)


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise InvalidArgument(f"inputs: columns of {len(lengths)} different lengths; expected one length")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]

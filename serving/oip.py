"""The Open Inference Protocol, version 2, over HTTP, with its extension for binary tensors."""

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from bentoml.exceptions import InvalidArgument
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from redoubt.bundle.base.types import Floats
from serving import signature
from serving.answers import Ask, Champion
from serving.errors import Refused
from serving.gatekeeper import Answer
from serving.oip_schema import InferRequest, InputTensor
from serving.schema import short
from serving.tensors import Spec, from_bytes, from_json, to_bytes, to_json

if TYPE_CHECKING:
    from serving.desk import Desk

HEADER_LENGTH = "inference-header-content-length"


class Inference:
    """Answers the protocol's inference requests at a desk."""

    def __init__(self, desk: "Callable[[], Desk]") -> None:
        """Ask for the desk with every request: there is none before the service has started."""
        self._desk = desk

    async def __call__(self, scope: Scope, body: bytes, receive: Receive) -> Answer:
        """Answer one.

        Raises:
            Refused: what came does not fit, or too much waits.
        """
        desk, (name, version) = self._desk(), model_of(scope["path"])
        champion = find(desk, name, version)
        length = Headers(scope=scope).get(HEADER_LENGTH)
        reading = desk.read(len(body), partial(_read, body, length, champion))
        del body
        request, x = await reading
        certify = request.parameters.certify
        rows = await desk.answer(name, Ask(champion, certify), x, receive)
        return _write(name, request, champion, rows)


def model_of(path: str) -> tuple[str, str | None]:
    """The model and, if it is named, the version of `/v2/models/MODEL[/versions/VERSION]...`."""
    _, _, _, name, *rest = path.split("/")
    return name, rest[1] if rest and rest[0] == "versions" and len(rest) > 1 else None


def find(desk: "Desk", name: str, version: str | None) -> Champion:
    """The champion of a task; its digest is the one version of it.

    Raises:
        Refused: 404, there is none; 503, its bundle was refused.
    """
    champion = desk.champion(name)
    digest = champion.model.digest
    if version not in (None, digest):
        raise Refused(
            HTTPStatus.NOT_FOUND, f"model '{name}' has no version {short(version)}; the one that is served is {digest}"
        )
    return champion


def _read(body: bytes, length: str | None, champion: Champion) -> tuple[InferRequest, Floats]:
    head, tail = _cut(body, length)
    request = InferRequest.parse(head)
    _check_outputs(request, champion)
    specs = {spec.name: spec for spec in signature.inputs(champion.schema)}
    names = [tensor.name for tensor in request.inputs]
    expected = ", ".join(specs)
    for name in names:
        if name not in specs:
            raise InvalidArgument(f"unknown input tensor {short(name)}; expected {expected}")
    if len(set(names)) < len(names):
        raise InvalidArgument(f"an input tensor came twice; expected each of {expected} once")
    filled = [column.name for column in champion.schema.columns if column.fills]
    for name in specs:
        if name not in names and (name not in filled or not names):
            raise InvalidArgument(f"the input tensor '{name}' is missing; expected {expected}")
    came, rows, start = {}, 0, 0
    for tensor in request.inputs:
        spec, count = specs[tensor.name], _inputs_of(tensor, specs[tensor.name])
        if rows not in (0, count):
            raise InvalidArgument(f"tensor '{spec.name}' holds {count} inputs, the one before it {rows}")
        size = tensor.parameters.binary_data_size
        came[spec.name] = _values(tensor, spec, tail[start : start + (size or 0)])
        rows, start = count, start + (size or 0)
    if start != len(tail):
        raise InvalidArgument(f"{len(tail)} bytes follow the JSON; the tensors announce {start} by binary_data_size")
    return request, signature.encode(champion, came, rows)


def _cut(body: bytes, length: str | None) -> tuple[bytes, memoryview]:
    """The JSON, and the bytes that follow it."""
    if length is None:
        return body, memoryview(b"")
    if not (length.isascii() and length.isdecimal()) or len(length) > 20 or int(length) > len(body):
        raise InvalidArgument(
            f"Inference-Header-Content-Length is {length[:40]}; expected the bytes of the JSON that the body begins"
            f" with, at most its {len(body)}"
        )
    return body[: int(length)], memoryview(body)[int(length) :]


def _inputs_of(tensor: InputTensor, spec: Spec) -> int:
    if tensor.datatype != spec.datatype:
        raise InvalidArgument(f"tensor '{spec.name}' is of {short(tensor.datatype)}; expected {spec.datatype}")
    return signature.of_shape(spec, tensor.shape)


def _values(tensor: InputTensor, spec: Spec, data: memoryview) -> signature.Values:
    size = tensor.parameters.binary_data_size
    if (size is None) == (tensor.data is None):
        came = "neither data nor" if size is None else "both data and"
        raise InvalidArgument(f"tensor '{spec.name}' has {came} binary_data_size; expected one of them")
    if size is None:
        return from_json(tensor.data or [], spec, tensor.shape)
    if size != len(data):
        raise InvalidArgument(
            f"tensor '{spec.name}' announces {size} bytes by binary_data_size; {len(data)} are left of what follows the"
            " JSON, whose own length Inference-Header-Content-Length says"
        )
    return from_bytes(data, spec, tensor.shape)


def _check_outputs(request: InferRequest, champion: Champion) -> None:
    names = [output.name for output in request.outputs or ()]
    known = [spec.name for spec in signature.outputs(champion)]
    for name in names:
        if name not in known:
            raise InvalidArgument(f"unknown output {short(name)}; expected {', '.join(known)}")
        if name.startswith("certified_") and request.parameters.certify == "none":
            raise InvalidArgument(f"output '{name}' was asked for with certify none; expected budget or radius")
    if len(set(names)) < len(names):
        raise InvalidArgument("an output is asked for twice; expected each once")


def _write(name: str, request: InferRequest, champion: Champion, rows: list[Mapping[str, Any]]) -> Answer:
    certify, default = request.parameters.certify, request.parameters.binary_data_output
    values = signature.columns(champion, rows, certify != "none")
    specs = {spec.name: spec for spec in signature.outputs(champion) if spec.name in values}
    asked = {output.name: output.parameters.binary_data for output in request.outputs or ()}
    tensors, tail = [], []
    for each in asked or dict.fromkeys(specs):
        tensor = specs[each].describe() | {"shape": [len(rows), *specs[each].shape[1:]]}
        binary = asked.get(each)
        if default if binary is None else binary:
            tail.append(to_bytes(values[each], specs[each].datatype))
            tensor["parameters"] = {**specs[each].parameters, "binary_data_size": len(tail[-1])}
        else:
            tensor["data"] = to_json(values[each])
        tensors.append(tensor)
    said: dict[str, Any] = {"model_name": name, "model_version": champion.model.digest}
    said |= {} if request.id is None else {"id": request.id}
    said |= {"parameters": {"certify": certify}, "outputs": tensors}
    head = orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY)
    if not tail:
        return Answer(head)
    length = (HEADER_LENGTH.encode(), b"%d" % len(head))
    return Answer(b"".join([head, *tail]), b"application/octet-stream", (length,))

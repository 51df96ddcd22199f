"""Tensors as the Open Inference Protocol (version 2) sends them: as JSON, or as bytes after it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from bentoml.exceptions import InvalidArgument
from numpy.typing import NDArray

from serving.schema import short

# Little-endian, whatever the machine's own order is. BYTES stands for texts, each after its length.
TYPES = {"BOOL": "|b1", "FP32": "<f4", "FP64": "<f8", "INT64": "<i8"}
# What JSON may hold for each.
NUMBERS: frozenset[type] = frozenset({int, float})
IN_JSON: dict[str, frozenset[type]] = {"BOOL": frozenset({bool}), "BYTES": frozenset({str})}
WORDS = {"BOOL": "true or false", "BYTES": "a text"}
LENGTH = 4


@dataclass(frozen=True)
class Spec:
    """What a model says of one of its tensors.

    Attributes:
        name: of the tensor.
        datatype: BYTES or one of `TYPES`.
        shape: -1 stands for the number of inputs.
        parameters: what the numbers stand for.
        fills: whether a value may be null, since the task declares what that counts as.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    fills: bool = False

    def describe(self) -> dict[str, Any]:
        """As the model's metadata have it."""
        said = {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}
        return said | ({"parameters": self.parameters} if self.parameters else {})


def from_json(data: list[Any], spec: Spec, shape: Sequence[int]) -> list[Any]:
    """The values of a tensor, row by row.

    Args:
        data: flat, or nested as the shape is.
        spec: says what they must be.
        shape: as it came.

    Raises:
        InvalidArgument: other values than the shape and the data type say.
    """
    values = data
    if any(type(value) is list for value in data):
        for depth, size in enumerate(shape):
            if depth and any(type(value) is not list or len(value) != size for value in values):
                raise InvalidArgument(f"tensor '{spec.name}' is not nested as its shape {list(shape)} is")
            values = list(chain.from_iterable(values)) if depth else values
    if len(values) != prod(shape) or (values is not data and len(data) != shape[0]):
        raise InvalidArgument(
            f"tensor '{spec.name}' has {len(values)} values; expected {prod(shape)} for its shape {list(shape)}"
        )
    allowed = IN_JSON.get(spec.datatype, NUMBERS) | ({type(None)} if spec.fills else set())
    if not set(map(type, values)) <= allowed:
        place = next(place for place, value in enumerate(values) if type(value) not in allowed)
        raise InvalidArgument(
            f"tensor '{spec.name}': value {place} is {short(values[place])};"
            f" expected {WORDS.get(spec.datatype, 'a number')}"
        )
    return values


def from_bytes(data: memoryview, spec: Spec, shape: Sequence[int]) -> list[Any] | NDArray[Any]:
    """The values of a tensor of the binary extension, row by row; raises as `from_json` does."""
    if spec.datatype == "BYTES":
        return _texts(data, spec, prod(shape))
    kind = np.dtype(TYPES[spec.datatype])
    if len(data) != prod(shape) * kind.itemsize:
        raise InvalidArgument(
            f"tensor '{spec.name}' has {len(data)} bytes; expected {prod(shape) * kind.itemsize} for"
            f" {spec.datatype} of shape {list(shape)}"
        )
    return np.frombuffer(data, dtype=kind)


def _texts(data: memoryview, spec: Spec, count: int) -> list[str]:
    texts, start = list[str](), 0
    try:
        while start < len(data) and len(texts) < count:
            end = start + LENGTH + int.from_bytes(data[start : start + LENGTH], "little")
            if start + LENGTH > len(data) or end > len(data):
                raise InvalidArgument(
                    f"tensor '{spec.name}': text {len(texts)} is cut short; expected 4 bytes of its length,"
                    " little-endian, and so many bytes"
                )
            texts.append(str(data[start + LENGTH : end], "utf-8"))
            start = end
    except UnicodeDecodeError:
        raise InvalidArgument(f"tensor '{spec.name}': text {len(texts)} is not UTF-8") from None
    if len(texts) != count or start != len(data):
        raise InvalidArgument(f"tensor '{spec.name}' holds other than the {count} texts that its shape says")
    return texts


def to_json(values: list[str] | NDArray[Any]) -> Any:
    """What orjson writes as the flat data of a tensor."""
    return values if isinstance(values, list) else np.ascontiguousarray(values).reshape(-1)


def to_bytes(values: list[str] | NDArray[Any], datatype: str) -> bytes:
    """The binary extension's bytes."""
    if isinstance(values, list):
        texts = [text.encode() for text in values]
        return b"".join(len(text).to_bytes(LENGTH, "little") + text for text in texts)
    return values.astype(TYPES[datatype]).tobytes()

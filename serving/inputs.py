"""The way from a request's JSON values to the network's input."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from bentoml.exceptions import InvalidArgument
from pydantic import Field, TypeAdapter, ValidationError

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.base.types import Floats
from redoubt.bundle.dates import as_asked
from redoubt.bundle.schema import Schema
from serving.schema import short

Pixel = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]


def reader(schema: Schema) -> Callable[[list[Any]], Floats]:
    """Make the function that turns a task's JSON inputs into network inputs.

    Returns:
        A function to float32 `(inputs, *schema.shape)`, raising InvalidArgument with the offending input's index.
    """
    return _image_reader(schema) if schema.kind == "image" else _record_reader(schema)


def _record_reader(schema: Schema) -> Callable[[list[Any]], Floats]:
    columns = ", ".join(as_asked((column.name for column in schema.columns), schema.dates))

    def read(inputs: list[Any]) -> Floats:
        for index, record in enumerate(inputs):
            if not isinstance(record, dict):
                raise InvalidArgument(f"input {index} is {short(record)}; expected an object with the keys {columns}")
        try:
            return schema.encode(inputs)
        except InputError as error:
            raise InvalidArgument(str(error)) from None

    return read


def _image_reader(schema: Schema) -> Callable[[list[Any]], Floats]:
    height, width, channels = schema.shape
    coloured = _nested(schema.shape)
    flat = _nested((height, width)) if channels == 1 else coloured
    colours = f" of {channels} channels" if channels > 1 else ""
    expected = f"{height} rows of {width} pixels{colours}, each a number in [0, 1]"

    def read(inputs: list[Any]) -> Floats:
        images = np.empty((len(inputs), *schema.shape), dtype=np.float32)
        for index, image in enumerate(inputs):
            try:
                pixels = (coloured if _depth(image) == 3 else flat).validate_python(image)
                images[index] = np.array(pixels, dtype=np.float32).reshape(schema.shape)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                place = "".join(f"[{step}]" for step in first["loc"])
                came = short(first["input"])
                raise InvalidArgument(f"input {index}{place} is {came}; expected {expected}") from None
        return images

    return read


def _nested(shape: tuple[int, ...]) -> TypeAdapter[Any]:
    kind: Any = Pixel
    for size in reversed(shape):
        kind = Annotated[list[kind], Field(strict=True, min_length=size, max_length=size, fail_fast=True)]
    return TypeAdapter(kind)


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) and value else 0

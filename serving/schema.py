"""The service's typed input and output, and the way from a JSON value to the network's input."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import numpy as np
from bentoml import IODescriptor
from bentoml.exceptions import InvalidArgument
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from redoubt.tasks import Floats, RecordError, Schema

MAX_INPUTS = 256
FIELDS = ["image", "task"]

Pixel = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]

INPUTS = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_INPUTS,
    "items": {
        "anyOf": [
            {"type": "object", "description": "A record: a finite number, or a category's name, per column."},
            {"type": "array", "description": "An image: rows of pixels in [0, 1], each a number or its channels."},
        ]
    },
}


class PredictRequest(BaseModel):
    """Inputs for one task: images as nested lists in [0, 1], or records in raw units."""

    model_config = ConfigDict(strict=True, extra="forbid")

    task: str
    inputs: Annotated[list[Any], Field(min_length=1, max_length=MAX_INPUTS), WithJsonSchema(INPUTS)]

    @classmethod
    def parse(cls, body: bytes) -> "PredictRequest":
        """Parse JSON.

        Raises:
            InvalidArgument: not a JSON object.
            ValidationError: an object of another form.
        """
        try:
            # Straight to Python's lists: pydantic's own tree takes several times their memory.
            value = from_json(body)
        except ValueError as error:
            raise InvalidArgument(f"the body is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise InvalidArgument(f"the body is {short(value)}; expected an object with the keys task and inputs")
        return cls.model_validate(value)


class PredictBody(IODescriptor):
    """A PredictRequest not yet parsed: that is left to the few worker threads, since a hostile one swells in memory."""

    body: bytes

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Show clients what the bytes must hold."""
        return PredictRequest.model_json_schema(*args, **kwargs)

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> "PredictBody":
        """Take the body as it is."""
        return cls(body=await request.body())


class UploadRequest(IODescriptor):
    """One image as a PNG or JPEG file, for one task."""

    media_type: ClassVar[str | None] = "multipart/form-data"

    image: Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]
    task: str

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> "UploadRequest":
        """Read the form.

        Done here because BentoML's own reader would fetch an `image` that is an address from the network.

        Raises:
            InvalidArgument: not a form of exactly one file `image` and one text `task`.
        """
        try:
            async with request.form(max_files=2, max_fields=8) as form:
                names = sorted(name for name, _ in form.multi_items())
                image, task = form.get("image"), form.get("task")
                if names != FIELDS or not isinstance(image, UploadFile) or not isinstance(task, str):
                    raise InvalidArgument(
                        f"the form holds {', '.join(names) or 'nothing'}; expected a file 'image' and a text 'task'"
                    )
                return cls(image=await image.read(), task=task)
        except HTTPException as error:
            raise InvalidArgument(f"the form cannot be read: {error.detail}") from None


class ClassPrediction(BaseModel):
    """What the guarded model says of one input of a classification task.

    Attributes:
        label: the most probable class.
        probabilities: mean over the guard's variants, per class.
        adversarial_score: how far squeezing the input moves the answer, >= 0.
        flagged: whether the score is above the calibrated threshold.
        variants: the label that each of the guard's variants chose.
    """

    label: str
    probabilities: dict[str, float]
    adversarial_score: float
    flagged: bool
    variants: dict[str, str]


class NumberPrediction(BaseModel):
    """What the guarded model says of one input of a regression task.

    Attributes:
        value: mean over the guard's variants, in the target's units.
        adversarial_score: how far squeezing the input moves the answer, >= 0.
        flagged: whether the score is above the calibrated threshold.
        variants: the value that each of the guard's variants gave.
    """

    value: float
    adversarial_score: float
    flagged: bool
    variants: dict[str, float]


class Answer(BaseModel):
    """One prediction per input, in order, and the digest of the model that made them."""

    task: str
    model_digest: str
    predictions: list[ClassPrediction] | list[NumberPrediction]


def reader(schema: Schema) -> Callable[[list[Any]], Floats]:
    """Make the function that turns a task's JSON inputs into network inputs.

    Returns:
        A function to float32 `(inputs, *schema.shape)`, raising InvalidArgument with the offending input's index.
    """
    return _image_reader(schema) if schema.kind == "image" else _record_reader(schema)


def _record_reader(schema: Schema) -> Callable[[list[Any]], Floats]:
    columns = ", ".join(column.name for column in schema.columns)

    def read(inputs: list[Any]) -> Floats:
        for index, record in enumerate(inputs):
            if not isinstance(record, dict):
                raise InvalidArgument(f"input {index} is {short(record)}; expected an object with the keys {columns}")
        try:
            return schema.encode(inputs)
        except RecordError as error:
            raise InvalidArgument(str(error)) from None

    return read


def _image_reader(schema: Schema) -> Callable[[list[Any]], Floats]:
    height, width, channels = schema.shape
    coloured = _nested(schema.shape)
    flat = _nested((height, width)) if channels == 1 else coloured
    colours = f" of {channels} channels" if channels > 1 else ""
    expected = f"{height} rows of {width} pixels{colours}, each a number in [0, 1]"

    def read(inputs: list[Any]) -> Floats:
        images = []
        for index, image in enumerate(inputs):
            try:
                images.append((coloured if _depth(image) == 3 else flat).validate_python(image))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                place = "".join(f"[{step}]" for step in first["loc"])
                came = short(first["input"])
                raise InvalidArgument(f"input {index}{place} is {came}; expected {expected}") from None
        return np.array(images, dtype=np.float32).reshape(len(images), *schema.shape)

    return read


def _nested(shape: tuple[int, ...]) -> TypeAdapter[Any]:
    kind: Any = Pixel
    for size in reversed(shape):
        kind = Annotated[list[kind], Field(strict=True, min_length=size, max_length=size, fail_fast=True)]
    return TypeAdapter(kind)


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) and value else 0


def short(value: Any) -> str:
    """A JSON value in a few words, for a message."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"

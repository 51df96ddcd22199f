"""The service's typed input and output."""

import json
import re
from codecs import BOM_UTF8
from contextlib import AsyncExitStack
from typing import Annotated, Any, ClassVar, Literal, get_args

from bentoml import IODescriptor
from bentoml.exceptions import InvalidArgument
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from serving.forms import FormParser

MAX_INPUTS = 256
# Which certificates the answers carry: none; at the eps of the model's card, by one pass of interval bounds; or the
# largest eps that can be proven, searched for, which takes several times as long.
Certify = Literal["none", "budget", "radius"]
CERTIFY: tuple[Certify, ...] = get_args(Certify)
# Further eps at which one request's answers are certified, and what each may be: below, float32 has no digits left
# beside an input's; above, nothing is proven.
MOST_SIZES, SMALLEST, LARGEST = 8, 1e-6, 1e6
Size = Annotated[float, Field(ge=SMALLEST, le=LARGEST, allow_inf_nan=False)]
Sizes = Annotated[list[Size], Field(min_length=1, max_length=MOST_SIZES)]
NO_SIZES = "eps: expected certify budget with it, which certifies in one pass at each eps"

# A number written in text; Python would take more for one.
NUMBER = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *")

INPUTS = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_INPUTS,
    "items": {
        "anyOf": [
            {
                "type": "object",
                "description": "A record: a finite number, or a category's name, per column; null, or nothing, where"
                " the task declares what an empty cell counts as.",
            },
            {"type": "array", "description": "An image: rows of pixels in [0, 1], each a number or its channels."},
        ]
    },
}


class Lenient(BaseModel):
    """A form whose optional keys may be null: generated clients send whatever they were not given."""

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, value: Any) -> Any:
        if type(value) is not dict or None not in value.values():
            return value
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: each for name, each in value.items() if each is not None or name not in optional}


class PredictRequest(Lenient):
    """Inputs for one task: images as nested lists in [0, 1], or records in raw units.

    Attributes:
        task: one that is served.
        inputs: of that task.
        certify: which certificates the answers carry: `none`; `budget`, at the eps of the model's card; or `radius`,
            the largest eps that can be proven, which takes several times as long.
        eps: with `budget`, further eps at which the answers are certified, in the same pass; in the model's units.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    task: str
    inputs: Annotated[list[Any], Field(min_length=1, max_length=MAX_INPUTS), WithJsonSchema(INPUTS)]
    certify: Certify = "budget"
    eps: Sizes = []

    @classmethod
    def parse(cls, body: bytes) -> "PredictRequest":
        """Parse JSON.

        Raises:
            InvalidArgument: not JSON, or of another form.
        """
        try:
            # Straight to Python's lists: pydantic's own tree takes several times their memory.
            value = from_json(body.removeprefix(BOM_UTF8))
        except ValueError as error:
            raise not_json(error) from None
        if not isinstance(value, dict):
            raise InvalidArgument(f"the body is {short(value)}; expected an object with the keys task and inputs")
        try:
            request = cls.model_validate(value)
            _refuse_repeated_keys(body, request)
            if request.eps and request.certify != "budget":
                raise InvalidArgument(NO_SIZES)
            return request
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidArgument(f"{first['loc'][0]}: {complaint(first)}") from None


def complaint(error: Any) -> str:
    """What pydantic says of a value; of a key, which it calls an input, in other words."""
    message: str = "unknown key" if error["type"] == "extra_forbidden" else error["msg"]
    message = re.sub(r"a valid dictionary or instance of \w+", "an object", message)
    return message[:1].lower() + message[1:]


def not_json(error: ValueError) -> InvalidArgument:
    """What is wrong with a body that pydantic cannot parse."""
    # Its word for what begins as null, true or false do, and does not end so: Python's nan and None, for example.
    said = re.sub("expected ident (.*)", r"an unknown word \1; the words of JSON are null, true and false", str(error))
    return InvalidArgument(f"the body is not JSON: {said}")


def _refuse_repeated_keys(body: bytes, request: PredictRequest) -> None:
    """Of a key that appears twice, readers take one value or the other.

    Raises:
        InvalidArgument: names it.
    """
    keys = len(request.model_fields_set) + sum(len(record) for record in request.inputs if isinstance(record, dict))
    # Every key has its colon: only where there are more, in a text perhaps, is the body read once again.
    if body.count(b":") > keys:
        json.loads(body.removeprefix(BOM_UTF8), object_pairs_hook=once)


def are_sizes(value: Any) -> bool:
    """Whether a JSON value is valid as `PredictRequest.eps`."""
    return (
        type(value) is list
        and 1 <= len(value) <= MOST_SIZES
        and all(type(each) in (int, float) and SMALLEST <= each <= LARGEST for each in value)
    )


def sizes_of(text: str, certify: Certify) -> tuple[float, ...]:
    """The further eps that a form names, with commas between them.

    Raises:
        InvalidArgument: they are none, or come with other certificates than those of the budget.
    """
    if not text:
        return ()
    parts = text.split(",")
    sizes = [float(each) for each in parts] if all(map(NUMBER.fullmatch, parts)) else []
    if not are_sizes(sizes):
        raise InvalidArgument(
            f"eps is {short(text)}; expected 1 to {MOST_SIZES} numbers from {SMALLEST:g} to {LARGEST:g}, with commas"
            " between them"
        )
    if certify != "budget":
        raise InvalidArgument(NO_SIZES)
    return tuple(sizes)


def once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse a key that stands twice in one object, as a hook of Python's JSON.

    Raises:
        InvalidArgument: names it.
    """
    names = set()
    for name, _ in pairs:
        if name in names:
            raise InvalidArgument(f"the key {short(name)} appears twice in one object; expected each key once")
        names.add(name)


class PredictBody(IODescriptor):
    """A PredictRequest not yet parsed."""

    body: bytes

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Show clients what the bytes must hold."""
        return PredictRequest.model_json_schema(*args, **kwargs)


class UploadRequest(IODescriptor):
    """One image as a PNG or JPEG file, for one task."""

    media_type: ClassVar[str | None] = "multipart/form-data"

    image: Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]
    task: str
    certify: Certify = "budget"
    eps: str = ""

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> "UploadRequest":
        """Read the form.

        Done here because BentoML's own reader would fetch an `image` that is an address from the network.

        Raises:
            InvalidArgument: not a form of exactly one file `image` and one text `task`.
        """
        try:
            parser = FormParser(request.headers, request.stream(), max_files=2, max_fields=8)
            async with AsyncExitStack() as stack:
                form = await parser.parse()
                stack.push_async_callback(form.close)
                names = sorted(name for name, _ in form.multi_items())
                image, task, certify = form.get("image"), form.get("task"), form.get("certify", "budget")
                eps = form.get("eps", "")
                expected = [name for name in ("certify", "eps") if name in form] + ["image", "task"]
                if names == expected and isinstance(image, str):
                    raise InvalidArgument(
                        "the part 'image' came as text, since its Content-Disposition names no file; send a file, as"
                        " `curl -F image=@digit.png` does"
                    )
                if names != expected or not isinstance(image, UploadFile) or not isinstance(task, str):
                    raise InvalidArgument(
                        f"the form holds {', '.join(names) or 'nothing'}; expected a file 'image' and a text 'task'"
                    )
                for name, text in (("certify", certify), ("eps", eps)):
                    if not isinstance(text, str):
                        raise InvalidArgument(f"the part '{name}' came as a file; send it as a text")
                if certify not in CERTIFY:
                    raise InvalidArgument(f"certify is {short(certify)}; expected one of {', '.join(CERTIFY)}")
                return cls(image=await image.read(), task=task, certify=certify, eps=eps)
        except MultiPartException as error:
            raise InvalidArgument(f"the form cannot be read: {error.message}") from None


class BallAt(BaseModel):
    """Whether the label is proven throughout a ball that was asked for.

    Attributes:
        eps: its size, as the request named it.
        holds: whether no input of the ball is given another label.
    """

    eps: float
    holds: bool


class IntervalAt(BaseModel):
    """Where the value stays for every input of a ball that was asked for.

    Attributes:
        eps: its size, as the request named it.
        low: lower end, in the target's units.
        high: upper end.
    """

    eps: float
    low: float
    high: float


class CertifiedBall(BaseModel):
    """A ball of inputs all of which are given the same label, certified by interval bounds for these draws.

    Attributes:
        norm: L-inf.
        eps: its size in the model's units: pixels in [0, 1], features in standard deviations of the training set. Of
            `budget` the eps of the model's card, of `radius` the largest multiple of a 64th of the search's range that
            was proven; 0 where nothing is proven, and for an input outside the training range.
        at: of each further eps that was asked for; left out where none was.
    """

    norm: str = "linf"
    eps: float
    at: list[BallAt] = []


class CertifiedInterval(BaseModel):
    """Where the value stays for every input of a ball, certified by interval bounds for these draws.

    Attributes:
        norm: L-inf.
        eps: size of the ball: the threat of the model's card, in standard deviations of each feature.
        low: lower end, in the target's units.
        high: upper end.
        at: of each further eps that was asked for; left out where none was.
    """

    norm: str = "linf"
    eps: float
    low: float
    high: float
    at: list[IntervalAt] = []


class ClassPrediction(BaseModel):
    """What the guarded model says of one input of a classification task.

    Attributes:
        label: the most probable class.
        probabilities: per class: the mean over the guard's variants, or of the one that answers alone: `squeezed` if
            the guard squeezes, `plain`, the network's own, if it only detects.
        adversarial_score: how far squeezing the input moves the prediction, >= 0.
        flagged: whether the score is above the calibrated threshold, or a number lies outside its training range by
            more than that range's own width.
        outside: the columns whose number lies outside their training range: the declared limits, else what the
            training examples span. Neither accuracy nor robustness was measured there; empty for images.
        certified: how large a perturbation cannot change the label; null if `certify` was none.
        variants: the label that each of the guard's variants chose.
    """

    label: str
    probabilities: dict[str, float]
    adversarial_score: float
    flagged: bool
    outside: list[str]
    certified: CertifiedBall | None
    variants: dict[str, str]


class NumberPrediction(BaseModel):
    """What the guarded model says of one input of a regression task.

    Attributes:
        value: the mean over the guard's variants, or of the one that answers alone: `squeezed` if the guard squeezes,
            `plain`, the network's own, if it only detects; in the target's units.
        adversarial_score: how far squeezing the input moves the prediction, >= 0.
        flagged: whether the score is above the calibrated threshold, or a number lies outside its training range by
            more than that range's own width.
        outside: the columns whose number lies outside their training range: the declared limits, else what the
            training examples span. Neither accuracy nor robustness was measured there.
        certified: where the value stays under the threat of the model's card; null for a network without bounds, for
            an input outside the training range, and if `certify` was none.
        variants: the value that each of the guard's variants gave.
    """

    value: float
    adversarial_score: float
    flagged: bool
    outside: list[str]
    certified: CertifiedInterval | None
    variants: dict[str, float]


class Served(BaseModel):
    """What is served now, and why anything else is not.

    Attributes:
        ready: whether there is something to serve and nothing had to be refused.
        tasks: the digest of each task's model.
        not_served: a sentence per task whose bundle, or newer bundle, is not served.
    """

    ready: bool
    tasks: dict[str, str]
    not_served: dict[str, str]


class PredictResponse(BaseModel):
    """One prediction per input, in order, the digest of the model that made them, and which certificates they carry."""

    task: str
    model_digest: str
    certify: Certify
    predictions: list[ClassPrediction] | list[NumberPrediction]


def short(value: Any) -> str:
    """A JSON value in a few words, for a message."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"

"""What an inference request of the Open Inference Protocol holds, apart from its tensors' values."""

import json
from codecs import BOM_UTF8
from typing import Annotated, Any, Literal, Self

import orjson
import pydantic_core
from bentoml.exceptions import InvalidArgument
from pydantic import ConfigDict, Field, ValidationError

from serving.schema import Certify, Lenient, complaint, not_json, once, short

# More columns than this no table has, and no more axes or outputs any tensor or model.
MOST = 2**16
Side = Annotated[int, Field(ge=0, le=2**31 - 1)]
# MLServer's clients say by it how they would like values to be decoded; there is one way here.
Hint = Literal["np", "pd", "str"]


class Strict(Lenient):
    """Known keys alone, and no value made of another; null stands for what is left out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class InputParameters(Strict):
    """Of one input tensor.

    Attributes:
        binary_data_size: bytes that it takes after the JSON, instead of `data`.
        content_type: taken, and of no effect.
    """

    binary_data_size: Annotated[int, Field(ge=0)] | None = None
    content_type: Hint | None = None


class InputTensor(Strict):
    """One input tensor.

    Attributes:
        name: as the model's metadata have it.
        datatype: likewise.
        shape: likewise, with the number of inputs in the place of -1.
        parameters: of the tensor.
        data: its values row by row, flat or nested as the shape is.
    """

    name: str
    datatype: str
    shape: Annotated[list[Side], Field(min_length=1, max_length=8)]
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = None


class OutputParameters(Strict):
    """Of one requested output.

    Attributes:
        binary_data: whether it is sent as bytes after the JSON.
        content_type: taken, and of no effect.
    """

    binary_data: bool | None = None
    content_type: Hint | None = None


class OutputRequest(Strict):
    """One output that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferParameters(Strict):
    """Of the whole request.

    Attributes:
        certify: which certificates the answers carry, as in /predict.
        binary_data_output: whether outputs are sent as bytes unless they say otherwise.
        content_type: taken, and of no effect.
    """

    certify: Certify = "budget"
    binary_data_output: bool = False
    content_type: Hint | None = None


class InferRequest(Strict):
    """Inputs for one model as tensors; its metadata name them.

    Attributes:
        id: sent back.
        parameters: of the request.
        inputs: every input tensor of the model.
        outputs: those that are asked for; without it, all.
    """

    id: str | None = None
    parameters: InferParameters = InferParameters()
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=MOST)]
    outputs: Annotated[list[OutputRequest], Field(min_length=1, max_length=MOST)] | None = None

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Parse JSON.

        Raises:
            InvalidArgument: not JSON, or of another form.
        """
        try:
            return cls.model_validate(load(text, "the key inputs"))
        except ValidationError as error:
            raise InvalidArgument(sentence(error)) from None


def load(text: bytes, expected: str) -> dict[str, Any]:
    """A JSON object, of whose keys none stands there twice.

    Args:
        text: UTF-8.
        expected: what it must have, for the message.

    Raises:
        InvalidArgument: it is none.
    """
    text = text.removeprefix(BOM_UTF8)
    try:
        # The quick parser knows no NaN, and has other words for what is wrong.
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            said = pydantic_core.from_json(text)
        except ValueError as error:
            raise not_json(error) from None
    if not isinstance(said, dict):
        raise InvalidArgument(f"the body is {short(said)}; expected an object with {expected}")
    # Every key has its colon: only where there are more, in a text perhaps, is it read once again.
    if text.count(b":") > _keys(said):
        try:
            json.loads(text, object_pairs_hook=once)
        except RecursionError:
            raise InvalidArgument("the body is nested too deeply") from None
    return said


def _keys(value: Any, deep: int = 4) -> int:
    """The keys of all objects, but for those that lie deeper than any that is expected."""
    if not deep or not isinstance(value, (dict, list)):
        return 0
    if isinstance(value, dict):
        return len(value) + sum(_keys(each, deep - 1) for each in value.values())
    return sum(_keys(each, deep - 1) for each in value if type(each) is dict)


def sentence(error: ValidationError) -> str:
    """What is wrong, and where."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {complaint(first)}"

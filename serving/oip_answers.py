"""What the Open Inference Protocol's answers hold, for the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel

from serving.schema import Certify


class ProtocolErrorBody(BaseModel):
    """The body of every answer below /v2 with a status of 400 or above.

    Attributes:
        error: one sentence for people.
    """

    error: str


class Live(BaseModel):
    """The process is alive."""

    live: bool


class Ready(BaseModel):
    """The service answers for every task that has a bundle."""

    ready: bool


class ModelReady(BaseModel):
    """One model answers."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """What the service says of itself."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """What a model says of one of its tensors; -1 stands for the number of inputs.

    Attributes:
        parameters: what its values stand for: categories, limits, labels, columns or variants.
    """

    name: str
    datatype: Literal["BOOL", "BYTES", "FP32", "FP64", "INT64"]
    shape: list[int]
    parameters: dict[str, Any] = {}


class ModelMetadata(BaseModel):
    """What the service says of one model; its digest is its one version."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(TensorMetadata):
    """One output tensor.

    Attributes:
        data: its values row by row, flat; left out where they follow the JSON as bytes.
    """

    data: list[Any] = []


class AnswerParameters(BaseModel):
    """Which certificates the answers carry."""

    certify: Certify


class InferResponse(BaseModel):
    """The answers as tensors."""

    model_name: str
    model_version: str
    id: str = ""
    parameters: AnswerParameters
    outputs: list[OutputTensor]


class InvocationResponse(BaseModel):
    """One prediction per input, in order, as in /predict.

    Attributes:
        predictions: for every input what the guarded model says of it.
    """

    predictions: list[Any]

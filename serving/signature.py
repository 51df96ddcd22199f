"""The tensors that a champion takes and gives by the Open Inference Protocol."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bentoml.exceptions import InvalidArgument
from numpy.typing import NDArray

from redoubt.bundle.base.types import Floats
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from serving.answers import Champion
from serving.openapi_tasks import DATATYPES, IMAGE
from serving.schema import MAX_INPUTS
from serving.tensors import Spec

Values = list[Any] | NDArray[Any]


def inputs(schema: Schema) -> list[Spec]:
    """Images are one tensor, `input`; a table is one tensor per column, so that categories can be texts."""
    if schema.kind == "image":
        return [Spec(IMAGE, "FP32", (-1, *schema.shape))]
    return [
        Spec(column.name, DATATYPES[column.kind], (-1, 1), _told(column), column.fills) for column in schema.columns
    ]


def _told(column: Column) -> dict[str, Any]:
    if column.kind == "category":
        return {"categories": list(column.categories)}
    return {"limits": list(column.limits)} if column.limits else {}


def outputs(champion: Champion) -> list[Spec]:
    """What can be asked for, in the order in which all of it is sent."""
    schema, variants = champion.schema, list(champion.model.variants)
    score, flagged = Spec("adversarial_score", "FP32", (-1,)), Spec("flagged", "BOOL", (-1,))
    if schema.is_classification:
        labels = list(schema.labels)
        said = [Spec("label", "BYTES", (-1,)), Spec("probabilities", "FP32", (-1, len(labels)), {"labels": labels})]
        certified, chosen = ["certified_eps"], "BYTES"
    else:
        said, certified, chosen = (
            [Spec("value", "FP32", (-1,))],
            ["certified_eps", "certified_low", "certified_high"],
            "FP32",
        )
    tensors = [*said, score, flagged, *(Spec(name, "FP32", (-1,)) for name in certified)]
    tensors.append(Spec("variants", chosen, (-1, len(variants)), {"variants": variants}))
    if schema.kind != "image":
        names = schema.input_names
        tensors.append(Spec("outside", "BOOL", (-1, len(names)), {"columns": names}))
    return tensors


def of_shape(spec: Spec, shape: Sequence[int]) -> int:
    """How many inputs a tensor of this shape holds.

    An axis of length 1 at the end may be left out: one number per pixel, or per row of a table.

    Raises:
        InvalidArgument: the shape is another one, or of no or too many inputs.
    """
    fixed = spec.shape[1:]
    flat = fixed[:-1] if fixed[-1] == 1 else fixed
    if not shape or tuple(shape[1:]) not in (fixed, flat):
        raise InvalidArgument(f"tensor '{spec.name}' has the shape {list(shape)}; expected {list(spec.shape)}")
    if not 1 <= shape[0] <= MAX_INPUTS:
        raise InvalidArgument(f"tensor '{spec.name}' holds {shape[0]} inputs; expected 1 to {MAX_INPUTS}")
    return shape[0]


def encode(champion: Champion, came: Mapping[str, Values], rows: int) -> Floats:
    """The network's inputs.

    Args:
        champion: that answers.
        came: the values of each tensor, row by row.
        rows: how many inputs they are.

    Returns:
        Float32 `(rows, *schema.shape)`, as `Champion.read` gives them.

    Raises:
        InvalidArgument: a value that does not fit, in the words that /predict has for it.
    """
    schema = champion.schema
    if schema.kind == "image":
        return pixels(champion, came[IMAGE], rows)
    # A number that may be missing is NaN where it is; where a column is missing in all rows its tensor is left out.
    filled = {column.name for column in schema.columns if column.fills and column.kind != "category"}
    columns = [values.tolist() if isinstance(values, np.ndarray) else values for values in came.values()]
    columns = [
        [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in values]
        if name in filled
        else values
        for name, values in zip(came, columns, strict=True)
    ]
    return champion.read([dict(zip(came, cells, strict=True)) for cells in zip(*columns, strict=True)])


def pixels(champion: Champion, values: Values, rows: int) -> Floats:
    """Images whose values are numbers, pixel by pixel, as the network's inputs; raises as `encode` does."""
    shape = (rows, *champion.schema.shape)
    try:
        images = np.array(values, dtype=np.float64).reshape(shape)
    except OverflowError:
        return champion.read(np.array(values, dtype=object).reshape(shape).tolist())
    # NaN compares as false.
    if images.min() >= 0.0 and images.max() <= 1.0:
        return images.astype(np.float32)
    return champion.read(images.tolist())


def columns(champion: Champion, rows: Sequence[Mapping[str, Any]], certified: bool) -> dict[str, Values]:
    """The answers of `Ask.answer` as the values of each output; without certificates where none were asked for."""
    schema = champion.schema
    make = _of_classes if schema.is_classification else _of_numbers
    said = make(rows) | {
        "adversarial_score": np.array([row["adversarial_score"] for row in rows], dtype=np.float32),
        "flagged": np.array([row["flagged"] for row in rows], dtype=np.bool_),
    }
    if certified:
        said |= _certificates(rows, schema.is_classification)
    if schema.kind != "image":
        names = schema.input_names
        said["outside"] = np.array([[name in row["outside"] for name in names] for row in rows], dtype=np.bool_)
    return said


def _of_classes(rows: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
    return {
        "label": [row["label"] for row in rows],
        "probabilities": np.array([list(row["probabilities"].values()) for row in rows], dtype=np.float32),
        "variants": [label for row in rows for label in row["variants"].values()],
    }


def _of_numbers(rows: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
    return {
        "value": np.array([row["value"] for row in rows], dtype=np.float32),
        "variants": np.array([list(row["variants"].values()) for row in rows], dtype=np.float32),
    }


def _certificates(rows: Sequence[Mapping[str, Any]], classes: bool) -> dict[str, Values]:
    """Where nothing is proven the ball is the input itself: eps 0, and both ends of a number are the answer."""
    proven = [row["certified"] or {} for row in rows]
    made = {"certified_eps": [each.get("eps", 0.0) for each in proven]}
    if not classes:
        for name, end in (("certified_low", "low"), ("certified_high", "high")):
            made[name] = [each.get(end, row["value"]) for row, each in zip(rows, proven, strict=True)]
    return {name: np.array(values, dtype=np.float32) for name, values in made.items()}

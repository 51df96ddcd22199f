"""The schemas of each task's inputs, for the OpenAPI document: what one task takes, another need not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from serving.schema import CERTIFY, MAX_INPUTS, MOST_SIZES, SMALLEST
from serving.schema import LARGEST as LARGEST_SIZE

if TYPE_CHECKING:
    from redoubt.bundle.column import Column
    from redoubt.bundle.dates import Dated
    from redoubt.bundle.schema import Schema

# The tensor of images, and the types of a table's columns.
IMAGE = "input"
DATATYPES = {"number": "FP64", "integer": "INT64", "category": "BYTES"}
PREFIX = "#/components/schemas/"
LARGEST = 3.4028234663852886e38
CERTIFY_SCHEMA = {
    "type": "string",
    "enum": list(CERTIFY),
    "default": "budget",
    "description": "Which certificates the answers carry: none; at the eps of the model's card; or the largest that can"
    " be proven, which takes several times as long.",
}

EPS_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "maxItems": MOST_SIZES,
    "items": {"type": "number", "minimum": SMALLEST, "maximum": LARGEST_SIZE},
    "description": "With certify budget, further eps at which the answers are certified, in the same pass; in the"
    " model's units: pixels in [0, 1], features in standard deviations of the training set.",
}


def ref(name: str) -> dict[str, str]:
    """A reference to a component."""
    return {"$ref": PREFIX + name}


def an_object(title: str, properties: Mapping[str, Any], required: list[str], description: str) -> dict[str, Any]:
    """The schema of an object that holds nothing else."""
    return {
        "type": "object",
        "title": title,
        "description": description,
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


def components(schemas: "Mapping[str, Schema]") -> dict[str, Any]:
    """Per task the schema of an input and of a request, and the request that is one of these."""
    if not schemas:
        return {}
    made: dict[str, Any] = {"Task": {"type": "string", "enum": list(schemas), "description": "A task that is served."}}
    for task, schema in schemas.items():
        made[f"{task}_input"] = _image(schema) if schema.kind == "image" else _record(task, schema)
        made[f"{task}_request"] = an_object(
            f"{task}_request",
            {
                "task": {"type": "string", "enum": [task]},
                "inputs": {"type": "array", "minItems": 1, "maxItems": MAX_INPUTS, "items": ref(f"{task}_input")},
                "certify": CERTIFY_SCHEMA,
                "eps": EPS_SCHEMA,
            },
            ["task", "inputs"],
            f"Inputs for the task {task}.",
        )
    requests = {task: ref(f"{task}_request") for task in schemas}
    made["PredictRequest"] = {
        "oneOf": list(requests.values()),
        "discriminator": {
            "propertyName": "task",
            "mapping": {task: each["$ref"] for task, each in requests.items()},
        },
        "description": "Inputs for one task: images as nested lists in [0, 1], or records in raw units.",
    }
    return made


def upload(schemas: "Mapping[str, Schema]") -> dict[str, Any]:
    """The form of an image for one of the tasks that take any."""
    tasks = [task for task, schema in schemas.items() if schema.kind == "image"]
    properties = {
        "image": {"type": "string", "format": "binary", "description": "A PNG or JPEG file."},
        "task": {"type": "string", **({"enum": tasks} if tasks else {})},
        "certify": CERTIFY_SCHEMA,
        "eps": {"type": "string", "description": "As of /predict, with commas between them, such as 0.1,0.3."},
    }
    return an_object("UploadRequest", properties, ["image", "task"], "One image as a PNG or JPEG file, for one task.")


def tensors(schema: "Schema", value: Any) -> dict[str, Any]:
    """An inference request of the Open Inference Protocol for one input."""
    if schema.kind == "image":
        deep = isinstance(value[0][0], list)
        shape = [1, *(schema.shape if deep else schema.shape[:2])]
        return {"inputs": [{"name": IMAGE, "datatype": "FP32", "shape": shape, "data": [value]}]}
    value = schema.with_parts(value)
    return {
        "inputs": [
            {"name": each.name, "datatype": DATATYPES[each.kind], "shape": [1, 1], "data": [value[each.name]]}
            for each in schema.columns
        ]
    }


def _image(schema: "Schema") -> dict[str, Any]:
    height, width, channels = schema.shape
    pixel = {"type": "number", "minimum": 0, "maximum": 1}
    deep = _array(height, _array(width, _array(channels, pixel)))
    said = f"{height} rows of {width} pixels"
    if channels > 1:
        return {**deep, "description": f"{said} of {channels} channels, each in [0, 1]."}
    return {
        "anyOf": [_array(height, _array(width, pixel)), deep],
        "description": f"{said}, each a number in [0, 1] or a list of it alone.",
    }


def _array(size: int, items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": size, "maxItems": size, "items": items}


def _record(task: str, schema: "Schema") -> dict[str, Any]:
    columns = {column.name: _cell(column) for column in schema.columns}
    dates = {dated.name: _date(dated) for dated in schema.dates}
    parts = [name for dated in schema.dates for name in dated.columns]
    required = [column.name for column in schema.columns if not column.fills and column.name not in parts]
    columns |= dates
    return an_object(f"{task}_input", columns, required, "A record in raw units.")


def _date(dated: "Dated") -> dict[str, Any]:
    """A date in place of its parts."""
    shown = f"A date or time by ISO 8601, in place of {', '.join(dated.columns)}."
    return {"type": ["string", "null"], "description": shown}


def _cell(column: "Column") -> dict[str, Any]:
    """What a column takes; null, which may as well be left out, where its task declares what that counts as."""
    low, high = column.limits or (-LARGEST, LARGEST)
    found: dict[str, Any] = {"type": column.kind, "minimum": low, "maximum": high}
    if column.kind == "category":
        found = {"type": "string", "enum": list(column.categories)}
    if column.other is not None:
        found = {
            "type": "string",
            "description": f"{', '.join(column.categories)}; any other counts as {column.other}.",
        }
    if not column.fills:
        return found
    counts = column.missing.value if column.missing else None
    return {"anyOf": [found, {"type": "null", "description": f"Counts as {counts}."}]}

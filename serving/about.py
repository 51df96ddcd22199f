"""What the page at `/` is told of the champions that are served: their inputs, ranges, labels, guard and threat."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redoubt.bundle.model.guarded_model import GuardedModel
    from redoubt.bundle.schema import Schema
    from serving.answers import Champion


def about(champions: "Mapping[str, Champion]") -> list[dict[str, Any]]:
    """One JSON object per task, in the order of the tasks."""
    return [
        {
            **of_model(task, champion.model),
            "eps": champion.eps,
            "threat": champion.threat,
            "levels": champion.levels,
            "example": champion.example,
        }
        for task, champion in champions.items()
    ]


def of_model(name: str, model: "GuardedModel") -> dict[str, Any]:
    """What is known of a guarded model without its card.

    Args:
        name: that it is asked by.
        model: whose inputs, answers and guard are told.
    """
    schema, guard = model.schema, model.guard
    return {
        "task": name,
        "kind": schema.kind,
        "target": schema.target,
        "shape": list(schema.shape),
        "labels": list(schema.labels),
        "columns": _columns(model),
        "digest": model.digest,
        "variants": list(model.variants),
        "vote": guard.vote,
        "threshold": guard.threshold,
        "false_positives": guard.false_positives,
        "proves": model.proves,
    }


def _columns(model: "GuardedModel") -> list[dict[str, Any]]:
    """Of a table: each column's kind and categories; of a number also its range and standard deviation in training."""
    guard, places = model.guard, _places(model.schema)
    told: list[dict[str, Any]] = []
    for column in model.schema.columns:
        said: dict[str, Any] = {"name": column.name, "kind": column.kind, "optional": column.fills}
        if column.kind == "category":
            said["categories"] = list(column.categories)
        else:
            place = places[column.name]
            said |= {"low": guard.lower[place], "high": guard.upper[place], "scale": guard.scale[place]}
        told.append(said)
    return told


def _places(schema: "Schema") -> dict[str, int]:
    return {name: place for place, name in enumerate(schema.input_names)}

"""Adversarial examples for the page: label, prediction and confidence of both, and what was changed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from redoubt.bundle.model.guarded_model import softmax
from redoubt.bundle.schema import Schema
from redoubt.core.png import png_uri
from redoubt.core.types import Floats

# Largest total of a page's pictures, in bytes before their encoding: fewer examples are shown of large pictures.
BUDGET = 400_000
SHOWN, CHANGES, DECIMALS = 8, 6, 4
# The ends of the perturbation's scale, as RGB: less than before, unchanged, more.
LESS, SAME, MORE = (29, 78, 216), (255, 255, 255), (185, 28, 28)


class Attacked(NamedTuple):
    """One model on some examples: its outputs on them, their adversarial examples, and its outputs on those."""

    clean: Floats
    x_adv: Floats
    outputs: Floats


class Answer(NamedTuple):
    """A prediction in words, its probability in percent where there is one, and whether it is the label."""

    says: str
    confidence: str
    right: bool


def images(x: Floats, truth: Sequence[int], models: Mapping[str, Attacked], schema: Schema) -> dict[str, Any]:
    """Pictures, perturbations and adversarial pictures as data URIs, with what is said of each.

    Args:
        x: `(examples, height, width, channels)`, values 0 to 1.
        truth: class of each.
        models: by name.
        schema: of the task.

    Returns:
        `span`, the largest change of a pixel on the page, at which its scale ends; `models`, a list per name.
    """
    count = max(1, min(SHOWN, len(x), int(BUDGET / (x[0].size * (1 + 4 * len(models))))))
    span = max(float(np.abs(each.x_adv[:count] - x[:count]).max()) for each in models.values())
    originals = [png_uri(_bytes(picture)) for picture in x[:count]]
    rows = {
        name: [
            {
                "label": schema.labels[truth[index]],
                "original": originals[index],
                "change": png_uri(_diverging(each.x_adv[index] - x[index], span)),
                "adversarial": png_uri(_bytes(each.x_adv[index])),
                "before": _answer(each.clean[index], truth[index], schema),
                "after": _answer(each.outputs[index], truth[index], schema),
            }
            for index in range(count)
        ]
        for name, each in models.items()
    }
    return {"span": f"{span:.3g}", "models": rows}


def records(
    x: Floats, truth: Sequence[float], models: Mapping[str, Attacked], schema: Schema, tolerance: float | None
) -> list[dict[str, Any]]:
    """Rows of a table: the label, the prediction on both, and the features that were changed, the first examples alone.

    Args:
        x: `(examples, features)`, in raw units.
        truth: class or value of each.
        models: by name.
        schema: of the task.
        tolerance: largest error that counts as right; None for classes.
    """
    rows = []
    for index in range(min(3, len(x))):
        label = schema.labels[int(truth[index])] if schema.is_classification else f"{truth[index]:.0f}"
        for name, each in models.items():
            rows.append(
                {
                    "example": index + 1,
                    "label": label,
                    "model": name,
                    "before": _answer(each.clean[index], truth[index], schema, tolerance),
                    "after": _answer(each.outputs[index], truth[index], schema, tolerance),
                    "changes": _changes(x[index], each.x_adv[index], schema.input_names),
                }
            )
    return rows


def _answer(outputs: Floats, truth: float, schema: Schema, tolerance: float | None = None) -> Answer:
    if not schema.is_classification:
        value = float(outputs[0])
        return Answer(f"{value:.0f}", "", tolerance is None or abs(value - float(truth)) <= tolerance)
    place = int(outputs.argmax())
    # Below what a machine's rounding may change, so that a page is the same file everywhere.
    share = round(float(softmax(outputs.astype(np.float64))[place]), DECIMALS)
    return Answer(schema.labels[place], f"{100 * share:.0f} %", place == int(truth))


def _changes(x: Floats, x_adv: Floats, names: Sequence[str]) -> list[str]:
    """What was changed, by how much of its own size, the largest first."""
    size = np.abs(x_adv - x) / np.maximum(np.abs(x), 1e-12)
    places = [int(place) for place in np.argsort(-size, kind="stable") if x_adv[place] != x[place]]
    told = [f"{names[place]} {x[place]:.4g} \N{RIGHTWARDS ARROW} {x_adv[place]:.4g}" for place in places[:CHANGES]]
    return [*told, f"and {len(places) - CHANGES} more"] if len(places) > CHANGES else told


def _bytes(picture: Floats) -> Any:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _diverging(change: Floats, span: float) -> Any:
    """A change as a colour: blue where a pixel fell, white where it stayed, red where it rose.

    Args:
        change: `(height, width, channels)`; of colours, their mean.
        span: at which the scale ends.
    """
    share = np.clip(change.mean(axis=-1, keepdims=True) / (span or 1.0), -1, 1)
    ends = np.where(share < 0, np.array(LESS), np.array(MORE))
    return np.rint(np.array(SAME) + np.abs(share) * (ends - np.array(SAME))).astype(np.uint8)

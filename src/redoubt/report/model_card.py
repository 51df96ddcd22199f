"""A bundle's card.json as MODEL_CARD.md: use, data, threat model, numbers and limits, with Hugging Face's metadata."""

from collections.abc import Mapping
from typing import Any

import yaml

from redoubt.bundle.schema import Schema

PIPELINES = {
    "image": "image-classification",
    "classification": "tabular-classification",
    "regression": "tabular-regression",
}
TRAINING = {
    "natural": "trained on clean examples",
    "adversarial": "adversarially trained (PGD, arXiv 1706.06083)",
    "certified": "trained on interval bounds (arXiv 1810.12715)",
    "smoothed": "trained under Gaussian noise (arXiv 1902.02918)",
}


def model_card(name: str, card: Mapping[str, Any], schema: Schema) -> str:
    """The card in Markdown.

    Args:
        name: of the bundle.
        card: its card.json.
        schema: its schema.json.

    Returns:
        A YAML header as the Hugging Face Hub reads it, and the text; the same for the same card.
    """
    eps, numbers = card["eps"], card["numbers"]
    cells = {(each["norm"], each["eps"]): each for each in numbers["cells"]}
    cell = cells.get(("linf", eps), {})
    measured = {
        "clean accuracy": numbers["clean_guarded"],
        f"robust accuracy, L-inf {eps:g}": cell.get("adaptive"),
        f"certified accuracy of the network, L-inf {eps:g}": cell.get("certified"),
        f"certified accuracy behind the guard, L-inf {eps:g}": cell.get("certified_guarded"),
    }
    found = {what: rate for what, rate in measured.items() if rate is not None}
    header = yaml.safe_dump(_metadata(name, card, schema, found), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n\n" + "\n".join(_text(name, card, schema, found)) + "\n"


def _metadata(name: str, card: Mapping[str, Any], schema: Schema, found: Mapping[str, Any]) -> dict[str, Any]:
    kind = PIPELINES[schema.kind]
    metrics = [{"type": "accuracy", "name": what, "value": rate["share"]} for what, rate in found.items()]
    result = {"task": {"type": kind}, "dataset": {"name": card["task"], "type": card["task"]}, "metrics": metrics}
    return {
        "license": "mit",
        "library_name": "keras",
        "pipeline_tag": kind,
        "tags": ["adversarial-robustness", "certified-robustness", "onnx"],
        "metrics": ["accuracy"],
        "model-index": [{"name": name, "results": [result]}],
    }


def _text(name: str, card: Mapping[str, Any], schema: Schema, found: Mapping[str, Any]) -> list[str]:
    size = " x ".join(map(str, schema.shape))
    answers = f"one of {len(schema.labels)} classes" if schema.is_classification else f"a number, {schema.target}"
    lines = [
        f"# {name}",
        "",
        f"A network for the task `{card['task']}`, {TRAINING.get(card['model'], card['model'])}, behind a guard that"
        " squeezes and randomizes its input, lets the variants vote and flags what squeezing moves.",
        "",
        "## Use",
        "",
        f"Inputs of shape {size} in raw units; it answers {answers}. Research and teaching on adversarial robustness;"
        " no decision about people should rest on it alone.",
        "",
        "## Data",
        "",
        f"Task `{card['task']}`" + (f", content SHA-256 `{card['dataset']}`." if "dataset" in card else "."),
        "",
        "## Threat model",
        "",
        f"Any change within {card['threat']['says']}, by an attacker who knows the weights and the guard.",
        "",
        "## Numbers",
        "",
        "| measured on test examples | share | 95 % Wilson interval | examples |",
        "|---|---|---|---|",
        *(_row(what, rate) for what, rate in found.items()),
        "",
        "Robust accuracy is an upper bound: no attack that was tried finds more. Certified accuracy is a lower bound.",
        "",
        "## Limits",
        "",
        "- Nothing is claimed beyond the threat model: other norms, larger eps, rotations, patches.",
        "- A certificate behind the guard holds for the random draws of one answer.",
        *(
            f"- Failed check, {check['name']}: {check['found']}."
            for check in card["numbers"]["checks"].get("linf", ())
            if not check["passed"]
        ),
        "",
        f"Digest `{card['digest']}`.",
    ]
    return [*lines, f"Checked by `{card['command']}`."] if "command" in card else lines


def _row(what: str, rate: Mapping[str, Any]) -> str:
    share, low, high = (_percent(rate[key]) for key in ("share", "low", "high"))
    return f"| {what} | {share} | {low} to {high} | {rate['n']} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

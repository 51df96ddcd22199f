"""A bundle's card.json as MODEL_CARD.md: use, data, threat model, numbers and limits, with Hugging Face's metadata."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markupsafe import Markup

from redoubt.bundle.schema import Schema

MODEL_CARD = "MODEL_CARD.md"
PIPELINES = {
    "image": "image-classification",
    "classification": "tabular-classification",
    "regression": "tabular-regression",
}
# Of a number, as `clean_figures` measures them.
ERRORS = ("mae", "r2", "rmse")
TRAINING = {
    "natural": "trained on clean examples",
    "adversarial": "adversarially trained (PGD, arXiv 1706.06083)",
    "certified": "trained on interval bounds (arXiv 1810.12715)",
    "smoothed": "trained under Gaussian noise (arXiv 1902.02918)",
}


GUARDS = {
    "all": "squeezes and randomizes its input, lets the variants vote and flags what squeezing moves",
    "squeezed": "answers on its input rounded to fewer levels and flags inputs whose answer squeezing changes",
    "plain": "leaves its answer as it is and flags inputs whose answer squeezing changes",
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
    found = _found(card, schema)
    header = yaml.safe_dump(_metadata(name, card, schema, found), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n\n" + "\n".join(_text(name, card, schema, found)) + "\n"


def card_html(text: str) -> Markup:
    """A model card as part of a page: its text without the header, headings below those of the page.

    Args:
        text: in Markdown; what looks like HTML in it is shown as it is.
    """
    body = text.split("---\n", 2)[2] if text.startswith("---\n") else text
    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(body)
    lowered = re.sub(r"<(/?)h([1-3])>", lambda found: f"<{found[1]}h{int(found[2]) + 3}>", page)
    return Markup(lowered)  # noqa: S704 - MarkdownIt escapes all that is no Markdown


def _found(card: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """The shares of the card at its eps, by what the field calls them; of a number, what is within the tolerance."""
    eps, numbers = card["eps"], card["numbers"]
    cells = {(each["norm"], each["eps"]): each for each in numbers["cells"]}
    cell = cells.get(("linf", eps), {})
    what, robust, certified = "clean accuracy", "robust accuracy", "certified accuracy"
    if not schema.is_classification:
        within = f"within {card['tolerance']:g}" if card.get("tolerance") is not None else "within the tolerance"
        what, robust, certified = f"clean, {within}", f"robust, {within}", f"certified, {within},"
    measured = {
        what: numbers["clean_guarded"],
        f"{robust}, L-inf {eps:g}": cell.get("adaptive"),
        f"{certified} of the network, L-inf {eps:g}": cell.get("certified"),
        f"{certified} behind the guard, L-inf {eps:g}": cell.get("certified_guarded"),
    }
    return {what: rate for what, rate in measured.items() if rate is not None}


def _metadata(name: str, card: Mapping[str, Any], schema: Schema, found: Mapping[str, Any]) -> dict[str, Any]:
    kind = PIPELINES[schema.kind]
    # Of a number, accuracy is a word without meaning: errors of the whole test split, then shares within the tolerance.
    share = "accuracy" if schema.is_classification else "within_tolerance"
    metrics = [{"type": share, "name": what, "value": rate["share"]} for what, rate in found.items()]
    if not schema.is_classification:
        errors = card["clean"]["guarded"]
        metrics = [{"type": key, "name": f"clean {key}", "value": errors[key]} for key in ERRORS] + metrics
    result = {"task": {"type": kind}, "dataset": {"name": card["task"], "type": card["task"]}, "metrics": metrics}
    return {
        "license": "mit",
        "library_name": "keras",
        "pipeline_tag": kind,
        "tags": ["adversarial-robustness", "certified-robustness", "onnx"],
        "metrics": ["accuracy"] if schema.is_classification else list(ERRORS),
        "model-index": [{"name": name, "results": [result]}],
    }


def _text(name: str, card: Mapping[str, Any], schema: Schema, found: Mapping[str, Any]) -> list[str]:
    size = " x ".join(map(str, schema.shape))
    dataset = card.get("dataset") or card.get("comparable", {}).get("dataset")
    draws = card.get("vote", "all") == "all"
    answers = f"one of {len(schema.labels)} classes" if schema.is_classification else f"a number, `{schema.target}`"
    lines = [
        f"# {name}",
        "",
        f"A network for the task `{card['task']}`, {TRAINING.get(card['model'], card['model'])}, behind a guard that"
        f" {GUARDS[card.get('vote', 'all')]}.",
        "",
        "## Use",
        "",
        f"Inputs of shape {size} in raw units; it answers {answers}. Research and teaching on adversarial robustness;"
        " no decision about people should rest on it alone.",
        "",
        "## Data",
        "",
        f"Task `{card['task']}`" + (f", content SHA-256 `{dataset}`." if dataset else "."),
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
        *_errors(card, schema),
        "Robust accuracy is an upper bound: no attack that was tried finds more. Certified accuracy is a lower bound.",
        "",
        "## Limits",
        "",
        "- Nothing is claimed beyond the threat model: other norms, larger eps, rotations, patches.",
        *(["- A certificate behind the guard holds for the random draws of one answer."] if draws else []),
        *(
            f"- Failed check, {check['name']}: {check['found']}."
            for check in card["numbers"]["checks"].get("linf", ())
            if not check["passed"]
        ),
        "",
        f"Digest `{card['digest']}`.",
    ]
    return [*lines, f"Checked by `{card['command']}`."] if "command" in card else lines


def _errors(card: Mapping[str, Any], schema: Schema) -> list[str]:
    """Of a number, how far the predictions are off without attack."""
    if schema.is_classification:
        return []
    errors = card["clean"]["guarded"]
    told = (
        f"mean absolute error {errors['mae']:.4g}, root mean squared error {errors['rmse']:.4g}, R2 {errors['r2']:.4g}"
    )
    return [f"Clean, whole test split: {told}.", ""]


def _row(what: str, rate: Mapping[str, Any]) -> str:
    share, low, high = (_percent(rate[key]) for key in ("share", "low", "high"))
    return f"| {what} | {share} | {low} to {high} | {rate['n']} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"

"""What an audit leaves behind: `audit.json`, a page, and a section for a model card."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from redoubt.audit.figure import curve
from redoubt.audit.frame import Frame
from redoubt.audit.result import Audit, EpsRow
from redoubt.audit.run import Outcome
from redoubt.core.store import whole_file, write_json
from redoubt.core.types import Batch, Floats
from redoubt.evaluation.metrics import Rate
from redoubt.evaluation.redraws import Flags
from redoubt.report.examples import changes, is_picture, perturbed
from redoubt.report.page import render
from redoubt.report.svg import to_data_uri


def write(
    folder: Path, audit: Audit, outcome: Outcome, batch: Batch, frame: Frame, labels: tuple[str, ...]
) -> list[Path]:
    """Write the three files, each whole or not at all.

    Args:
        folder: made if it is not there.
        audit: as data.
        outcome: with the adversarial examples.
        batch: the examples.
        frame: that holds them.
        labels: names of the classes.

    Returns:
        The files.
    """
    paths = [folder / name for name in ("audit.json", "index.html", "MODEL_CARD.md")]
    write_json(paths[0], audit.model_dump() | {"verdict": audit.verdict})
    picture = _picture(outcome, batch, frame, labels)
    figures = {
        "curve": to_data_uri(curve(audit.rows, audit.clean, audit.constant, audit.norm)),
        "examples": None if picture is None else to_data_uri(picture),
    }
    page = render("audit.html", audit=audit, figures=figures, guarded=any(row.oblivious for row in audit.rows))
    for path, text in zip(paths[1:], (page, card(audit)), strict=True):
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def _picture(outcome: Outcome, batch: Batch, frame: Frame, labels: tuple[str, ...]) -> Figure | None:
    fooled = np.flatnonzero(outcome.fooled)
    if not len(fooled):
        return None
    x, x_adv = batch.x[fooled], outcome.x_adv[fooled]
    if not is_picture(x.shape[1:]):
        names = [*frame.schema.input_names] or [f"input {place}" for place in range(int(np.prod(x.shape[1:])))]
        return changes(x, x_adv, frame.bounds, names)
    truth, said = _words(batch.y[fooled], labels), _answers(outcome.scores[fooled], labels)
    return perturbed(x, x_adv, truth, said, frame.bounds)


def _words(classes: Floats, labels: tuple[str, ...]) -> list[str]:
    return [labels[int(each)] if 0 <= int(each) < len(labels) else f"{each:g}" for each in classes]


def _answers(scores: Floats, labels: tuple[str, ...]) -> list[str]:
    said = _words(np.nan_to_num(scores[:, 0] if scores.shape[1] == 1 else scores.argmax(axis=1)), labels)
    asked: Flags = np.asarray(np.isfinite(scores).all(axis=1))
    return [word if known else "unknown" for word, known in zip(said, asked, strict=True)]


def card(audit: Audit) -> str:
    """A section of a model card, in Markdown."""
    lines = [
        f"## Adversarial robustness of {audit.target['name']}",
        "",
        f"{audit.verdict}.",
        "",
        "| threat | robust accuracy, at most | certified, at least |",
        "|---|---|---|",
        f"| none | {_percent(audit.clean)} | |",
        *(_line(row) for row in audit.rows),
        "",
        f"- Access of the attacker: {audit.access}. Examples: {audit.data['examples']} of {audit.data['source']}.",
        f"- Bounds of the inputs: {audit.bounds}.",
    ]
    if audit.constant is not None:
        lines.append(f"- Always the commonest class would be right on {100 * audit.constant:.1f} %, under any attack.")
    lines += [f"- {note[0].upper()}{note[1:]}." for note in audit.notes]
    lines += [f"- Warning: {row.warning}." for row in audit.rows if row.warning]
    lines += [f"- **Failed check**, {check.name}: {check.found}." for check in audit.failed]
    lines += [f"- Not finished: {audit.stopped}."] if audit.stopped else []
    lines += ["- Not tried:", *(f"  - {each}" for each in audit.not_tried)]
    lines += ["", f"Measured by Redoubt: `{audit.reproduce}`", ""]
    return "\n".join(lines)


def _line(row: EpsRow) -> str:
    """Of a guarded model, the guarded figures where they were measured."""
    robust, proven = (row.adaptive, row.certified_guarded) if row.adaptive else (row.robust, row.certified)
    what = f"{row.says}, guarded" if row.adaptive else row.says
    return f"| {what} | {_percent(robust)} | {_percent(proven)} |"


def _percent(rate: Rate | None) -> str:
    if rate is None:
        return ""
    return f"{100 * rate.share:.1f} % ({100 * rate.low:.1f} to {100 * rate.high:.1f})"

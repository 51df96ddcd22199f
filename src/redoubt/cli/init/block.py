"""The task's block of params.yaml: written with its reasons, put in without disturbing a byte of the rest."""

from collections.abc import Mapping
from typing import Any

import yaml

from redoubt.cli.init.propose import Proposal
from redoubt.data.dialect import differences
from redoubt.params.settings.base import ParamsError
from redoubt.params.settings.read import ReadParams

INDENT = "  "
# Rows that the natural model is shown, each as often as there are epochs.
SEEN, FEWEST_EPOCHS, MOST_EPOCHS = 600_000, 20, 150


def of_table(proposal: Proposal, source: str, read: ReadParams, checks: Mapping[str, float]) -> dict[str, Any]:
    """A table's block as plain values, in the order in which they are written."""
    block: dict[str, Any] = {"kind": proposal.kind, "source": source}
    if differences(read):
        block["read"] = differences(read)
    block["target"] = proposal.target
    block["features"] = proposal.named("number", "whole number")
    block["categorical"] = proposal.named("category")
    if proposal.dates:
        block["dates"] = proposal.dates
    if proposal.levels:
        block["levels"] = proposal.levels
    block["integer"] = proposal.named("whole number")
    if proposal.transform:
        block["transform"] = dict(proposal.transform)
    if proposal.missing:
        block["missing"] = dict(proposal.missing)
    if proposal.tolerance is not None:
        block["tolerance"] = proposal.tolerance
    if proposal.split:
        block["split"] = dict(proposal.split)
    if checks:
        block["validate"] = dict(checks)
    block["train"] = _training(proposal)
    # An empty list of features says that no number is one; left out, all would be.
    return {key: value for key, value in block.items() if value != [] or key == "features"}


def _training(proposal: Proposal) -> dict[str, Any]:
    """How long, and how classes weigh; a small table is seen more often."""
    epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, SEEN // proposal.rows))
    rare = {"balance": "weights"} if proposal.rare else {}
    lopsided = {"threshold": "balanced"} if proposal.lopsided else {}
    return {"epochs": epochs, "patience": epochs, "decay": True, **rare, **lopsided}


def of_images(source: str) -> dict[str, Any]:
    """A block for images with a class each."""
    return {"kind": "image", "source": source, "target": "class"}


def text(name: str, block: Mapping[str, Any], remarks: Mapping[str, str]) -> str:
    """A block as YAML, one key per line.

    Args:
        name: of the task.
        block: plain values.
        remarks: by key, a comment to stand above it; that of an empty key stands at the end.
    """
    lines = [f"{INDENT}{name}:"]
    for key, value in block.items():
        lines += [f"{INDENT * 2}# {line}" for line in remarks.get(key, "").splitlines()]
        lines.append(f"{INDENT * 2}{key}: {flow(value)}")
    lines += [f"{INDENT * 2}# {line}" for line in remarks.get("", "").splitlines()]
    return "\n".join(lines) + "\n"


def inserted(params: str, block: str, name: str) -> str:
    """A params file with a task more, below the last one; every other byte stays.

    Raises:
        ParamsError: no `tasks:`, tasks written on one line, or a task of this name.
    """
    root = yaml.compose(params, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    tasks = next((value for key, value in pairs if key.value == "tasks"), None)
    if not isinstance(tasks, yaml.MappingNode) or tasks.flow_style or not tasks.value:
        raise ParamsError("params.yaml: expected `tasks:` with a block per task, indented by two blanks")
    if name in [key.value for key, _ in tasks.value]:
        raise ParamsError(f"params.yaml: a task '{name}' is there already; choose another name, or remove its block")
    last = tasks.value[-1][1]
    lines = params.splitlines(keepends=True)
    # A block ends where the next key begins; blank lines before that, and comments no deeper than the task's name,
    # belong to the next.
    depth = tasks.start_mark.column
    end = last.end_mark.line if not last.flow_style else last.end_mark.line + 1
    while end > 0 and _belongs_below(lines[end - 1], depth):
        end -= 1
    ends = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    before = "".join(lines[:end])
    before += "" if before.endswith("\n") else ends
    return before + block.replace("\n", ends) + "".join(lines[end:])


def _belongs_below(line: str, depth: int) -> bool:
    text = line.lstrip()
    return not text.strip() or (text.startswith("#") and len(line) - len(text) <= depth)


def flow(value: Any) -> str:
    """A plain value as YAML on one line."""
    return (
        str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=2**20, sort_keys=False))
        .removesuffix("\n")
        .removesuffix("\n...")
    )

"""What is known of a model whose guard only detects: the smoothed variants flag, and the answer is the network's own.

Nobody has to attack it anew. Who knows this guard attacks the network, and that was done by the whole ensemble.
"""

from collections.abc import Mapping
from typing import Any

from redoubt.bundle.base.types import Vote
from redoubt.evaluation.results import Robustness, ThreatResult

# What a guard does, by who votes.
GUARDS: dict[Vote, str] = {"all": "votes", "plain": "only detects"}


def plain_answer(measured: Robustness) -> Robustness:
    """The figures of the same network where the plain input alone answers.

    Args:
        measured: behind a guard whose variants all vote.

    Returns:
        The same with those of the network in every guarded column. The digest stays that of what was attacked, and the
        parts of the guard stay, each of which was judged by itself.
    """
    return measured.model_copy(
        update={
            "clean_guarded": measured.clean,
            "cells": [_cell(each) for each in measured.cells],
            "scores": _as_network(measured.scores, {"clean_guarded": "clean"}),
            "mcc": measured.mcc_network,
            "right": _as_network(measured.right, {"clean_guarded": "clean"}),
        }
    )


def plain_clean(clean: Mapping[str, Any]) -> dict[str, Any]:
    """Clean figures of the whole test split, likewise; see `attack_report.clean_figures`."""
    return {**clean, "guarded": clean["undefended"]}


def _cell(cell: ThreatResult) -> ThreatResult:
    columns = {"oblivious": "undefended", "adaptive": "undefended", "certified_guarded": "certified"}
    found = {column: getattr(cell, network) for column, network in columns.items()}
    found |= {"query": cell.undefended if cell.query else None, "flagged_adaptive": cell.flagged_oblivious}
    found |= {name: _as_network(getattr(cell, name), columns) for name in ("scores", "robust")}
    return cell.model_copy(update=found)


def _as_network(known: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """What is known of a guarded column is that of the network's column, where there is one."""
    kept = {name: each for name, each in known.items() if name not in columns}
    return kept | {column: known[network] for column, network in columns.items() if network in known}

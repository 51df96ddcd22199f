"""What is known of a model behind whichever of its guards is chosen.

A guard that only detects has the network's own answer, and smoothed variants that flag. Nobody has to attack it anew:
who knows this guard attacks the network, and that was done by the whole ensemble.
"""

from collections.abc import Mapping
from typing import Any

from redoubt.bundle.base.types import Vote
from redoubt.evaluation.results import CostResult, Found, Robustness, ThreatResult

# What a guard does, by the variants that answer.
GUARDS: dict[Vote, str] = {"all": "votes", "squeezed": "squeezes", "plain": "only detects"}


def behind(measured: Robustness, vote: Vote) -> Robustness:
    """The figures of the same network behind one of its guards.

    Args:
        measured: behind a guard whose variants all vote, with its other guards beside.
        vote: the variants that answer.

    Returns:
        The same with that guard's figures in every guarded column; the digest stays that of what was attacked, and so
        do the parts of the guard.
    """
    if vote == "all":
        return measured
    return _plain_answer(measured) if vote == "plain" else _another_guard(measured, vote)


def clean_behind(clean: Mapping[str, Any], vote: Vote) -> dict[str, Any]:
    """Clean figures of the whole test split, likewise; see `attack_report.clean_figures`."""
    return {**clean, "guarded": clean[{"all": "guarded", "squeezed": "squeezed", "plain": "undefended"}[vote]]}


def _another_guard(measured: Robustness, vote: Vote) -> Robustness:
    clean = measured.behind[vote]
    cells = [
        cell.model_copy(update=_replaced(cell, cell.behind[vote])) if cell.measured else cell for cell in measured.cells
    ]
    found = _replaced(measured, clean) | {"cells": cells, "degenerate": measured.degenerate or clean.degenerate}
    # An attacker with a budget was tried on the guard that votes alone.
    found["cost"] = measured.cost and _without_guard(measured.cost)
    return measured.model_copy(update=found)


def _replaced(known: Found, found: Found) -> dict[str, Any]:
    """Every column that was found behind a guard; what is known of the network stays."""
    named = {name: getattr(found, name) for name in type(found).model_fields}
    return {name: {**getattr(known, name), **each} if isinstance(each, dict) else each for name, each in named.items()}


def _plain_answer(measured: Robustness) -> Robustness:
    return measured.model_copy(
        update={
            "clean_guarded": measured.clean,
            "cells": [_cell(each) for each in measured.cells],
            "scores": _as_network(measured.scores, {"clean_guarded": "clean"}),
            "mcc": measured.mcc_network,
            "right": _as_network(measured.right, {"clean_guarded": "clean"}),
            "cost": _plain_cost(measured.cost),
        }
    )


def _without_guard(cost: CostResult) -> CostResult:
    known = {name: {"undefended": each["undefended"]} for name in ("robust", "mcc") if (each := getattr(cost, name))}
    return cost.model_copy(update={"adaptive": None, **known})


def _plain_cost(cost: CostResult | None) -> CostResult | None:
    if cost is None:
        return None
    found = {name: _as_network(getattr(cost, name), {"adaptive": "undefended"}) for name in ("robust", "mcc")}
    return cost.model_copy(update={"adaptive": cost.undefended, **found})


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

"""An attacker with a budget: what each change costs is declared, and what an example's changes cost is bounded.

The threat of arXiv 2208.13058 in its simplest form: costs add up, a number's is proportional to its change and a
category's is one price per switch. So the set of what is within the budget is a weighted L1 ball round each record that
affordable switches make of the example. Ranges, whole numbers, directions and relations hold as for every threat.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.ensemble import Member
from redoubt.attacks.frank_wolfe import FrankWolfe
from redoubt.attacks.genetic import GeneticSearch
from redoubt.attacks.whole_steps import WholeSteps, hides_in_rounding
from redoubt.bundle.schema import Schema
from redoubt.bundle.switches import Switches
from redoubt.core.types import Batch, Bounds, Floats
from redoubt.evaluation.attack_columns import WorstCase
from redoubt.evaluation.evaluator import Evaluator
from redoubt.evaluation.metrics import rate, robust_mcc
from redoubt.evaluation.paired import packed
from redoubt.evaluation.redraws import Flags
from redoubt.evaluation.results import CostResult
from redoubt.params.settings.costs import Costs
from redoubt.perturbable import perturbable

Judge = Callable[[Floats, NDArray[Any]], Flags]


def priced(bounds: Bounds, schema: Schema, costs: Costs) -> Bounds:
    """The same box where eps counts costs: a unit of an input is what 1 of the currency buys, 0 where it has no price.

    Args:
        bounds: that hold the examples.
        schema: names the columns.
        costs: by those names.
    """
    each = [
        costs.prices.get(column.name, np.inf) if number else np.inf
        for column in schema.columns
        for number in column.numbers
    ]
    # As for `eps`: a whole number that the budget just affords must not be missed by a rounding.
    room = np.where(bounds.integer, 1 + 1e-6, 1.0)
    scale = np.where(bounds.scale > 0, room / np.array(each), 0.0).astype(np.float32)
    switches = bounds.switches
    if switches is not None:
        some = [place for place, name in enumerate(switches.names) if name in costs.prices]
        names, places = [switches.names[each] for each in some], [switches.places[each] for each in some]
        prices = tuple(costs.prices[name] for name in names)
        affordable = Switches(tuple(names), tuple(places), switches.most, prices, costs.budget)
        switches = affordable if some else None
    return replace(bounds, scale=scale, switches=switches)


def within_budget(evaluator: Evaluator, batch: Batch, costs: Costs) -> CostResult:
    """Robust accuracy under the budget, without the guard and with it; every x_adv's cost is checked again.

    Args:
        evaluator: of the model.
        batch: the examples.
        costs: the budget, and what changes cost.
    """
    bounds = priced(evaluator.bounds, evaluator.schema, costs)
    if not perturbable(batch.x, bounds, costs.budget).any():
        return CostResult(budget=costs.budget, prices=costs.prices)
    params, criterion = evaluator.config.params, evaluator.criterion
    sides: dict[str, tuple[AttackProblem, Judge, int]] = {
        "undefended": (evaluator.undefended["linf"], evaluator.is_adversarial, 1),
        "adaptive": (evaluator.adaptive["linf"], evaluator.is_adversarial_guarded, params.eot),
    }
    kept, columns, found = batch.x, {}, {}
    for name, (problem, judge, eot) in sides.items():
        within = replace(problem, norm="l1", bounds=bounds, compiled={})
        worst = WorstCase(kept, judge(kept, batch.y))
        for member in _members(bounds, FrankWolfe(steps=params.steps, eot=eot), params.queries):
            x_adv = worst.attack(evaluator, member, within, batch, costs.budget)
            worst.add(member, x_adv, judge(x_adv, batch.y))
        kept, columns[name], found[name] = worst.kept, worst.is_adversarial, worst.by_name
    said = {"undefended": evaluator.guarded.network(kept), "adaptive": evaluator.predict(kept)[0].vote}
    robust = {name: ~each for name, each in columns.items()}
    return CostResult(
        budget=costs.budget,
        prices=costs.prices,
        undefended=rate(robust["undefended"]),
        adaptive=rate(robust["adaptive"]),
        broken=found["undefended"],
        robust={name: packed(each) for name, each in robust.items()},
        mcc={name: robust_mcc(each, said[name], batch.y) for name, each in robust.items()}
        if criterion.is_classification
        else {},
    )


def _members(bounds: Bounds, by_gradients: FrankWolfe, queries: int) -> list[Member]:
    """Gradients that spend the budget where it gains most, whole numbers one at a time, and a search of records."""
    whole = [Member("whole steps", WholeSteps(), uses_gradients=False)] if hides_in_rounding(bounds, "l1") else []
    search = Member("genetic search", GeneticSearch(queries=queries), uses_gradients=False)
    return [Member("frank-wolfe", by_gradients), *whole, search]

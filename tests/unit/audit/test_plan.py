"""A plan by queries stays inside its budget, and spends most of it on the eps that were asked for."""

import pytest

from redoubt.attacks.query import QueryAttack
from redoubt.audit.budget import parse
from redoubt.audit.plan import NOISE, Scope, plan
from redoubt.targets.contract import Access


@pytest.mark.parametrize("access", ["scores", "labels"])
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("given", [(0.2,), (0.1, 0.2, 0.3)])
@pytest.mark.parametrize("queries", [60, 300, 2000, 20_000])
def test_a_budget_of_queries_is_kept(access: Access, repeats: int, given: tuple[float, ...], queries: int) -> None:
    between = (0.05, 0.1) if len(given) == 1 else ()
    steps = plan(Scope(access, given, between, 3, queries, repeats, NOISE))
    searches = [step for step in steps if isinstance(step.member.attack, QueryAttack)]
    # In the worst case nothing is found, every example is asked about to the end, and each result is judged.
    spent = repeats * len(steps) + sum(step.member.attack.queries + 1 for step in searches)  # type: ignore[attr-defined]
    assert spent <= queries
    asked = sum(step.member.attack.queries for step in searches if step.eps in given)  # type: ignore[attr-defined]
    assert asked > 0.6 * min(queries, 1000 * len(given)) - 20 * len(steps)
    assert {step.eps for step in searches} >= set(given)


def test_a_budget_in_words() -> None:
    assert [parse(each).said for each in ("20s", "1.5m", "300q")] == ["20 seconds", "1.5 minutes", "300 queries"]

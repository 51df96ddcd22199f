"""Costs in a task's settings: read with them, a mistake in one is said at once."""

from typing import Any

import pytest

from redoubt.params.load import load
from redoubt.params.resolve import of_task
from redoubt.params.settings.base import ParamsError
from tests.support.params import Write

COSTS = "tasks.evolution.costs"


def test_only_the_stages_that_read_them_hold_them(written: Write) -> None:
    task = load(written({COSTS: {"budget": 5, "prices": {"hp": 0.1}}}))
    held = [stage for stage, each in of_task(task, "evolution").items() if '"costs"' in each.model_dump_json()]
    assert held == ["ingest", "attack"]
    without = of_task(load(written({})), "evolution")
    assert not [stage for stage, each in without.items() if '"costs"' in each.model_dump_json()]


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ({"budget": 5, "prices": {"hpp": 1}}, "costs.prices: unknown feature 'hpp'; did you mean 'hp'"),
        (
            {"budget": 5, "prices": {"species": 1}},
            "costs.prices: 'species' is a category that is not 'mutable': add it there, or leave it out",
        ),
        ({"budget": 5, "prices": {"hp": 0}}, "costs.prices.hp: Input should be greater than 0"),
        ({"budget": 0, "prices": {"hp": 1}}, "costs.budget: Input should be greater than 0"),
        ({"budget": 5, "prices": {}}, "costs.prices: .*at least 1"),
        ({"prices": {"hp": 1}}, "costs.budget: Field required"),
        ({"budget": 5, "price": {"hp": 1}}, "costs: unknown key 'price'; did you mean 'prices'"),
    ],
)
def test_a_mistake_is_said_when_settings_are_read(written: Write, costs: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        load(written({COSTS: costs}))


def test_what_no_attacker_can_change_has_no_price(written: Write) -> None:
    changes = {COSTS: {"budget": 5, "prices": {"hp": 1}}, "tasks.evolution.immutable": ["hp"]}
    with pytest.raises(ParamsError, match="costs.prices: no attacker can change 'hp': leave it out"):
        load(written(changes))


def test_images_have_no_columns_to_price(written: Write) -> None:
    with pytest.raises(ParamsError, match="an image task takes no 'costs'"):
        load(written({"tasks.digits.costs": {"budget": 5, "prices": {"a": 1}}}))

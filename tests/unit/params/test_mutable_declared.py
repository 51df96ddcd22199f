"""Mutable categories in a task's settings, and in the schema of its data."""

from typing import Any

import pytest

from redoubt.data.sources import fetch
from redoubt.params.load import load
from redoubt.params.resolve import of_task
from redoubt.params.settings.base import ParamsError
from tests.support.params import Write

MUTABLE = {"tasks.evolution.mutable": ["species"]}


def test_a_task_declares_them(written: Write) -> None:
    raw = fetch(load(written(MUTABLE)).task("evolution"), seed=0)
    assert raw.schema.switches == 1
    assert [column.name for column in raw.schema.columns if column.mutable] == ["species"]
    assert fetch(load(written({})).task("evolution"), seed=0).schema.switching is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mutable": ["cp"]}, "mutable: unknown feature 'cp'; valid features: species"),
        ({"mutable": ["specie"]}, "mutable: unknown feature 'specie'; did you mean 'species'"),
        ({"mutable": ["species"], "immutable": ["species"]}, "mutable: immutable names 'species' too"),
        ({"switches": 1}, "switches: 1 at once, but no category is mutable"),
        ({"mutable": ["species"], "switches": 2}, "switches: 2 at once, but there are 1 mutable"),
    ],
)
def test_what_cannot_be_declared_is_said(written: Write, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        load(written({f"tasks.evolution.{key}": value for key, value in change.items()}))


def test_only_the_stage_that_reads_them_holds_them(written: Write) -> None:
    settings = of_task(load(written(MUTABLE)), "evolution")
    assert [stage for stage, each in settings.items() if '"mutable"' in each.model_dump_json()] == ["ingest"]
    plain = of_task(load(written({})), "evolution")["ingest"].model_dump_json()
    assert '"mutable"' not in plain
    assert "switches" not in plain

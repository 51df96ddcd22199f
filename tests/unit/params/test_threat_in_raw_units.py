"""Sizes in raw units and one-sided features, as a task declares them and as its data then hold them."""

from typing import Any

import pytest

from redoubt.data.sources import fetch
from redoubt.params.load import load
from redoubt.params.resolve import of_task
from redoubt.params.settings.base import ParamsError
from tests.support.params import Write

EVOLUTION = "tasks.evolution."
THREAT: dict[str, Any] = {
    EVOLUTION + "eps": {"linf": 0.5, "features": {"cp": 20, "weight": 0}},
    EVOLUTION + "raise_only": ["hp"],
    EVOLUTION + "lower_only": ["height"],
}


def test_a_table_holds_the_threat(written: Write) -> None:
    raw = fetch(load(written(THREAT)).task("evolution"), seed=0)
    columns = {column.name: column for column in raw.schema.columns}
    assert (columns["cp"].unit, columns["weight"].unit, columns["hp"].unit) == (40.0, 0.0, None)
    assert (columns["hp"].direction, columns["height"].direction, columns["cp"].direction) == ("up", "down", None)


def test_stages_that_do_not_read_them_do_not_hold_them(written: Write) -> None:
    settings = of_task(load(written(THREAT)), "evolution")
    assert [stage for stage, each in settings.items() if "raise_only" in each.model_dump_json()] == ["ingest"]
    assert "units" not in of_task(load(written({})), "evolution")["ingest"].model_dump_json()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"eps": {"features": {"cpp": 1}}}, "eps.features: unknown feature 'cpp'; did you mean 'cp'"),
        ({"eps": {"features": {"cp": -1}}}, "eps.features.cp: .*greater than or equal to 0"),
        ({"raise_only": ["cp"], "lower_only": ["cp"]}, "lower_only: raise_only names 'cp' too"),
        ({"raise_only": ["species"]}, "raise_only: unknown feature 'species'"),
        ({"units": {"cp": 1}}, "unknown key 'units'"),
    ],
)
def test_what_cannot_be_is_said(written: Write, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        load(written({EVOLUTION + key: value for key, value in change.items()}))


def test_images_have_no_features(written: Write) -> None:
    with pytest.raises(ParamsError, match=r"an image task takes no 'eps\.features'"):
        load(written({"tasks.digits.eps": {"features": {"x": 1}}}))

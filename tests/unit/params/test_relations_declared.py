"""Relations in a task's settings: read with them, a mistake in one is said at once."""

import pytest

from redoubt.params.load import load
from redoubt.params.resolve import of_task
from redoubt.params.settings.base import ParamsError
from tests.support.params import Write

EVOLUTION = "tasks.evolution."


def test_only_the_stage_that_reads_them_holds_them(written: Write) -> None:
    settings = of_task(load(written({EVOLUTION + "relations": ["hp <= 2 * cp"]})), "evolution")
    assert [stage for stage, each in settings.items() if "relations" in each.model_dump_json()] == ["ingest"]
    assert "relations" not in of_task(load(written({})), "evolution")["ingest"].model_dump_json()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hp <= cpp", "tasks.evolution: relations: 'hp <= cpp': unknown feature 'cpp'; did you mean 'cp'"),
        ("hp =< cp", "relations.0: relation 'hp =< cp' cannot be read: expected two expressions and ==, <= or >="),
        (
            "hp < weight",
            "relation 'hp < weight' is strict, and 'weight' is not of whole numbers \\('integer'\\): write <= or >=",
        ),
        ("hp != cp", "relation 'hp != cp' is no comparison that is known"),
        ("species <= cp", "names the category 'species'"),
        ("len(hp) <= cp", r"it says 'len\(hp\)'; known are columns, numbers"),
    ],
)
def test_a_mistaken_line_is_said_when_settings_are_read(written: Write, line: str, said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        load(written({EVOLUTION + "relations": [line]}))


def test_images_have_no_columns_to_relate(written: Write) -> None:
    with pytest.raises(ParamsError, match="an image task takes no 'relations'"):
        load(written({"tasks.digits.relations": ["a <= b"]}))

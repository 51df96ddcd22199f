"""The user's own rules for a task's data: a suite of Great Expectations in expectations/NAME.json."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from redoubt.bundle.base.io import first_mistake
from redoubt.params.settings.base import ParamsError, Strict

FOLDER = Path("expectations")


class OwnRule(Strict):
    """One expectation.

    Attributes:
        type: as Great Expectations calls it, such as expect_column_values_to_be_between.
        arguments: what it takes, the column among them; `kwargs` in the file.
    """

    type: str = Field(pattern=r"^expect_[a-z0-9_]+$")
    arguments: dict[str, Any] = Field(default_factory=dict)


class _Suite(BaseModel):
    """A suite as it stands in a file: ids, notes and what else Great Expectations writes are passed over."""

    model_config = ConfigDict(extra="ignore")

    expectations: list[dict[str, Any]]


def path_of(task: str) -> Path:
    """Where a task's suite lies, in the project's top folder."""
    return FOLDER / f"{task}.json"


def read_rules(task: str) -> tuple[OwnRule, ...]:
    """The rules of a task's suite, in its order; none where it has no suite.

    Raises:
        ParamsError: a file that is no suite.
    """
    path = path_of(task)
    if not path.is_file():
        return ()
    try:
        suite = _Suite.model_validate_json(path.read_bytes())
        written = [{"type": each.get("type"), "arguments": each.get("kwargs", {})} for each in suite.expectations]
        return tuple(OwnRule.model_validate(each) for each in written)
    except ValidationError as error:
        raise ParamsError(
            f"{path} is no suite of Great Expectations: {first_mistake(error)}; expected "
            '{"expectations": [{"type": "expect_column_values_to_be_between", "kwargs": {"column": ...}}, ...]}'
        ) from None


def suite(task: str, rules: tuple[OwnRule, ...]) -> str:
    """A suite's text, as Great Expectations reads it: one rule a line, to be edited by hand."""
    written = [{"type": rule.type, "kwargs": rule.arguments} for rule in rules]
    lines = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in written)
    return f'{{"name": {json.dumps(task)}, "expectations": [\n{lines}\n]}}\n'

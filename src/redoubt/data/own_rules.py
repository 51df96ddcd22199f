"""The user's own rules: made into expectations."""

from collections.abc import Iterator, Sequence
from typing import Any

import great_expectations.expectations as gxe
from great_expectations.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation import Expectation
from pydantic.v1 import ValidationError as Mistake

from redoubt.bundle.words import normal
from redoubt.core.errors import RedoubtError
from redoubt.data.rules import Rule
from redoubt.params.settings.own_rules import OwnRule, path_of


class OwnRuleError(RedoubtError):
    """A rule of the user's that Great Expectations does not know or cannot take; the message says which."""


def own_rules(task: str, rules: Sequence[OwnRule]) -> Iterator[Rule]:
    """The user's rules as they are checked.

    Raises:
        OwnRuleError: no such expectation, or not with these arguments.
    """
    for place, rule in enumerate(rules, start=1):
        says = ", ".join(f"{key} {value}" for key, value in rule.arguments.items() if key != "column")
        yield Rule(
            "your own rule",
            f"{rule.type.removeprefix('expect_')}{f' ({says})' if says else ''}",
            f"correct the cells, or change the rule in {path_of(task)}",
            _expectation(task, place, rule),
        )


def _expectation(task: str, place: int, rule: OwnRule) -> Expectation:
    name = "".join(word.capitalize() for word in rule.type.split("_"))
    kind = getattr(gxe, name, None)
    if kind is None:
        raise OwnRuleError(
            f"{path_of(task)}: rule {place}: Great Expectations knows no '{rule.type}'; take one of its "
            "gallery, such as expect_column_values_to_be_between"
        )
    try:
        made: Expectation = kind(**{key: _normal(value) for key, value in rule.arguments.items()})
    except (Mistake, GreatExpectationsError, TypeError, ValueError) as error:
        said = error.errors()[0] if isinstance(error, Mistake) else {"msg": str(error), "loc": ()}
        where = ".".join(str(part) for part in said["loc"])
        raise OwnRuleError(
            f"{path_of(task)}: rule {place}, {rule.type}: {f'{where}: ' if where else ''}{said['msg']}; correct it"
        ) from None
    return made


def _normal(argument: Any) -> Any:
    """An argument whose list of words is in normal form, as the cells are that it is held against."""
    if not isinstance(argument, list):
        return argument
    return [normal(each) if isinstance(each, str) else each for each in argument]

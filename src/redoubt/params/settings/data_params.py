"""Where a task's data come from, what their columns are, and what they are judged by."""

from typing import Annotated

from pydantic import Field

from redoubt.bundle.base.types import Kind, Name
from redoubt.bundle.dates import Part, part_names
from redoubt.bundle.relations.table import check_columns
from redoubt.params.settings.base import Count, Line, MissingPolicy, Range, Strict, Transform, unknown
from redoubt.params.settings.costs import Costs
from redoubt.params.settings.read import ReadParams
from redoubt.params.settings.sections import (
    GatesParams,
    Points,
    SplitParams,
    SplitSource,
    SurveyParams,
    Tolerant,
    ValidateParams,
    split_by_chance,
    unset,
)


class Gaps(Strict):
    """What becomes of a table's empty cells.

    Attributes:
        missing: a policy by column; a row with any other empty cell is left out, if `validate.max_missing` lets it.
    """

    missing: dict[str, MissingPolicy] = Field(default_factory=dict, exclude_if=unset)


class Curved(Strict):
    """What of a table is scaled otherwise than by its mean and standard deviation.

    Attributes:
        transform: by feature how it is spread out inside the network; eps stays in raw units.
    """

    transform: dict[str, Transform] = Field(default_factory=dict, exclude_if=unset)


class DataParams(Gaps):
    """Where a task's data come from, and what their columns are.

    Attributes:
        read: how the source is written, if it is a table of text.
        integer: features of whole numbers, which attacks keep whole and the service wants whole.
        immutable: features beyond an attacker's reach.
        mutable: categories that an attacker may switch to another one; all others keep theirs.
        switches: how many of these he may switch in one example; 1 if it is left out.
        raise_only: features that an attacker may only raise.
        lower_only: features that an attacker may only lower.
        words_only: whether `features` is an empty list: no column of numbers is used, where all would be without it.
        units: of eps in raw units by feature, as `eps.features` says them.
        dates: by column of dates the parts of it that are features, whole numbers beyond an attacker's reach.
        levels: by category how many of its values are kept, the most frequent ones; a rarer or unknown one is "other".
        ranges: smallest and largest valid value by feature; an attack keeps the others within the training rows' range.
        relations: between numbers, one line each: every row keeps them, and so does every adversarial example.
        costs: what changes cost an attacker with a budget, a threat beside those of `eps`.
        split: the columns and the file that the split will need.
        checks: what a first look at the data finds worth a note.
    """

    name: Name
    kind: Kind
    source: str
    read: ReadParams = ReadParams()
    target: str
    features: tuple[str, ...] = ()
    words_only: bool = Field(default=False, exclude_if=unset)
    categorical: tuple[str, ...] = ()
    integer: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    mutable: tuple[str, ...] = Field(default=(), exclude_if=unset)
    switches: Count | None = Field(default=None, exclude_if=unset)
    raise_only: tuple[str, ...] = Field(default=(), exclude_if=unset)
    lower_only: tuple[str, ...] = Field(default=(), exclude_if=unset)
    units: dict[str, float] = Field(default_factory=dict, exclude_if=unset)
    ranges: dict[str, Range] = Field(default_factory=dict)
    relations: tuple[Line, ...] = Field(default=(), exclude_if=unset)
    dates: dict[str, Annotated[tuple[Part, ...], Field(min_length=1)]] = Field(default_factory=dict, exclude_if=unset)
    costs: Costs | None = Field(default=None, exclude_if=unset)
    levels: dict[str, Count] = Field(default_factory=dict, exclude_if=unset)
    split: SplitSource = Field(default=SplitSource(), exclude_if=split_by_chance)
    checks: SurveyParams

    @property
    def parts(self) -> tuple[str, ...]:
        """The features that are parts of dates."""
        return tuple(each for name, parts in self.dates.items() for each in part_names(name, parts))

    def check_declared(self, numbers: tuple[str, ...]) -> None:
        """Refuse what is declared of a feature that is none.

        Args:
            numbers: the features that are numbers, which are known from the data alone where `features` is left out;
                parts of dates are added.

        Raises:
            ValueError: a name that is no feature, with the nearest that is; nothing left for an attacker to change.
        """
        own, numbers = numbers, (*numbers, *self.parts)
        every = (*numbers, *self.categorical)
        valid = {
            "integer": numbers,
            "ranges": numbers,
            "immutable": every,
            "mutable": self.categorical,
            "raise_only": numbers,
            "lower_only": numbers,
            "units": numbers,
            "levels": self.categorical,
            "missing": (*every, self.target),
        }
        for option, names in valid.items():
            for name in getattr(self, option):
                if name not in names:
                    key = "eps.features" if option == "units" else option
                    raise ValueError(f"{key}: {unknown(name, list(names), 'feature')}")
        self._check_switches()
        self._check_costs(numbers)
        both = sorted({*self.raise_only} & {*self.lower_only})
        if both:
            raise ValueError(f"lower_only: raise_only names '{both[0]}' too; leave it out of one of them")
        for line in self.relations:
            strangers = check_columns(line, own, self.categorical, self.immutable, self.integer)
            if strangers:
                said = unknown(strangers[0], list(own), "feature")
                raise ValueError(f"relations: '{line}': {said}; put a name that is no single word in backticks")
        if own and set(own) <= set(self.immutable):
            raise ValueError(f"immutable: all of {', '.join(own)}; leave a number that an attacker can change")
        for name, policy in self.missing.items():
            fit = ("drop", "mode", "category") if name in self.categorical else ("drop",)
            if name not in numbers and policy not in fit:
                what = "the target" if name == self.target else "a category"
                raise ValueError(
                    f"missing.{name}: '{policy}' is for numbers, '{name}' is {what}; say {' or '.join(fit)}"
                )
            if name in numbers and policy == "category":
                raise ValueError(f"missing.{name}: '{name}' is a number; say median, mean or mode, or drop")

    def _check_costs(self, numbers: tuple[str, ...]) -> None:
        for name in () if self.costs is None else self.costs.prices:
            if name in self.categorical and name not in self.mutable:
                raise ValueError(
                    f"costs.prices: '{name}' is a category that is not 'mutable': add it there, or leave it out"
                )
            if name not in (*numbers, *self.mutable):
                raise ValueError(f"costs.prices: {unknown(name, [*numbers, *self.mutable], 'feature')}")
            if name in (*self.immutable, *self.parts):
                raise ValueError(f"costs.prices: no attacker can change '{name}': leave it out")

    def _check_switches(self) -> None:
        both = sorted({*self.mutable} & {*self.immutable})
        if both:
            raise ValueError(f"mutable: immutable names '{both[0]}' too; leave it out of one of them")
        if self.switches is not None and self.switches > len({*self.mutable}):
            known = f"there are {len({*self.mutable})} mutable categories" if self.mutable else "no category is mutable"
            raise ValueError(f"switches: {self.switches} at once, but {known}; name as many in 'mutable', or say fewer")


class JudgedParams(Tolerant, Gaps):
    """What raw data are judged by: their own rules, and the gates that their examples must be able to show."""

    name: Name
    kind: Kind
    checks: ValidateParams
    split: SplitParams
    attack: Points
    gates: GatesParams

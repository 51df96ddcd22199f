"""The sections of params.yaml, all but the recipes: what holds for a task, its model and its evaluation."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from redoubt.bundle.base.types import GuardDraws, Kind, Name, Positive, Vote
from redoubt.bundle.dates import Part, part_names
from redoubt.bundle.relations.table import check_columns
from redoubt.core.types import Norm, Threat
from redoubt.params.settings.base import (
    Balance,
    Count,
    Curve,
    Line,
    MissingPolicy,
    Range,
    Share,
    Size,
    Strict,
    ThresholdRule,
    Transform,
    unknown,
)
from redoubt.params.settings.networks import ModelParams
from redoubt.params.settings.read import ReadParams

# Those of a task.
Model = Literal["natural", "adversarial", "certified", "smoothed"]
# The hardened models of a task, by the key of their recipe.
HARDENED = ("adversarial", "certified", "smoothed")
# The models that are attacked and may be promoted: the smoothed one is only as good as its noise, which is not served.
CANDIDATES = ("natural", "adversarial", "certified")


def unset(value: object) -> bool:
    """What is left out of settings on disk, so that a task without it resolves to the bytes that it always did."""
    return not value


class Eps(Strict):
    """The task's threat: per norm the largest perturbation that is trained for, attacked, certified and gated.

    Attributes:
        linf: of each pixel or feature by itself.
        l2: of all of them together.
        features: of a table, by name the change in raw units that `linf` stands for, 0 for none; a feature that is not
            named changes by `linf` standard deviations.
    """

    linf: Size
    l2: Size
    features: dict[str, Annotated[float, Field(ge=0.0, le=1e30)]] = Field(default_factory=dict, exclude_if=unset)

    @property
    def units(self) -> dict[str, float]:
        """What eps 1 stands for in raw units, of the named features."""
        return {name: size / self.linf for name, size in self.features.items()}

    def of(self, norm: Norm) -> float:
        """The eps of one norm."""
        return self.linf if norm == "linf" else self.l2

    def threat(self, norm: Norm) -> Threat:
        """The threat of one norm."""
        return Threat(norm, self.of(norm))


class SplitSource(Strict):
    """What of the source a split goes by.

    Attributes:
        group: a column; rows with the same value stay in one part and one fold.
        time: a column of numbers or dates; the latest rows test, and each fold is later than what it learns from.
        test_file: a file of test rows, written as the source is; `test: PATH` says the same.
    """

    group: str | None = Field(default=None, exclude_if=unset)
    time: str | None = Field(default=None, exclude_if=unset)
    test_file: str | None = Field(default=None, exclude_if=unset)

    @property
    def by(self) -> str | None:
        """The column that rows are kept together or in order by."""
        return self.group or self.time

    @model_validator(mode="after")
    def _goes_by_one_column(self) -> "SplitSource":
        if self.group is not None and self.time is not None:
            raise ValueError("rows are kept together by 'group' or in order by 'time', not both: leave one out")
        return self


def _by_chance(split: SplitSource) -> bool:
    return not (split.by or split.test_file)


class SplitParams(SplitSource):
    """Shares of all rows held out, and N of the N-fold cross-validation on the rest."""

    test: Annotated[float, Field(gt=0.0, lt=0.9)]
    validation: Annotated[float, Field(gt=0.0, lt=0.9)]
    folds: Annotated[int, Field(ge=2, le=1000)]

    @model_validator(mode="after")
    def _leave_rows_to_train(self) -> "SplitParams":
        if self.test + self.validation >= 1.0:
            raise ValueError(f"test + validation is {self.test + self.validation:g}; it must be below 1")
        return self


class SurveyParams(Strict):
    """What a first look at raw data finds worth a note, as shares of the rows.

    Attributes:
        quarantine: rows that were moved aside, by `redoubt quarantine`, are not used.
    """

    max_missing: Share
    min_class_share: Share
    quarantine: bool = Field(default=False, exclude_if=unset)


class ValidateParams(SurveyParams):
    """What raw data must satisfy; every figure but min_rows is a share of the rows."""

    min_rows: Count
    max_duplicates: Share


class SweepParams(Strict):
    """The grid batch_size x learning_rate x models, and how long each fold is trained."""

    batch_size: Annotated[tuple[Count, ...], Field(min_length=1)]
    learning_rate: Annotated[tuple[Positive, ...], Field(min_length=1)]
    models: Annotated[tuple[ModelParams, ...], Field(min_length=1)]
    epochs: Count
    rows: Count | None = None


class Balanced(Strict):
    """What the sweep, the training and every hardening have in common.

    Attributes:
        balance: `weights` lets every class weigh alike in all of them: examples by the inverse frequency of their
            class, 1 in the mean.
    """

    balance: Balance = "none"


def _by_larger_logit(rule: object) -> bool:
    return rule == "none"


class Decided(Strict):
    """How an answer is decided.

    Attributes:
        threshold: by what two classes are told apart; chosen on validation examples, folded into the last bias.
    """

    threshold: ThresholdRule = Field(default="none", exclude_if=_by_larger_logit)


class Thresholded(Balanced, Decided):
    """What the training and every hardening have in common."""

    @property
    def of_baselines(self) -> Balance:
        """How classes weigh for models that choose no threshold, where the networks do: for the same aim."""
        return "weights" if self.threshold == "balanced" else self.balance


class TrainParams(Thresholded):
    """Longest training in epochs, and after how many without progress it stops.

    Attributes:
        decay: lower the learning rate to 0 along a cosine.
    """

    epochs: Count
    patience: Count
    decay: bool = False


class ImageGuard(Strict):
    """Median window, bit depth, smallest side after a random resize, and number of random draws."""

    median: Annotated[int, Field(ge=2, le=9)]
    bits: Annotated[int, Field(ge=1, le=8)]
    shrink: Annotated[float, Field(gt=0.3, lt=1.0)]
    draws: GuardDraws
    false_positives: Annotated[float, Field(gt=0.0, lt=0.5)]


class TableGuard(Strict):
    """Bit depth over each feature's valid range, noise in units of its standard deviation, number of draws."""

    bits: Annotated[int, Field(ge=1, le=16)]
    noise: Positive
    draws: GuardDraws
    false_positives: Annotated[float, Field(gt=0.0, lt=0.5)]


class Points(Strict):
    """How many rows are attacked.

    Attributes:
        points: rows attacked, of the validation and of the test split each.
    """

    points: Count


class AttackParams(Points):
    """Further eps per norm, the effort of the attackers, and how many rows are attacked.

    Attributes:
        linf: points of the robustness curve beside the task's eps, rising.
        l2: likewise.
        steps: of the gradient attacks.
        restarts: of PGD.
        eot: gradients through the guard averaged per step.
        queries: what Square may ask per row.
    """

    linf: Curve
    l2: Curve
    steps: Count
    restarts: Count
    eot: Count
    queries: Count

    def grid(self, norm: Norm, eps: Eps) -> tuple[float, ...]:
        """Every eps of one norm, the task's among them, rising."""
        return tuple(sorted({*(self.linf if norm == "linf" else self.l2), eps.of(norm)}))


class CertifyParams(Strict):
    """Randomized smoothing (arXiv 1902.02918): noise, sample sizes, failure probability, radii shown, rows.

    The task's own L2 eps is a radius too. Interval bounds need none of this: they are taken at every L-inf eps.

    Attributes:
        complete: models that the complete verifier decides example by example within the task's L-inf eps.
        rounds: of branch and bound for each of these examples; what is open after them is undecided.
    """

    sigma: Positive
    radii: tuple[Positive, ...]
    selection_draws: Count
    draws: Count
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)]
    points: Count
    complete: tuple[Model, ...] = ("certified",)
    rounds: Count = 100

    def grid(self, eps: Eps) -> tuple[float, ...]:
        """Every radius, the task's L2 eps among them, rising."""
        return tuple(sorted({*self.radii, eps.l2}))

    @model_validator(mode="after")
    def _draws_can_prove(self) -> "CertifyParams":
        # A unanimous vote proves no more than alpha^(1 / draws).
        enough = math.ceil(math.log(self.alpha) / math.log(0.5)) + 1
        if self.draws < enough:
            raise ValueError(
                f"draws is {self.draws}; with alpha {self.alpha:g} even a unanimous vote proves nothing below {enough}"
            )
        return self


class GatesParams(Strict):
    """What a guarded model must reach on validation examples to be promoted.

    Clean is balanced accuracy, of a number R2 against the mean of the training set; robust is the same under the
    adaptive attack at the budget, of a number tolerance skill: what is within the tolerance, where that mean counts 0.

    Attributes:
        margin: least lead of clean's lower end over what a constant gets (1 / classes, or 0); it must be exceeded.
        worse_than_linear: how far clean may lie below that of a plain linear model on the same examples.
        robust: floor under robust's lower end; left out: none.
        clean: floor under clean's lower end; left out: none, since how hard a task is nobody knows beforehand.
        vote: which variants of the guard vote: all of them, the plain input alone, or (auto) whichever leaves the model
            more robust, by what attacks leave and bounds certify.
    """

    margin: Share = 0.0
    worse_than_linear: Share = 0.1
    robust: Share | None = None
    clean: Share | None = None
    vote: Vote | Literal["auto"] = "auto"


class Tolerant(Strict):
    """What an attacker of the task wants.

    Attributes:
        tolerance: of a regression, the largest error that counts as correct; None of classes.
    """

    tolerance: Positive | None = None


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
        raise_only: features that an attacker may only raise.
        lower_only: features that an attacker may only lower.
        units: of eps in raw units by feature, as `eps.features` says them.
        dates: by column of dates the parts of it that are features, whole numbers beyond an attacker's reach.
        levels: by category how many of its values are kept, the most frequent ones; a rarer or unknown one is "other".
        ranges: smallest and largest valid value by feature; an attack keeps the others within the training rows' range.
        relations: between numbers, one line each: every row keeps them, and so does every adversarial example.
        split: the columns and the file that the split will need.
        checks: what a first look at the data finds worth a note.
    """

    name: Name
    kind: Kind
    source: str
    read: ReadParams = ReadParams()
    target: str
    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    integer: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    raise_only: tuple[str, ...] = Field(default=(), exclude_if=unset)
    lower_only: tuple[str, ...] = Field(default=(), exclude_if=unset)
    units: dict[str, float] = Field(default_factory=dict, exclude_if=unset)
    ranges: dict[str, Range] = Field(default_factory=dict)
    relations: tuple[Line, ...] = Field(default=(), exclude_if=unset)
    dates: dict[str, Annotated[tuple[Part, ...], Field(min_length=1)]] = Field(default_factory=dict, exclude_if=unset)
    levels: dict[str, Count] = Field(default_factory=dict, exclude_if=unset)
    split: SplitSource = Field(default=SplitSource(), exclude_if=_by_chance)
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
        both = sorted({*self.raise_only} & {*self.lower_only})
        if both:
            raise ValueError(f"lower_only: raise_only names '{both[0]}' too; leave it out of one of them")
        for line in self.relations:
            strangers = check_columns(line, own, self.categorical, self.immutable)
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


class JudgedParams(Tolerant, Gaps):
    """What raw data are judged by: their own rules, and the gates that their examples must be able to show."""

    name: Name
    kind: Kind
    checks: ValidateParams
    split: SplitParams
    attack: Points
    gates: GatesParams

"""The sections of params.yaml, all but the recipes: what holds for a task, its model and its evaluation."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from redoubt.bundle.base.types import GuardDraws, Positive, Vote
from redoubt.core.types import Norm, Threat
from redoubt.params.settings.base import (
    Balance,
    Count,
    Curve,
    Share,
    Size,
    Strict,
    ThresholdRule,
)
from redoubt.params.settings.networks import ModelParams

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


def split_by_chance(split: SplitSource) -> bool:
    """Whether rows are dealt out at random: such a split is left out of the settings on disk."""
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
        vote: which variants of the guard answer: all of them by a vote, the squeezed or the plain input alone, or
            (auto) whichever leaves the model more robust, by what attacks leave and bounds certify.
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

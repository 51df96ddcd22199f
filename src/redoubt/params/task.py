"""One task with every section resolved."""

from typing import Self

from pydantic import model_validator

from redoubt.core.types import Norm
from redoubt.params.recipes import HardenParams
from redoubt.params.settings.base import Curve
from redoubt.params.settings.sections import (
    HARDENED,
    AttackParams,
    CertifyParams,
    DataParams,
    Eps,
    ImageGuard,
    JudgedParams,
    SplitParams,
    SweepParams,
    TableGuard,
    TrainParams,
    ValidateParams,
)


class Task(DataParams, JudgedParams):
    """One task with every section resolved: the kind's defaults, overridden by the task's own block."""

    checks: ValidateParams
    split: SplitParams
    sweep: SweepParams
    train: TrainParams
    harden: HardenParams
    guard: ImageGuard | TableGuard
    eps: Eps
    attack: AttackParams
    certify: CertifyParams

    @property
    def norm(self) -> Norm:
        """In which the task is hardened and gated."""
        return self.harden.norm

    @property
    def linf(self) -> Curve:
        """Points of the L-inf curve, at which interval bounds are certified too."""
        return self.attack.linf

    @property
    def trained_elsewhere(self) -> tuple[str, ...]:
        """One sentence per hardened model that trains at another size than the task's eps."""
        return tuple(self.harden.trained_elsewhere(self.eps))

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "regression" and self.tolerance is None:
            raise ValueError("a regression task needs 'tolerance': the largest error that counts as correct")
        of_tables = (
            *("features", "categorical", "integer", "immutable", "raise_only", "lower_only"),
            *("ranges", "missing", "levels", "units"),
        )
        given = next((name for name in of_tables if getattr(self, name)), None)
        if self.kind == "regression" and self.train.balance != "none":
            raise ValueError("train.balance weighs classes; this task is a regression: leave it out")
        if self.kind == "regression" and self.train.threshold != "none":
            raise ValueError("train.threshold decides between two classes; this task is a regression: leave it out")
        if self.kind == "image" and self.split.by:
            raise ValueError(f"split.{'group' if self.split.group else 'time'}: images have no columns")
        if self.split.by in (*self.missing, self.target):
            raise ValueError(f"split: '{self.split.by}' is the target, or has a policy for missing cells; take neither")
        if self.kind == "image" and given:
            raise ValueError(f"an image task takes no '{'eps.features' if given == 'units' else given}'")
        if self.kind != "image" and any(m.kind == "cnn" for m in self.sweep.models):
            raise ValueError("a cnn needs images; this task is a table")
        moving = next((name for name in HARDENED if getattr(self.harden.recipe(name), "augment", None)), None)
        if self.kind != "image" and moving:
            raise ValueError(f"harden.{moving}: 'augment' moves pictures; this task is a table")
        if self.features:
            self.check_declared(self.features)
        return self

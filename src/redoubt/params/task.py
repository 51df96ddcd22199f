"""One task with every section resolved."""

from typing import Self

from pydantic import model_validator

from redoubt.core.types import Norm
from redoubt.params.recipes import HardenParams, Sized
from redoubt.params.settings.base import Curve, unknown
from redoubt.params.settings.data_params import Curved, DataParams, JudgedParams
from redoubt.params.settings.networks import Cnn, Linear, Mlp
from redoubt.params.settings.search import SearchParams
from redoubt.params.settings.sections import (
    HARDENED,
    AttackParams,
    CertifyParams,
    Eps,
    ImageGuard,
    SplitParams,
    SweepParams,
    TableGuard,
    TrainParams,
    ValidateParams,
)

# Of rows that the sweep draws, so that no fold is left without one.
ROWS_PER_FOLD = 10


class Task(DataParams, JudgedParams, Curved):
    """One task with every section resolved: the kind's defaults, overridden by the task's own block."""

    checks: ValidateParams
    split: SplitParams
    sweep: SweepParams | SearchParams
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
    def networks(self) -> dict[str, Linear | Mlp | Cnn]:
        """Every network that is trained, by the key that names it."""
        models = self.sweep.models if isinstance(self.sweep, SweepParams) else ()
        swept = {f"sweep.models.{place}": model for place, model in enumerate(models)}
        own = {f"harden.{name}": self.harden.recipe(name).model for name in HARDENED}
        return swept | {f"{key}.model": model for key, model in own.items() if model is not None}

    @property
    def halvings(self) -> int:
        """How often the deepest of its networks halves an image by max pooling."""
        pooled = [each for each in self.networks.values() if isinstance(each, Cnn) and each.pooling == "max"]
        return max((len(each.filters) for each in pooled), default=0)

    @property
    def trained_elsewhere(self) -> tuple[str, ...]:
        """One sentence per hardened model that trains at another size than the task's eps."""
        return tuple(self.harden.trained_elsewhere(self.eps))

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "regression" and self.tolerance is None:
            raise ValueError("a regression task needs 'tolerance': the largest error that counts as correct")
        of_tables = (
            *("features", "categorical", "integer", "immutable", "mutable", "switches", "raise_only", "lower_only"),
            *("ranges", "relations", "missing", "levels", "units", "transform", "dates", "costs"),
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
        if self.kind == "image" and isinstance(self.sweep, SearchParams):
            raise ValueError("sweep.trials draws networks for tables; this task has images: list 'models' instead")
        convolved = next((key for key, each in self.networks.items() if each.kind == "cnn"), None)
        if self.kind != "image" and convolved:
            raise ValueError(f"{convolved}: a cnn needs images; this task is a table")
        moving = next((name for name in HARDENED if getattr(self.harden.recipe(name), "augment", None)), None)
        if self.kind != "image" and moving:
            raise ValueError(f"harden.{moving}: 'augment' moves pictures; this task is a table")
        if self.words_only and not (self.categorical or self.dates):
            raise ValueError("features: the list is empty, and so are 'categorical' and 'dates': nothing to learn from")
        if self.features or self.words_only:
            self.check_declared(self.features)
            numbers = (*self.features, *self.parts)
            other = next((name for name in self.transform if name not in numbers), None)
            if other is not None:
                raise ValueError(f"transform: {unknown(other, numbers, 'feature')}")
        return self

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        """Refuse what would stop a stage that trains, after minutes."""
        least = ROWS_PER_FOLD * self.split.folds
        if self.sweep.rows is not None and self.sweep.rows < least:
            raise ValueError(
                f"sweep.rows is {self.sweep.rows}, too few for split.folds {self.split.folds}: say at least {least}"
            )
        recipes = [self.harden.recipe(name) for name in HARDENED]
        trained = {
            each.trained_at(self.eps) for each in recipes if isinstance(each, Sized) and each.trained_norm == "linf"
        }
        if self.kind == "image" and max(trained, default=0.0) >= 1.0:
            raise ValueError(
                f"eps: a model is trained at L-inf {max(trained):g}, but pixels span 0 to 1: say less than 1, such as"
                f" {max(trained) / 255:.3g} for {max(trained):g} of 255 levels"
            )
        return self

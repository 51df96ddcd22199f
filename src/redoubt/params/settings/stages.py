"""The settings of one stage: what it reads of params.yaml, and no more."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from redoubt.bundle.base.io import first_mistake
from redoubt.bundle.base.types import Kind, Name
from redoubt.core.types import Norm
from redoubt.params.settings.base import Curve, ParamsError, Strict
from redoubt.params.settings.costs import Costs
from redoubt.params.settings.data_params import Curved, DataParams, JudgedParams
from redoubt.params.settings.own_rules import OwnRule
from redoubt.params.settings.search import SearchParams
from redoubt.params.settings.sections import (
    AttackParams,
    Balanced,
    CertifyParams,
    Decided,
    Eps,
    GatesParams,
    ImageGuard,
    SplitParams,
    SweepParams,
    TableGuard,
    Thresholded,
    Tolerant,
    TrainParams,
    unset,
)

# Where `resolve` writes them: FOLDER/TASK/STAGE.json, FOLDER/studies/NAME.json, FOLDER/report.json.
FOLDER = Path("resolved")
S = TypeVar("S", bound=Strict)
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Course = Literal["quick", "full"]


def _by_larger_logit(decided: Decided) -> bool:
    return decided.threshold == "none"


class IngestSettings(DataParams):
    """Where the data come from, and the seed of a simulation."""

    seed: Seed


class ValidateSettings(JudgedParams):
    """What the data are judged by, and the seed of the split that the gates are judged on.

    Attributes:
        own: the user's rules beside those that follow from the task.
        train: what only some data can be trained with.
        halvings: how often the deepest network halves an image; left out of the settings of a table.
    """

    own: tuple[OwnRule, ...] = Field(default=(), exclude_if=unset)
    train: Decided = Field(default=Decided(), exclude_if=_by_larger_logit)
    halvings: int = Field(default=0, exclude_if=unset)
    seed: Seed


class SplitSettings(Strict):
    """How rows are split."""

    name: Name
    kind: Kind
    split: SplitParams
    seed: Seed


class ScaleSettings(Curved):
    """What is scaled otherwise than by mean and deviation, and the sizes that are told in raw units."""

    name: Name
    eps: Eps


class SweepSettings(Strict):
    """The grid, or the ranges, that are searched."""

    name: Name
    sweep: SweepParams | SearchParams
    train: Balanced
    seed: Seed


class TrainSettings(Strict):
    """How the natural model is trained, and the guard that it is given."""

    name: Name
    train: TrainParams
    guard: ImageGuard | TableGuard
    seed: Seed


class AttackSettings(Tolerant):
    """Which threats are tried, and how hard; `norm` is the one that the gates look at."""

    name: Name
    eps: Eps
    costs: Costs | None = Field(default=None, exclude_if=unset)
    attack: AttackParams
    norm: Norm
    seed: Seed


class CertifySettings(Tolerant):
    """What is certified; `linf` are sizes of interval bounds beside the task's eps."""

    name: Name
    eps: Eps
    linf: Curve
    certify: CertifyParams
    seed: Seed

    @property
    def sizes(self) -> tuple[float, ...]:
        """Every L-inf eps that interval bounds are taken at, rising."""
        return tuple(sorted({*self.linf, self.eps.linf}))


class PromoteSettings(Tolerant):
    """The gates, and what two models must have in common to be compared."""

    name: Name
    kind: Kind
    eps: Eps
    attack: AttackParams
    train: Thresholded
    gates: GatesParams
    trained_elsewhere: tuple[str, ...]
    seed: Seed


class SectionSettings(Tolerant):
    """What a task's pages tell of its settings."""

    name: Name
    kind: Kind
    source: str
    target: str
    eps: Eps
    attack: AttackParams
    certify: CertifyParams
    guard: ImageGuard | TableGuard
    norm: Norm
    trained_elsewhere: tuple[str, ...]
    seed: Seed


class StudySettings(Strict):
    """How large one study is.

    Attributes:
        module: where it is written.
        sizes: what differs from its module's own defaults.
        code: the digest of each file of code that it or its stage imports: an edit of one makes the study new.
    """

    name: Name
    module: str
    course: Course
    sizes: dict[str, Any]
    code: dict[str, str]
    seed: Seed


class ReportSettings(Strict):
    """What the report joins, in the order that it is shown in."""

    tasks: tuple[Name, ...]
    studies: tuple[Name, ...]
    seed: Seed


def read_settings(kind: type[S], path: Path) -> S:
    """Read what `resolve` wrote for a stage.

    Args:
        kind: which settings.
        path: below `FOLDER`.

    Raises:
        ParamsError: there is no such file, or it holds something else.
    """
    try:
        return kind.model_validate_json((FOLDER / path).read_bytes())
    except OSError as error:
        raise ParamsError(
            f"{FOLDER / path}: cannot be read: {error.strerror}; `dvc repro` or `python -m pipelines.resolve` writes it"
        ) from None
    except ValidationError as error:
        raise ParamsError(f"{FOLDER / path}: {first_mistake(error)}; run `python -m pipelines.resolve` again") from None

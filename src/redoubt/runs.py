"""What a stage says about a run, as data: written as JSON by the stages, mirrored into MLflow by `tracking`."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator, model_validator

from redoubt.bundle.base.io import digest
from redoubt.core.errors import RedoubtError
from redoubt.core.store import dumps

# What MLflow accepts as the name of a parameter, a metric or a tag.
Name = Annotated[str, Field(pattern=r"^[\w\-. /:]+$", max_length=250)]
Title = Annotated[str, Field(pattern=r"^[^'\"`\n]+$", max_length=250)]

V = TypeVar("V")


class RunRecordError(RedoubtError):
    """A record that cannot become a run; the message names the file or the run, and the fix."""


class RunRecord(BaseModel):
    """One stage's share of one run.

    Attributes:
        run: name of the run, such as `natural`; records of one task that share it become one run.
        stage: the DVC stage that wrote it; after `merge`, all of them, comma-separated.
        task: the task, which is the MLflow experiment.
        params: what was chosen.
        metrics: what came out, one number each; one that is None was not measured, and is left out.
        curves: stepped metrics as (step, value) with rising steps: epochs, or 1000 * eps.
        tags: what identifies it, such as the digest of the data.
        artifacts: files and folders to attach, relative to the project's top folder.
        children: sweep points and folds; they have no children of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Title
    stage: Title
    task: Title
    params: dict[Name, str | int | float | bool] = {}
    metrics: dict[Name, FiniteFloat] = {}
    curves: dict[Name, list[tuple[int, FiniteFloat]]] = {}
    tags: dict[Name, str] = {}
    artifacts: list[str] = []
    children: list["RunRecord"] = []

    @field_validator("metrics", mode="before")
    @classmethod
    def _only_what_was_measured(cls, metrics: Any) -> Any:
        if not isinstance(metrics, Mapping):
            return metrics
        return {name: value for name, value in metrics.items() if value is not None}

    @model_validator(mode="after")
    def _can_be_read_back(self) -> "RunRecord":
        both = sorted(set(self.metrics) & set(self.curves))
        if both:
            raise ValueError(f"run '{self.run}': '{both[0]}' is both a metric and a curve; give the curve another name")
        for name, points in self.curves.items():
            if not points or any(right[0] <= left[0] for left, right in pairwise(points)):
                raise ValueError(f"run '{self.run}': the steps of curve '{name}' must rise, and there must be one")
        for child in self.children:
            if child.children:
                raise ValueError(f"run '{self.run}': child '{child.run}' has children; one level is all the UI shows")
            if child.task != self.task:
                raise ValueError(f"run '{self.run}' of task {self.task}: child '{child.run}' is of task {child.task}")
        return self

    @property
    def stages(self) -> list[str]:
        """The stages that had a share in the run."""
        return self.stage.split(", ")


def key(record: RunRecord) -> str:
    """The content key of a run: SHA-256 of its canonical JSON, in hexadecimal."""
    return digest(dumps(record.model_dump(mode="json")).encode())


def merge(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Join the records of each run, in the order of task and run name.

    Raises:
        RunRecordError: two stages disagree on a value.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        groups.setdefault((record.task, record.run), []).append(record)
    return [_join(groups[name]) for name in sorted(groups)]


def read_records(root: Path) -> list[RunRecord]:
    """Read every `reports/TASK/records/*.json` of a project and merge them; hidden files are nobody's records.

    Raises:
        RunRecordError: a file that is no record, or two that disagree.
    """
    return merge(_read(path) for path in sorted(root.glob("reports/*/records/[!.]*.json")))


def _read(path: Path) -> RunRecord:
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise RunRecordError(f"{path}: {_reason(error)}; run its stage again with `dvc repro -f -s`") from None


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}".removeprefix(": ").removeprefix("Value error, ")


def _join(parts: list[RunRecord]) -> RunRecord:
    first = parts[0]
    where = f"run '{first.run}' of task {first.task}"
    try:
        return RunRecord(
            run=first.run,
            stage=", ".join(sorted({stage for part in parts for stage in part.stages})),
            task=first.task,
            params=_union(where, (part.params for part in parts)),
            metrics=_union(where, (part.metrics for part in parts)),
            curves=_union(where, (part.curves for part in parts)),
            tags=_union(where, (part.tags for part in parts)),
            artifacts=sorted({path for part in parts for path in part.artifacts}),
            children=_in_order(child for part in parts for child in part.children),
        )
    except ValidationError as error:
        raise RunRecordError(_reason(error)) from None


def _in_order(children: Iterable[RunRecord]) -> list[RunRecord]:
    """Children merged by name, in the order they were given: a sweep's points follow the grid."""
    given = list(children)
    place = {child.run: index for index, child in reversed(list(enumerate(given)))}
    return sorted(merge(given), key=lambda child: place[child.run])


def _union(where: str, parts: Iterable[Mapping[str, V]]) -> dict[str, V]:
    union: dict[str, V] = {}
    for part in parts:
        for name, value in part.items():
            known: Any = union.setdefault(name, value)
            if known != value:
                raise RunRecordError(
                    f"{where}: '{name}' is {known!r} in one stage's record and {value!r} in another's; "
                    "prefix it with the stage's name"
                )
    return union

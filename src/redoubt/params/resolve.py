"""params.yaml taken apart into the settings of each stage."""

from typing import Any, TypeVar

from redoubt.params.harden import HardenSettings
from redoubt.params.load import Params, StudySizes
from redoubt.params.settings.base import Strict
from redoubt.params.settings.own_rules import OwnRule
from redoubt.params.settings.sections import HARDENED
from redoubt.params.settings.stages import (
    AttackSettings,
    CertifySettings,
    Course,
    IngestSettings,
    PromoteSettings,
    ReportSettings,
    ScaleSettings,
    SectionSettings,
    SplitSettings,
    SweepSettings,
    TrainSettings,
    ValidateSettings,
)
from redoubt.params.task import Task

S = TypeVar("S", bound=Strict)
STAGES: dict[str, type[Strict]] = {
    "ingest": IngestSettings,
    "validate": ValidateSettings,
    "split": SplitSettings,
    "scale": ScaleSettings,
    "sweep": SweepSettings,
    "train": TrainSettings,
    "attack": AttackSettings,
    "certify": CertifySettings,
    "promote": PromoteSettings,
    "section": SectionSettings,
}


def settings(kind: type[S], task: Task, seed: int, **more: Any) -> S:
    """What a stage reads of a task.

    Args:
        kind: the stage's settings; each field is the task's of that name, or one of the others.
        task: resolved.
        seed: of everything that is drawn.
        more: fields that are no task's.
    """
    given = {"seed": seed, "own": (), **more}
    values = {field: given[field] if field in given else getattr(task, field) for field in kind.model_fields}
    # By way of its text, which leaves away what the stage's own types do not hold.
    return kind.model_validate_json(kind.model_construct(**values).model_dump_json())


def of_task(params: Params, name: str, own: tuple[OwnRule, ...] = ()) -> dict[str, Strict]:
    """The settings of every stage of a task, by the name of its file.

    Args:
        params: the whole file.
        name: of the task.
        own: the user's own rules for its data.

    Raises:
        ParamsError: there is no such task.
    """
    task, seed = params.task(name), params.seed
    hardened = {
        f"harden-{model}": settings(HardenSettings, task, seed, model=model, recipe=task.harden.recipe(model))
        for model in HARDENED
    }
    return {stage: settings(kind, task, seed, own=own) for stage, kind in STAGES.items()} | hardened


def sizes_of_study(params: Params, name: str, course: Course) -> dict[str, Any]:
    """What params.yaml changes of a study's own sizes."""
    given = params.studies.get(name, StudySizes())
    return {**given.quick, **(given.full if course == "full" else {})}


def of_report(params: Params) -> ReportSettings:
    """What the report joins: every declared task that has a section, and the studies."""
    return ReportSettings(tasks=tuple(params.tasks), studies=tuple(params.studies), seed=params.seed)

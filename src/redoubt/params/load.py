"""params.yaml, read and checked once; what is wrong is said in one sentence."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field, ValidationError

from redoubt.bundle.base.types import NAME_RULE, Kind, Name, is_name
from redoubt.params.recipes import HardenParams
from redoubt.params.settings.base import ParamsError, Strict, unknown
from redoubt.params.settings.search import SearchParams
from redoubt.params.settings.sections import (
    AttackParams,
    CertifyParams,
    Eps,
    GatesParams,
    ImageGuard,
    SplitParams,
    SweepParams,
    TableGuard,
    TrainParams,
    ValidateParams,
)
from redoubt.params.settings.stages import Course, Seed
from redoubt.params.task import Task
from redoubt.params.yaml_file import read_yaml

M = TypeVar("M", bound=Strict)

# What the project itself keeps beside the tasks' own folders and experiments, by names compared without case.
RESERVED = {
    "attacks": "reports/attacks holds what `redoubt attack` writes",
    "certificates": "reports/certificates holds what `redoubt certify` writes",
    "course": "MLflow's experiment 'course' holds the studies, and reports/course.html shows them",
    "index": "reports/index.html is the report on all tasks",
    "metrics": "reports/metrics holds a file of every task",
    "sections": "reports/sections holds a page of every task",
    "studies": "reports/studies holds the studies",
}

BY_KIND = ("sweep", "train", "harden", "guard", "eps", "attack", "certify", "gates")
SHARED = ("split", "validate")
# Keys of a sweep by a grid, and of one that draws.
BY_LISTS, BY_TRIALS = {"batch_size", "learning_rate", "models"}, {"trials", "ranges"}
# Keys that tell the members of a union apart.
TAGS = {"kind", "method"}
# Keys that a section once had, and what says the same now.
REPLACED = {
    ("harden", "eps"): "a recipe trains at the task's `eps: {linf: ..., l2: ...}`, which is also attacked, certified"
    " and gated; say `train_eps` to train at another size",
    ("attack", "budget"): "the size that is gated and reported is the section `eps: {linf: ..., l2: ...}`, by kind or"
    " in the task's own block",
}


class StudySizes(Strict):
    """Sizes of a study, by the names that its module documents.

    Attributes:
        quick: what differs from the module's defaults, quick or full.
        full: what differs further at full size.
    """

    quick: dict[str, Any] = Field(default_factory=dict)
    full: dict[str, Any] = Field(default_factory=dict)


class Params(Strict):
    """The whole file.

    Attributes:
        seed: of everything that is drawn.
        run: the tasks that `dvc repro` works on.
        course: quick runs the studies on embedded stand-ins, full on the course's own data where it is found.
        studies: the experiments that `dvc repro` runs.
        tasks: all that are declared.
    """

    seed: Seed
    run: Annotated[tuple[Name, ...], Field(min_length=1)]
    course: Course
    studies: dict[Name, StudySizes]
    tasks: dict[Name, Task]

    def task(self, name: str) -> Task:
        """The task of that name.

        Raises:
            ParamsError: no task has it; the message lists the declared ones.
        """
        if name not in self.tasks:
            near = difflib.get_close_matches(name, self.tasks, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ParamsError(f"params.yaml: no task '{name}'; {hint}declared tasks: {', '.join(self.tasks)}")
        return self.tasks[name]


def _refuseunknown(found: list[str], valid: list[str], where: str) -> None:
    for key in found:
        if key not in valid:
            raise ParamsError(f"{where}: {unknown(str(key), valid)}")


def load(path: Path | str = "params.yaml") -> Params:
    """Read and check a params file.

    Args:
        path: the YAML file.

    Raises:
        ParamsError: unreadable file, unknown or mistyped key, value out of range, unknown task in `run`.
    """
    path = Path(path)
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise ParamsError(f"{path}: expected keys and values, got {type(raw).__name__}")
    return _resolve(raw, path)


def _resolve(raw: dict[str, Any], path: Path) -> Params:
    expected = ["seed", "run", "course", "studies", "tasks", *SHARED, *BY_KIND]
    _refuseunknown(list(raw), expected, str(path))
    missing = [key for key in expected if key not in raw]
    if missing:
        raise ParamsError(f"{path}: missing key '{missing[0]}'")
    for section in (*SHARED, "studies", "tasks", *BY_KIND):
        if not isinstance(raw[section], dict):
            raise ParamsError(f"{path}: '{section}' must hold keys and values, got {raw[section]!r}")
    for section in BY_KIND:
        _refuseunknown(list(raw[section]), list(get_args(Kind)), f"{path}: {section}")
    _check_names(raw, path)
    tasks = {name: _task(name, block, raw, path) for name, block in raw["tasks"].items()}
    shared = {key: raw[key] for key in ("seed", "run", "course", "studies")}
    params = _parse(Params, {**shared, "tasks": {}}, path, "")
    params = params.model_copy(update={"tasks": tasks})
    for place, name in enumerate(params.run):
        params.task(name)
        if name in params.run[:place]:
            raise ParamsError(f"{path}: run names task '{name}' twice; leave one of them out")
    return params


def _check_names(raw: dict[str, Any], path: Path) -> None:
    """Refuse names that cannot be a folder's, or whose folder is another's.

    Raises:
        ParamsError: not a name, the name of something that the pipeline keeps itself, or two that differ in case alone.
    """
    for section in ("studies", "tasks"):
        for name in raw[section]:
            if not isinstance(name, str):
                kind = type(name).__name__
                raise ParamsError(f"{path}: {section}: YAML reads {name!r} as {kind}; put the name in quotes")
            if not is_name(name):
                raise ParamsError(f"{path}: {section}: {NAME_RULE}; got {name[:80]!r}")
    known: dict[str, str] = {}
    for name in raw["tasks"]:
        if name.lower() in RESERVED:
            raise ParamsError(f"{path}: tasks: '{name}' is taken: {RESERVED[name.lower()]}; choose another name")
        other = known.setdefault(name.lower(), name)
        if other != name:
            raise ParamsError(
                f"{path}: tasks: '{other}' and '{name}' differ in case alone, and would share their folders on many"
                " machines; rename one of them"
            )


def _task(name: str, block: Any, raw: dict[str, Any], path: Path) -> Task:
    where = f"tasks.{name}"
    if not isinstance(block, dict) or block.get("kind") not in ("regression", "classification", "image"):
        raise ParamsError(f"{path}: {where}.kind must be regression, classification or image")
    kind = block["kind"]
    own = {key: value for key, value in block.items() if key not in (*SHARED, *BY_KIND)}
    valid = sorted((set(Task.model_fields) - {"name", "checks", "units", "words_only"}) | {"validate"})
    _refuseunknown(list(own), valid, f"{path}: {where}")
    own |= {"words_only": True} if own.get("features") == [] else {}
    for section in (*SHARED, *BY_KIND):
        if section in BY_KIND and kind not in raw[section]:
            raise ParamsError(f"{path}: missing key '{section}.{kind}'")
        base = raw[section] if section in SHARED else raw[section][kind]
        _parse(_section_model(section, kind, base), base, path, section if section in SHARED else f"{section}.{kind}")
        over = block.get(section, {})
        if not isinstance(over, dict):
            raise ParamsError(f"{path}: {where}.{section} must hold keys and values, got {over!r}")
        base = _searched_as(over, base) if section == "sweep" else base
        merged = _with_test_file(_merge(base, over), base) if section == "split" else _merge(base, over)
        resolved = _parse(_section_model(section, kind, merged), merged, path, f"{where}.{section}")
        own["checks" if section == "validate" else section] = resolved.model_dump()
        own |= {"units": resolved.units} if isinstance(resolved, Eps) else {}
    return _parse(Task, {"name": name, **own}, path, where)


def _with_test_file(split: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """`test: PATH` in a task's block as `test_file: PATH`; the share stays that of all tasks, and is not used."""
    test = split.get("test")
    if not isinstance(test, str) or not Path(test).suffix[1:2].isalpha():
        return split
    return {**split, "test": base.get("test"), "test_file": test}


def _searched_as(over: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """What a kind's sweep adds to that of a task's block: lists beside lists, ranges beside trials, never both."""
    other = BY_LISTS if "trials" in over else BY_TRIALS if BY_LISTS & set(over) else set()
    return {key: value for key, value in base.items() if key not in other}


def _section_model(section: str, kind: Kind, data: object) -> type[Strict]:
    models: dict[str, type[Strict]] = {
        "split": SplitParams,
        "validate": ValidateParams,
        "sweep": SearchParams if isinstance(data, dict) and "trials" in data else SweepParams,
        "train": TrainParams,
        "harden": HardenParams,
        "guard": ImageGuard if kind == "image" else TableGuard,
        "eps": Eps,
        "attack": AttackParams,
        "certify": CertifyParams,
        "gates": GatesParams,
    }
    return models[section]


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        # A block that names its kind anew stands alone.
        merged[key] = _merge(merged[key], value) if both and not TAGS & set(value) else value
    return merged


def _parse(model: type[M], data: Any, path: Path, where: str) -> M:
    try:
        # JSON mode is strict about numbers and words yet takes YAML's lists for tuples.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        found = error.errors()
        # A mistyped key leaves the right one missing too: the typo is what helps.
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        loc = first["loc"]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            valid = sorted(_model_at(model, loc[:-1]).model_fields)
            message, loc = _replaced(where, str(loc[-1])) or unknown(str(loc[-1]), valid), loc[:-1]
        elif first["type"] != "missing" and not isinstance(first["input"], dict):
            message += f"; got {first['input']!r}"
            if first["type"] == "string_type" and isinstance(first["input"], (bool, int, float)):
                message += "; YAML takes no, yes, on, off and digits for flags and numbers: put the word in quotes"
        key = ".".join([where, *(str(part) for part in loc)]).strip(".")
        raise ParamsError(f"{path}: {key}: {message}") from None
    except TypeError as error:
        raise ParamsError(f"{path}: {where}: {error}") from None


def _replaced(where: str, key: str) -> str | None:
    """What to write instead of a key that a section once had."""
    parts = where.split(".")
    section = parts[-1] if parts[0] == "tasks" else parts[0]
    if section == "sweep" and key in BY_LISTS:
        instead = "width: [8, 64], depth: [0, 2]" if key == "models" else f"{key}: [lowest, highest]"
        return f"'{key}' lists points of a grid, but 'trials' draws them: say 'ranges: {{{instead}}}', or no 'trials'"
    if section == "sweep" and key == "ranges":
        return "'ranges' are drawn from by 'trials', which is not there: say how many trials, such as 'trials: 24'"
    now = REPLACED.get((section, key))
    return f"'{key}' is no longer a key here: {now}" if now else None


def _model_at(model: type[Strict], loc: tuple[int | str, ...]) -> type[Strict]:
    for part in loc:
        if part in model.model_fields:
            inner = _models_in(model.model_fields[str(part)].annotation)
            model = inner[0] if inner else model
            tagged = [each for each in inner if TAGS & set(each.model_fields)]
        elif isinstance(part, str):
            model = next((each for each in tagged if part in _tags(each)), model)
    return model


def _tags(model: type[Strict]) -> tuple[str, ...]:
    tag = model.model_fields.get("kind") or model.model_fields["method"]
    return get_args(tag.annotation)


def _models_in(annotation: Any) -> list[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [found for arg in get_args(annotation) for found in _models_in(arg)]

"""What `redoubt compare` reads: a project's results, a task's, a bundle's card, or a run of MLflow."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from redoubt.bundle.base.io import read_typed
from redoubt.bundle.base.types import Vote
from redoubt.core.errors import RedoubtError
from redoubt.evaluation.guards import behind
from redoubt.evaluation.results import Robustness
from redoubt.report.compare import Side

RUN = re.compile(r"(?:runs:/|https?://.*/runs/)?([0-9a-f]{32})(?:[/?].*)?")
EXPECTED = "a project's folder, its reports/TASK, a robustness.json, a bundle with a card.json, or an MLflow run"

# What a card holds that was found out, not chosen.
FOUND = {"numbers", "selection", "clean", "certificates", "seconds", "command", "weights", "passed"}


class SideError(RedoubtError):
    """Nothing that can be compared is there; the message says what was looked for."""


class Measured(BaseModel):
    """What is read of a robustness.json."""

    model_config = ConfigDict(frozen=True)

    task: str
    models: dict[str, Any]


class Card(BaseModel):
    """What is read of a card.json."""

    model_config = ConfigDict(frozen=True, extra="allow")

    task: str
    model: str
    numbers: dict[str, Any]


class Record(BaseModel):
    """What is read of a run's record."""

    model_config = ConfigDict(frozen=True)

    run: str
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}


class Promotion(BaseModel):
    """What is read of a promotion.json."""

    model_config = ConfigDict(frozen=True)

    champion: str | None = None
    guards: dict[str, Vote] = {}


def run_id(text: str) -> str | None:
    """The run that is meant, where it is one of MLflow's: an id, `runs:/ID` or the address of its page."""
    found = RUN.fullmatch(text)
    return found[1] if found else None


def sides_of(text: str) -> list[Side]:
    """What lies in a place of this machine, a task each.

    Args:
        text: a folder or file; `:MODEL` behind it names another model than the champion.

    Raises:
        SideError: it is not there, or holds nothing that was measured.
        BundleError: a file that cannot be read, or of another form.
    """
    place, model = Path(text), None
    if not place.exists() and ":" in text:
        before, _, model = text.rpartition(":")
        place = Path(before)
    if not place.exists():
        raise SideError(f"{text}: there is no such file or folder; expected {EXPECTED}")
    if place.is_file():
        place = place.parent
    if (place / "card.json").is_file():
        return [_of_card(text, read_typed(place / "card.json", Card))]
    found = [place] if (place / "robustness.json").is_file() else _tasks(place)
    if not found:
        raise SideError(f"{text}: it holds neither robustness.json nor card.json; expected {EXPECTED}")
    return [_of_report(text if len(found) == 1 else f"{text} ({folder.name})", folder, model) for folder in found]


def side_of_run(text: str, name: str, settings: Mapping[str, Any], file: Path | None) -> Side:
    """A run of a model, by what the tracking store holds of it.

    Args:
        text: as it was named.
        name: of the run, and of its model.
        settings: its parameters and tags.
        file: its robustness.json, if it has one.

    Raises:
        SideError: no robustness was recorded in it.
    """
    if file is None:
        raise SideError(f"{text}: run '{name}' holds no robustness.json; name the run of a model")
    found = read_typed(file, Measured)
    return Side(text, found.task, name, settings, _numbers(text, found, name))


def pairs(a: list[Side], b: list[Side]) -> list[tuple[Side, Side]]:
    """Who is compared with whom: task by task, or, of one on either side, these two.

    Raises:
        SideError: they have no task in common.
    """
    if len(a) == len(b) == 1:
        return [(a[0], b[0])]
    other = {side.task: side for side in b}
    found = [(side, other[side.task]) for side in a if side.task in other]
    if not found:
        tasks = [", ".join(side.task for side in each) for each in (a, b)]
        raise SideError(f"they have no task in common: {tasks[0]}; and {tasks[1]}")
    return found


def _tasks(place: Path) -> list[Path]:
    """The folder of every task that was measured, of a project or of its reports."""
    return sorted(path.parent for path in [*place.glob("*/robustness.json"), *place.glob("reports/*/robustness.json")])


def _of_card(name: str, card: Card) -> Side:
    settings = dict(_flat({key: value for key, value in card.model_dump().items() if key not in FOUND}))
    if "eps" in settings:
        settings.setdefault("eps/linf", settings.pop("eps"))
    return Side(name, card.task, card.model, settings, card.numbers)


def _of_report(name: str, folder: Path, model: str | None) -> Side:
    found = read_typed(folder / "robustness.json", Measured)
    path = folder / "promotion.json"
    promotion = read_typed(path, Promotion) if path.is_file() else Promotion()
    # As in the report, where no model is promoted the natural one is shown.
    model = model or promotion.champion or "natural"
    numbers, vote = _numbers(name, found, model), promotion.guards.get(model, "all")
    if vote != "all":
        numbers = behind(Robustness.model_validate(numbers), vote).model_dump(mode="json")
    settings: dict[str, Any] = {"digest": numbers.get("digest"), "model": model, "vote": vote}
    for path in sorted(folder.glob("records/*.json")):
        record = read_typed(path, Record)
        if record.run == model:
            settings |= record.params | record.tags | {"model": model}
    return Side(name, found.task, model, settings, numbers)


def _numbers(name: str, found: Measured, model: str) -> dict[str, Any]:
    if model not in found.models:
        raise SideError(f"{name}: there is no model '{model}'; expected one of {', '.join(sorted(found.models))}")
    numbers: dict[str, Any] = found.models[model]["test"]
    return numbers


def _flat(values: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}/")
        else:
            yield name.removeprefix("comparable/"), value

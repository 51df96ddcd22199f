"""Attack every model, with and without its guard, by attackers who do and do not know it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.code import code_digest
from redoubt.compute import spread
from redoubt.core.store import whole_file, write_arrays, write_json
from redoubt.core.types import Norm
from redoubt.evaluation.attack_report import clean_figures, curve, record
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.results import NORMS, join
from redoubt.evaluation.worker import SHOWN, ModelResult, Split, WorkerJob, measure
from redoubt.params.settings.sections import CANDIDATES
from redoubt.params.settings.stages import AttackSettings

SPLITS = ("validation", "test")


def work(settings: AttackSettings) -> None:
    """Read models, rows and bounds; write robustness.json, the eps curves, the examples and the records."""
    data, reports = load_data(settings.name), Path("reports", settings.name)
    cache = EvaluationCache(Path(".redoubt", "attack", settings.name), code_digest("pipelines.attack"))
    found = dict(zip(NORMS, spread(measure, [(job,) for job in _jobs(settings, data, cache)], "attack"), strict=True))
    models: dict[str, Any] = {}
    for name in CANDIDATES:
        each = {
            split: join([found[norm][split][name].robustness for norm in NORMS if split in found[norm]])
            for split in SPLITS
        }
        clean = clean_figures(GuardedModel.load(Path("models", settings.name, name)), data.test)
        models[name] = {**{split: measured.model_dump() for split, measured in each.items()}, "clean": clean}
        for norm in NORMS:
            with whole_file(reports / "curves" / f"{name}-{norm}.csv") as path:
                pd.DataFrame(curve(each["test"], norm)).to_csv(path, index=False, lineterminator="\n")
        kept = record(settings, name, clean, each["test"])
        write_json(reports / "records" / f"attack-{name}.json", kept.model_dump())
    write_json(reports / "robustness.json", {"task": settings.name, "norm": settings.norm, "models": models})
    shown = {norm: found[norm]["test"] for norm in NORMS}
    write_arrays(reports / "examples.npz", _examples(shown, data))
    cache.keep_used()


def _jobs(settings: AttackSettings, data: TaskData, cache: EvaluationCache) -> list[WorkerJob]:
    """One per norm: test rows in both; validation rows in the gated one, at the sizes that a choice needs."""
    rows = {split: some_rows(getattr(data, split), settings.attack.points) for split in SPLITS}
    bounds, gated = data.bounds.covering(rows["validation"].x).covering(rows["test"].x), settings.norm
    chosen = tuple(sorted({settings.attack.grid(gated, settings.eps)[0], settings.eps.of(gated)}))
    validation = {"validation": Split(rows["validation"], chosen, thorough=False)}
    return [
        WorkerJob(
            settings=settings,
            folders={name: Path("models", settings.name, name) for name in CANDIDATES},
            splits={
                **(validation if norm == gated else {}),
                "test": Split(rows["test"], settings.attack.grid(norm, settings.eps), thorough=True),
            },
            bounds=bounds,
            norm=norm,
            seed=settings.seed,
            cache=cache,
            place=place,
            target_mean=None if data.schema.is_classification else data.scaler.target_mean,
        )
        for place, norm in enumerate(NORMS, start=1)
    ]


def _examples(found: Mapping[Norm, Mapping[str, ModelResult]], data: TaskData) -> dict[str, Any]:
    """The first test rows, and what the budget's attack makes of them."""
    examples: dict[str, Any] = {"x": data.test.x[:SHOWN], "y": data.test.y[:SHOWN]}
    for name in CANDIDATES:
        for norm in NORMS:
            shown = found[norm][name]
            examples |= {f"{name}_{norm}": shown.examples[:SHOWN], f"{name}_{norm}_answers": shown.answers}
    return examples


if __name__ == "__main__":
    run("attack", AttackSettings, work)

"""Search batch sizes, learning rates and models by N-fold cross-validation: all of a grid, or trials that are drawn."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines._curves import by_epoch
from pipelines._data import TaskData, load_data
from pipelines._stage import run
from redoubt.bundle.base.io import digest
from redoubt.code import code_digest
from redoubt.compute import results_of, spread
from redoubt.core.store import dumps, whole_file, write_json
from redoubt.data.shared.dataset import digest_arrays
from redoubt.evaluation.cache import EvaluationCache
from redoubt.params.settings.search import SearchParams
from redoubt.params.settings.stages import SweepSettings
from redoubt.progress import progress_bar
from redoubt.runs import RunRecord
from redoubt.training.search import BATCH, Tried, search, totals
from redoubt.training.sweep import Folds, Point, best_epoch, cross_validate, describe, grid, winner

KEPT = Path(".redoubt", "sweep")
Jobs = Callable[[Sequence[Point], Sequence[float]], list[tuple[Any, ...]]]


def work(settings: SweepSettings) -> None:
    """Read rows, split and scalers; write sweep.csv, selected.json and the record."""
    data = load_data(settings.name)
    folds = _folds(data, settings)
    # Folds done before a kill are not done again.
    cache = EvaluationCache(KEPT / settings.name, code_digest("pipelines.sweep"))

    def jobs(points: Sequence[Point], limits: Sequence[float] = ()) -> list[tuple[Any, ...]]:
        common = (folds, data.schema, settings.sweep.epochs, settings.seed, cache.remember, limits)
        return [(point, *common) for point in points]

    if isinstance(settings.sweep, SearchParams):
        journal = KEPT / settings.name / f"{_mark(settings, folds)}.journal"
        tried = _drawn(settings, settings.sweep, len(folds.scalers), journal, jobs)
    else:
        points = grid(settings.sweep)
        curves = spread(cross_validate, jobs(points), f"sweep@{settings.name}")
        tried = [Tried(point, each) for point, each in zip(points, curves, strict=True)]
    _write(settings.name, data, tried, len(folds.scalers))
    cache.close()
    # Those of settings that were given up too.
    for path in (KEPT / settings.name).glob("*.journal*"):
        path.unlink()


def _drawn(settings: SweepSettings, sweep: SearchParams, folds: int, journal: Path, jobs: Jobs) -> list[Tried]:
    """Trials of a search, with a bar that says how many there will be."""
    with progress_bar(total=sweep.trials, desc=f"sweep@{settings.name}", unit="trial") as bar:

        def train(points: Sequence[Point], limits: Sequence[float]) -> list[Any]:
            found = []
            for each in results_of(cross_validate, jobs(points, limits), BATCH):
                found.append(each)
                bar.update()
            return found

        return search(sweep, folds, settings.seed, journal, train)


def _mark(settings: SweepSettings, folds: Folds) -> str:
    """Of all that a search depends on: a journal of anything else is not gone on with."""
    arrays = {"x": folds.batch.x, "y": folds.batch.y, "fold": folds.fold}
    scalers = [each.to_json() for each in folds.scalers]
    whole = {"settings": settings.model_dump(), "rows": digest_arrays(arrays), "scalers": scalers}
    return digest(dumps({**whole, "code": code_digest("pipelines.sweep")}).encode())[:16]


def _folds(data: TaskData, settings: SweepSettings) -> Folds:
    order, rows = np.arange(len(data.train)), settings.sweep.rows
    if rows is not None and rows < len(order):
        order = np.sort(np.random.default_rng(settings.seed).choice(order, rows, replace=False))
    return Folds(data.observed.take(order), data.split.fold[order], data.fold_scalers, settings.train.balance)


def _write(task: str, data: TaskData, tried: Sequence[Tried], folds: int) -> None:
    scores = totals(tried, folds)
    best = winner(scores)
    reports, point = Path("reports", task), tried[best].point
    table = pd.DataFrame(
        [
            {**_numbered(each), **_settings(each.point, data), "fold": fold, **best_epoch(curve)}
            for each in tried
            for fold, curve in enumerate(each.curves)
        ]
    )
    with whole_file(reports / "sweep.csv") as path:
        table.to_csv(path, index=False, lineterminator="\n")
    selected = {**_settings(point, data), "settings": point.model.model_dump()}
    write_json(reports / "selected.json", {**selected, "validation_loss": scores[best]})
    write_json(reports / "records" / "sweep.json", _record(task, data, tried, scores).model_dump())


def _settings(point: Point, data: TaskData) -> dict[str, Any]:
    model = describe(point.model, data.schema.outputs)
    return {"model": model, "batch_size": point.batch_size, "learning_rate": point.learning_rate}


def _numbered(tried: Tried) -> dict[str, int]:
    return {} if tried.trial is None else {"trial": tried.trial}


def _record(task: str, data: TaskData, tried: Sequence[Tried], scores: Sequence[float]) -> RunRecord:
    common: dict[str, Any] = {"task": task, "stage": "sweep", "tags": {"dataset": data.sha256}}
    children, best = [], winner(scores)
    folds = len(tried[best].curves)
    for each in tried:
        settings = _settings(each.point, data)
        name = f"{settings['model']}, batch {each.point.batch_size}, rate {each.point.learning_rate:g}"
        name = name if each.trial is None else f"trial {each.trial}: {name}"
        settings |= _numbered(each) | ({"stopped_after": len(each.curves)} if len(each.curves) < folds else {})
        means = {key: float(np.mean([best_epoch(curve)[key] for curve in each.curves])) for key in each.curves[0][0]}
        children.append(RunRecord(run=name, params={**settings, "fold": "mean"}, metrics=_finite(means), **common))
        children += [
            RunRecord(
                run=f"{name}, fold {fold}",
                params={**settings, "fold": fold},
                metrics=_finite(best_epoch(curve)),
                curves=by_epoch(curve),
                **common,
            )
            for fold, curve in enumerate(each.curves)
        ]
    return RunRecord(
        run="sweep",
        params={**_settings(tried[best].point, data), "points": len(tried), "folds": folds},
        metrics={"val_loss": scores[best]},
        artifacts=[f"reports/{task}/sweep.csv", f"reports/{task}/selected.json"],
        children=children,
        **common,
    )


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


if __name__ == "__main__":
    run("sweep", SweepSettings, work)

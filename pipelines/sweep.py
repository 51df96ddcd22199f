"""Search the grid of batch sizes, learning rates and models by N-fold cross-validation."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines._curves import by_epoch
from pipelines._data import TaskData, load_data
from pipelines._stage import run
from redoubt.code import code_digest
from redoubt.compute import spread
from redoubt.core.store import whole_file, write_json
from redoubt.evaluation.cache import EvaluationCache
from redoubt.params.settings.stages import SweepSettings
from redoubt.runs import RunRecord
from redoubt.training.sweep import Curve, Folds, Point, best_epoch, cross_validate, describe, grid, score, winner


def work(settings: SweepSettings) -> None:
    """Read rows, split and scalers; write sweep.csv, selected.json and the record."""
    data = load_data(settings.name)
    points = grid(settings.sweep)
    folds = _folds(data, settings)
    # Folds done before a kill are not done again.
    cache = EvaluationCache(Path(".redoubt", "sweep", settings.name), code_digest("pipelines.sweep"))
    jobs = [(point, folds, data.schema, settings.sweep.epochs, settings.seed, cache.remember) for point in points]
    curves = spread(cross_validate, jobs, f"sweep@{settings.name}")
    best = winner([score(each) for each in curves])
    reports = Path("reports", settings.name)
    table = pd.DataFrame(
        [
            {**_settings(point, data), "fold": fold, **best_epoch(curve)}
            for point, each in zip(points, curves, strict=True)
            for fold, curve in enumerate(each)
        ]
    )
    with whole_file(reports / "sweep.csv") as path:
        table.to_csv(path, index=False, lineterminator="\n")
    selected = {**_settings(points[best], data), "settings": points[best].model.model_dump()}
    write_json(reports / "selected.json", {**selected, "validation_loss": score(curves[best])})
    write_json(reports / "records" / "sweep.json", _record(settings.name, data, points, curves).model_dump())
    cache.close()


def _folds(data: TaskData, settings: SweepSettings) -> Folds:
    order, rows = np.arange(len(data.train)), settings.sweep.rows
    if rows is not None and rows < len(order):
        order = np.sort(np.random.default_rng(settings.seed).choice(order, rows, replace=False))
    return Folds(data.observed.take(order), data.split.fold[order], data.fold_scalers, settings.train.balance)


def _settings(point: Point, data: TaskData) -> dict[str, Any]:
    model = describe(point.model, data.schema.outputs)
    return {"model": model, "batch_size": point.batch_size, "learning_rate": point.learning_rate}


def _record(task: str, data: TaskData, points: list[Point], curves: list[list[Curve]]) -> RunRecord:
    common: dict[str, Any] = {"task": task, "stage": "sweep", "tags": {"dataset": data.sha256}}
    children = []
    for point, each in zip(points, curves, strict=True):
        settings = _settings(point, data)
        name = f"{settings['model']}, batch {point.batch_size}, rate {point.learning_rate:g}"
        means = {key: float(np.mean([best_epoch(curve)[key] for curve in each])) for key in best_epoch(each[0])}
        children.append(RunRecord(run=name, params={**settings, "fold": "mean"}, metrics=_finite(means), **common))
        children += [
            RunRecord(
                run=f"{name}, fold {fold}",
                params={**settings, "fold": fold},
                metrics=_finite(best_epoch(curve)),
                curves=by_epoch(curve),
                **common,
            )
            for fold, curve in enumerate(each)
        ]
    best = winner([score(each) for each in curves])
    return RunRecord(
        run="sweep",
        params={**_settings(points[best], data), "points": len(points), "folds": len(curves[0])},
        metrics={"val_loss": score(curves[best])},
        artifacts=[f"reports/{task}/sweep.csv", f"reports/{task}/selected.json"],
        children=children,
        **common,
    )


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


if __name__ == "__main__":
    run("sweep", SweepSettings, work)

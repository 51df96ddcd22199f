"""Certify every model: what no L-inf perturbation (interval bounds) and no L2 one (randomized smoothing) can change."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from redoubt.bundle.certificates import proven
from redoubt.bundle.guarded_model import GuardedModel
from redoubt.certify.randomized_smoothing import certify_classes, certify_numbers
from redoubt.certify.refute import check_not_refuted, ends, points
from redoubt.data.store import write_json
from redoubt.evaluation.metrics import column_score, rate
from redoubt.params import HARDENED, Params, Task
from redoubt.perturbable import Immovable, immovable
from redoubt.runs import RunRecord
from redoubt.types import Batch, Floats

MODELS = ("natural", *HARDENED)


def work(params: Params, task: Task) -> None:
    """Read models and rows; write certificates.json and the records."""
    data, reports = load_data(task.name), Path("reports", task.name)
    models = {}
    for name in MODELS:
        guarded = GuardedModel.load(Path("models", task.name, name))
        smoothing = _classes if data.schema.labels else _numbers
        models[name] = {
            "smoothing": smoothing(guarded, data, task, params.seed, f"certify@{task.name} {name}"),
            "interval": _interval(guarded, data, task, params.seed),
        }
        write_json(reports / "records" / f"certify-{name}.json", _record(task, name, models[name]).model_dump())
    write_json(
        reports / "certificates.json", {"task": task.name, "settings": task.certify.model_dump(), "models": models}
    )


def _interval(guarded: GuardedModel, data: TaskData, task: Task, seed: int) -> list[dict[str, Any]]:
    """Certified accuracy of the network alone on the whole test split, per L-inf eps; at 0 it is clean accuracy.

    Raises:
        RefutedError: the network answers a proven example wrong, at itself or at a random point of its ball.
    """
    rows: list[dict[str, Any]] = []
    for eps in (0.0, *task.attack.grid("linf", task.eps)):
        fixed = _immovable(data.test, data, eps)
        measured = not (fixed and fixed.everything)
        right = _proven(guarded, data, task, eps, seed) if measured else None
        rows.append({"eps": eps, **_certified(right, data.test, data, task), "immovable": fixed and fixed.model_dump()})
    return rows


def _proven(guarded: GuardedModel, data: TaskData, task: Task, eps: float, seed: int) -> NDArray[np.bool_]:
    batch, bounds = data.test, data.bounds.covering(data.test.x)
    certified = proven(guarded.prove(batch.x, eps, np.random.default_rng(0))[:, 0], batch.y, task.tolerance)
    for where, point in points(batch.x, *ends(batch.x, eps, bounds), seed):
        wrong = _wrong(guarded.network(point), batch.y, task.tolerance)
        check_not_refuted(f"L-inf {eps:g}", certified, wrong, where)
    return certified


def _wrong(outputs: Floats, y: NDArray[Any], tolerance: float | None) -> NDArray[np.bool_]:
    """Where a class is another one, or a number further from the truth than the tolerance."""
    if tolerance is None:
        other: NDArray[np.bool_] = outputs.argmax(axis=1) != y
        return other
    return ~(np.abs(outputs[:, 0] - y) <= tolerance)


def _immovable(batch: Batch, data: TaskData, eps: float) -> Immovable | None:
    """What cannot change within eps; where nothing can, there is nothing to certify."""
    return immovable(batch.x, data.bounds.covering(batch.x), eps, data.schema) if eps else None


def _is_vacuous(batch: Batch, data: TaskData, eps: float) -> bool:
    fixed = _immovable(batch, data, eps)
    return fixed is not None and fixed.everything


def _classes(guarded: GuardedModel, data: TaskData, task: Task, seed: int, label: str) -> dict[str, Any]:
    """Share of rows whose smoothed class is right and certain at each radius; radius 0 is the clean share."""
    batch = some_rows(data.test, task.certify.points)
    smoothed = certify_classes(guarded.network, batch.x, task.certify, data.bounds, seed, label)
    right = smoothed.label == batch.y
    return {
        "abstained": rate(smoothed.label < 0).model_dump(),
        "radii": [
            {
                "radius": radius,
                **_certified(
                    None if _is_vacuous(batch, data, radius) else right & (smoothed.radius >= radius), batch, data, task
                ),
            }
            for radius in (0.0, *task.certify.grid(task.eps))
        ],
    }


def _numbers(guarded: GuardedModel, data: TaskData, task: Task, seed: int, label: str) -> dict[str, Any]:
    """Share of rows whose smoothed value stays within the tolerance everywhere inside each radius."""
    batch = some_rows(data.test, task.certify.points)
    rows: list[dict[str, Any]] = []
    for radius in tqdm((0.0, *task.certify.grid(task.eps)), desc=label, unit="radius"):
        if _is_vacuous(batch, data, radius):
            rows.append({"radius": radius, "certified": None, "median_width": None})
            continue
        low, high = certify_numbers(guarded.network, batch.x, radius, task.certify, data.bounds, seed)
        error = np.maximum(np.abs(low - batch.y), np.abs(high - batch.y))
        finite = np.isfinite(error)
        rows.append(
            {
                "radius": radius,
                **_certified(finite & (error <= (task.tolerance or 0.0)), batch, data, task),
                "median_width": float(np.median((high - low)[finite])) if finite.any() else None,
            }
        )
    return {"radii": rows}


def _certified(right: NDArray[np.bool_] | None, batch: Batch, data: TaskData, task: Task) -> dict[str, Any]:
    """A share, and beside it the score by which no constant looks certified; None where nothing was measured."""
    if right is None:
        return {"certified": None, "score": None}
    missed = np.abs(batch.y - data.scaler.target_mean) > (task.tolerance or 0.0)
    score = column_score(right, batch.y, data.schema.outputs, missed)
    return {"certified": rate(right).model_dump(), "score": score.model_dump() if score else None}


def _record(task: Task, name: str, measured: dict[str, Any]) -> RunRecord:
    radii, eps = _curve(measured["smoothing"]["radii"], "radius"), _curve(measured["interval"], "eps")
    budget = next(row for row in measured["interval"] if row["eps"] == task.eps.linf)
    return RunRecord(
        run=name,
        stage="certify",
        task=task.name,
        params={"certify/sigma": task.certify.sigma, "certify/draws": task.certify.draws},
        metrics={
            "certified/l2/smoothed_clean": radii[0][1],
            **({"certified/linf/interval": budget["certified"]["share"]} if budget["certified"] else {}),
        },
        curves={"radius_l2/certified": radii, "eps_linf/certified": eps},
    )


def _curve(rows: list[dict[str, Any]], size: str) -> list[tuple[int, float]]:
    """As MLflow steps it; of two sizes that share a step the larger one is kept."""
    found = [row for row in rows if row["certified"]]
    return list({round(1000 * row[size]): row["certified"]["share"] for row in found}.items())


if __name__ == "__main__":
    run("certify", work)

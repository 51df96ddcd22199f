"""Certify every model: what no L-inf perturbation (interval bounds) and no L2 one (randomized smoothing) can change."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from redoubt.certify.proof import proven
from redoubt.certify.smoothing import certify_classes, certify_numbers
from redoubt.data.store import write_json
from redoubt.defenses.guarded import GuardedModel
from redoubt.evaluation.metrics import column_score, rate
from redoubt.params import HARDENED, Params, Task
from redoubt.records import Record
from redoubt.tasks import Batch

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
            "interval": _interval(guarded, data, task),
        }
        write_json(reports / "records" / f"certify-{name}.json", _record(task, name, models[name]).model_dump())
    write_json(
        reports / "certificates.json", {"task": task.name, "settings": task.certify.model_dump(), "models": models}
    )


def _interval(guarded: GuardedModel, data: TaskData, task: Task) -> list[dict[str, Any]]:
    """Share of the whole test split that the network alone answers right all over each L-inf ball; eps 0 is clean."""
    batch, rows = data.test, []
    for eps in (0.0, *task.attack.linf):
        proof = guarded.prove(batch.x, eps, np.random.default_rng(0))[:, 0]
        rows.append({"eps": eps, **_certified(proven(proof, batch.y, task.tolerance), batch, data, task)})
    return rows


def _classes(guarded: GuardedModel, data: TaskData, task: Task, seed: int, label: str) -> dict[str, Any]:
    """Share of rows whose smoothed class is right and certain at each radius; radius 0 is the clean share."""
    batch = some_rows(data.test, task.certify.points)
    smoothed = certify_classes(guarded.network, batch.x, task.certify, data.bounds, seed, label)
    right = smoothed.label == batch.y
    return {
        "abstained": rate(smoothed.label < 0).model_dump(),
        "radii": [
            {"radius": radius, **_certified(right & (smoothed.radius >= radius), batch, data, task)}
            for radius in (0.0, *task.certify.radii)
        ],
    }


def _numbers(guarded: GuardedModel, data: TaskData, task: Task, seed: int, label: str) -> dict[str, Any]:
    """Share of rows whose smoothed value stays within the tolerance everywhere inside each radius."""
    batch, rows = some_rows(data.test, task.certify.points), []
    for radius in tqdm((0.0, *task.certify.radii), desc=label, unit="radius"):
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


def _certified(right: NDArray[np.bool_], batch: Batch, data: TaskData, task: Task) -> dict[str, Any]:
    """A share, and beside it the score by which no constant looks certified."""
    missed = np.abs(batch.y - data.scaler.target_mean) > (task.tolerance or 0.0)
    score = column_score(right, batch.y, data.schema.outputs, missed)
    return {"certified": rate(right).model_dump(), "score": score.model_dump() if score else None}


def _record(task: Task, name: str, measured: dict[str, Any]) -> Record:
    radii = [(round(1000 * row["radius"]), row["certified"]["share"]) for row in measured["smoothing"]["radii"]]
    eps = [(round(1000 * row["eps"]), row["certified"]["share"]) for row in measured["interval"]]
    budget = next(row for row in measured["interval"] if row["eps"] == task.attack.budget.linf)
    return Record(
        run=name,
        stage="certify",
        task=task.name,
        params={"certify/sigma": task.certify.sigma, "certify/draws": task.certify.draws},
        metrics={
            "certified/l2/smoothed_clean": radii[0][1],
            "certified/linf/interval": budget["certified"]["share"],
        },
        curves={"radius_l2/certified": radii, "eps_linf/certified": eps},
    )


if __name__ == "__main__":
    run("certify", work)

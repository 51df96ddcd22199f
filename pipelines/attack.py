"""Attack every model, with and without its guard, by attackers who do and do not know it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from redoubt.bundle.guarded_model import GuardedModel
from redoubt.compute import spread
from redoubt.data.store import whole_file, write_arrays, write_json
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.metrics import Rate, Score, class_metrics, confusion, regression_metrics
from redoubt.evaluation.results import NORMS, Robustness, join
from redoubt.evaluation.worker import ModelResult, WorkerJob, measure
from redoubt.params import CANDIDATES, Norm, Params, Task
from redoubt.runs import RunRecord

COLUMNS = ("undefended", "oblivious", "adaptive")
SPLITS = ("validation", "test")
SHOWN = 8


def work(params: Params, task: Task) -> None:
    """Read models, rows and bounds; write robustness.json, the eps curves, the examples and the records."""
    data, reports, cache = load_data(task.name), Path("reports", task.name), Path(".redoubt", "attack", task.name)
    shards = _shards(params, task, data, cache)
    found = dict(zip(shards, spread(measure, [(job,) for job in shards.values()], "attack"), strict=True))
    models: dict[str, Any] = {}
    for name in CANDIDATES:
        each = {split: join([found[key][name].robustness for key in shards if key[0] == split]) for split in SPLITS}
        clean = _clean(GuardedModel.load(Path("models", task.name, name)), data)
        models[name] = {**{split: measured.model_dump() for split, measured in each.items()}, "clean": clean}
        _write_curves(reports / "curves", name, each["test"])
        record = _record(task, name, clean, each["test"])
        write_json(reports / "records" / f"attack-{name}.json", record.model_dump())
    write_json(reports / "robustness.json", {"task": task.name, "norm": task.harden.norm, "models": models})
    write_arrays(reports / "examples.npz", _examples(found, task, data))
    EvaluationCache(cache).close()


def _shards(params: Params, task: Task, data: TaskData, cache: Path) -> dict[tuple[str, Norm], WorkerJob]:
    """Test rows in every norm; validation rows in the one that the gates look at, and at what a choice needs."""
    rows = {split: some_rows(getattr(data, split), task.attack.points) for split in SPLITS}
    bounds, gated = data.bounds.covering(rows["validation"].x).covering(rows["test"].x), task.harden.norm
    chosen = sorted({task.attack.grid(gated, task.eps)[0], task.eps.of(gated)})
    wanted = {
        ("validation", gated): tuple(chosen),
        **{("test", norm): task.attack.grid(norm, task.eps) for norm in NORMS},
    }
    return {
        (split, norm): WorkerJob(
            task=task,
            folders={name: Path("models", task.name, name) for name in CANDIDATES},
            batch=rows[split],
            bounds=bounds,
            norm=norm,
            eps=eps,
            thorough=split == "test",
            seed=params.seed,
            cache=cache,
            place=place,
            target_mean=None if data.schema.labels else data.scaler.target_mean,
        )
        for place, ((split, norm), eps) in enumerate(wanted.items(), start=1)
    }


def _examples(
    found: Mapping[tuple[str, Norm], Mapping[str, ModelResult]], task: Task, data: TaskData
) -> dict[str, Any]:
    """The first test rows, and what the budget's attack makes of them."""
    examples: dict[str, Any] = {"x": data.test.x[:SHOWN], "y": data.test.y[:SHOWN]}
    for name in CANDIDATES:
        guarded = GuardedModel.load(Path("models", task.name, name))
        for norm in NORMS:
            shown = found["test", norm][name].examples[:SHOWN]
            examples |= {f"{name}_{norm}": shown, f"{name}_{norm}_answers": guarded.network(shown)}
    return examples


def _clean(guarded: GuardedModel, data: TaskData) -> dict[str, Any]:
    """Clean figures on the whole test split, without and with the guard."""
    x, y = data.test.x, data.test.y
    answers = {"undefended": guarded.network(x), "guarded": guarded.predict(x, np.random.default_rng(0)).vote}
    if not data.schema.labels:
        figures: dict[str, Any] = {name: regression_metrics(values[:, 0], y) for name, values in answers.items()}
        return {**figures, "pairs": np.stack([y, answers["undefended"][:, 0]], axis=1)[:500]}
    labels = {name: values.argmax(axis=1) for name, values in answers.items()}
    figures = {name: class_metrics(label, y, data.schema.outputs) for name, label in labels.items()}
    return {**figures, "confusion": confusion(labels["guarded"], y, data.schema.labels)}


def _write_curves(folder: Path, name: str, measured: Robustness) -> None:
    for norm in NORMS:
        cells = [cell for cell in measured.cells if cell.norm == norm]
        clean = measured.clean.share
        rows: list[dict[str, float | None]] = [{"eps": 0.0, "noise": clean, "fgsm": clean, **_at_zero(measured)}]
        rows += [
            {"eps": cell.eps, **{key: _share(getattr(cell, key)) for key in ("noise", "fgsm", *COLUMNS)}}
            for cell in cells
        ]
        with whole_file(folder / f"{name}-{norm}.csv") as path:
            pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n")


def _share(rate: Rate | None) -> float | None:
    """None leaves a gap in the curve."""
    return rate.share if rate else None


def _at_zero(measured: Robustness) -> dict[str, float]:
    guarded = measured.clean_guarded.share
    return {"undefended": measured.clean.share, "oblivious": guarded, "adaptive": guarded}


def _record(task: Task, name: str, clean: dict[str, Any], measured: Robustness) -> RunRecord:
    metrics = {f"test/{metric}": value for metric, value in clean["undefended"].items()}
    metrics |= {f"test/guarded_{metric}": value for metric, value in clean["guarded"].items()}
    metrics["test/false_positives"] = measured.false_positives.share
    curves: dict[str, list[tuple[int, float]]] = {}
    for norm in NORMS:
        budget = measured.at(norm, task.eps.of(norm))
        for column in COLUMNS:
            if budget.measured:
                metrics[f"robust/{norm}/{column}"] = getattr(budget, column).share
                metrics |= _scores(f"robust/{norm}/{column}", budget.scores.get(column))
            points = {0: _at_zero(measured)[column]}
            # Two sizes may share a step of MLflow's: the larger one is kept.
            points |= {
                round(1000 * cell.eps): getattr(cell, column).share
                for cell in measured.cells
                if cell.norm == norm and cell.measured
            }
            curves[f"eps_{norm}/{column}"] = list(points.items())
        metrics |= _scores(f"robust/{norm}/certified_guarded", budget.scores.get("certified_guarded"))
        metrics[f"robust/{norm}/failed_checks"] = len(measured.failed_checks(norm))
    return RunRecord(
        run=name,
        stage="attack",
        task=task.name,
        params={f"eps/{norm}": task.eps.of(norm) for norm in NORMS},
        metrics=metrics,
        curves=curves,
        artifacts=[f"reports/{task.name}/robustness.json"],
    )


def _scores(name: str, score: Score | None) -> dict[str, float]:
    """A score, and the share of the class that fares worst; per class all of them are in robustness.json."""
    if score is None:
        return {}
    shares = [each.share for each in score.per_class if each is not None]
    kind = "balanced" if score.metric == "balanced accuracy" else "skill"
    return {f"{name}_{kind}": score.value, **({f"{name}_worst_class": min(shares)} if shares else {})}


if __name__ == "__main__":
    run("attack", work)

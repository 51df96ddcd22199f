"""Attack every model, with and without its guard, by attackers who do and do not know it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

import pipelines._quiet  # noqa: F401
from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from redoubt.attacks.criteria import aim
from redoubt.data.store import whole_file, write_arrays, write_json
from redoubt.defenses.guarded import GuardedModel
from redoubt.evaluation.metrics import confusion, regression_metrics
from redoubt.evaluation.robustness import Evaluation, Setting, Subject
from redoubt.evaluation.verdict import NORMS, Cell, Robustness, threats
from redoubt.models.saved import load_network
from redoubt.params import Params, Task
from redoubt.records import Record
from redoubt.tasks import Batch, Floats
from redoubt.training.setup import make_deterministic

MODELS = ("natural", "adversarial")
COLUMNS = ("undefended", "oblivious", "adaptive")
SHOWN = 8


def work(params: Params, task: Task) -> None:
    """Read models, rows and bounds; write robustness.json, the eps curves, the examples and the records."""
    make_deterministic(params.seed)
    data, reports = load_data(task.name), Path("reports", task.name)
    setting = Setting(task.attack, aim(task), data.bounds, params.seed)
    budget: list[Any] = [(task.harden.norm, task.attack.budget.of(task.harden.norm))]
    models: dict[str, Any] = {}
    examples: dict[str, Any] = {}
    for name in MODELS:
        folder = Path("models", task.name, name)
        subject = Subject(load_network(folder), GuardedModel.load(folder))
        label = f"attack@{task.name} {name}"
        validation, _ = _measure(
            subject, some_rows(data.validation, task.attack.points), setting, budget, f"{label} validation"
        )
        test, moved = _measure(subject, some_rows(data.test, task.attack.points), setting, threats(task.attack), label)
        clean = _clean(subject.guarded, data)
        models[name] = {"validation": validation.model_dump(), "test": test.model_dump(), "clean": clean}
        for norm in NORMS:
            shown = moved[norm, task.attack.budget.of(norm)][:SHOWN]
            examples |= {f"{name}_{norm}": shown, f"{name}_{norm}_answers": subject.guarded.network(shown)}
        _write_curves(reports / "curves", name, test)
        record = _record(task, name, clean, test)
        write_json(reports / "records" / f"attack-{name}.json", record.model_dump())
    write_json(reports / "robustness.json", {"task": task.name, "norm": task.harden.norm, "models": models})
    write_arrays(reports / "examples.npz", {**examples, "x": data.test.x[:SHOWN], "y": data.test.y[:SHOWN]})


def _measure(
    subject: Subject, batch: Batch, setting: Setting, tried: list[Any], label: str
) -> tuple[Robustness, dict[Any, Floats]]:
    evaluation = Evaluation(subject, batch, setting)
    cells: Iterable[Cell] = tqdm(evaluation.run(tried), total=len(tried), desc=label, unit="threat")
    # Nothing is chosen by targeted attacks, so only the reported rows pay for them.
    return evaluation.summary(list(cells), targeted=len(tried) > 1), evaluation.examples


def _clean(guarded: GuardedModel, data: TaskData) -> dict[str, Any]:
    """Clean figures on the whole test split, without and with the guard."""
    x, y = data.test.x, data.test.y
    answers = {"undefended": guarded.network(x), "guarded": guarded.answer(x, np.random.default_rng(0)).vote}
    if not data.schema.labels:
        figures: dict[str, Any] = {name: regression_metrics(values[:, 0], y) for name, values in answers.items()}
        return {**figures, "pairs": np.stack([y, answers["undefended"][:, 0]], axis=1)[:500]}
    labels = {name: values.argmax(axis=1) for name, values in answers.items()}
    figures = {name: {"accuracy": float((label == y).mean())} for name, label in labels.items()}
    return {**figures, "confusion": confusion(labels["guarded"], y, data.schema.labels)}


def _write_curves(folder: Path, name: str, measured: Robustness) -> None:
    for norm in NORMS:
        cells = [cell for cell in measured.cells if cell.norm == norm]
        rows = [{"eps": 0.0, "noise": measured.clean.share, "fgsm": measured.clean.share} | _at_zero(measured)]
        rows += [
            {"eps": cell.eps, **{key: getattr(cell, key).share for key in ("noise", "fgsm", *COLUMNS)}}
            for cell in cells
        ]
        with whole_file(folder / f"{name}-{norm}.csv") as path:
            pd.DataFrame(rows).to_csv(path, index=False, lineterminator="\n")


def _at_zero(measured: Robustness) -> dict[str, float]:
    guarded = measured.clean_guarded.share
    return {"undefended": measured.clean.share, "oblivious": guarded, "adaptive": guarded}


def _record(task: Task, name: str, clean: dict[str, Any], measured: Robustness) -> Record:
    metrics = {f"test/{metric}": value for metric, value in clean["undefended"].items()}
    metrics |= {f"test/guarded_{metric}": value for metric, value in clean["guarded"].items()}
    metrics["test/false_positives"] = measured.false_positives.share
    curves: dict[str, list[tuple[int, float]]] = {}
    for norm in NORMS:
        budget = measured.at(norm, task.attack.budget.of(norm))
        for column in COLUMNS:
            metrics[f"robust/{norm}/{column}"] = getattr(budget, column).share
            points = [(round(1000 * c.eps), getattr(c, column).share) for c in measured.cells if c.norm == norm]
            curves[f"eps_{norm}/{column}"] = [(0, _at_zero(measured)[column]), *points]
    return Record(
        run=name,
        stage="attack",
        task=task.name,
        params={f"budget/{norm}": task.attack.budget.of(norm) for norm in NORMS},
        metrics=metrics,
        curves=curves,
        artifacts=[f"reports/{task.name}/robustness.json"],
    )


if __name__ == "__main__":
    run("attack", work)

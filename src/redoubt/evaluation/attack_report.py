"""What the attack stage writes of one model beside its robustness: clean figures, points of the curves, its record."""

from typing import Any

import numpy as np

from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.core.types import Batch, Norm
from redoubt.evaluation.metrics import Rate, Score, class_metrics, confusion, regression_metrics
from redoubt.evaluation.results import NORMS, Robustness
from redoubt.params.settings.stages import AttackSettings
from redoubt.runs import RunRecord

COLUMNS = ("undefended", "oblivious", "adaptive")


def clean_figures(guarded: GuardedModel, test: Batch) -> dict[str, Any]:
    """Clean figures on the whole test split, without the guard, with it, and where the squeezed variant answers."""
    x, y, schema = test.x, test.y, guarded.schema
    models = {"guarded": guarded, "squeezed": guarded.behind("squeezed")}
    votes = {name: each.predict(x, np.random.default_rng(0)).vote for name, each in models.items()}
    answers = {"undefended": guarded.network(x), **votes}
    if not schema.is_classification:
        figures: dict[str, Any] = {name: regression_metrics(values[:, 0], y) for name, values in answers.items()}
        return {**figures, "pairs": np.stack([y, answers["undefended"][:, 0]], axis=1)[:500]}
    labels = {name: values.argmax(axis=1) for name, values in answers.items()}
    figures = {name: class_metrics(label, y, schema.outputs) for name, label in labels.items()}
    return {**figures, "confusion": {name: confusion(label, y, schema.labels) for name, label in labels.items()}}


def curve(measured: Robustness, norm: Norm) -> list[dict[str, float | None]]:
    """Points of a model's robustness curve, eps 0 first."""
    clean = measured.clean.share
    rows: list[dict[str, float | None]] = [{"eps": 0.0, "noise": clean, "fgsm": clean, **_at_zero(measured)}]
    rows += [
        {"eps": cell.eps, **{key: _share(getattr(cell, key)) for key in ("noise", "fgsm", *COLUMNS)}}
        for cell in measured.cells
        if cell.norm == norm
    ]
    return rows


def _share(rate: Rate | None) -> float | None:
    """None leaves a gap in the curve."""
    return rate.share if rate else None


def _at_zero(measured: Robustness) -> dict[str, float]:
    guarded = measured.clean_guarded.share
    return {"undefended": measured.clean.share, "oblivious": guarded, "adaptive": guarded}


def record(settings: AttackSettings, name: str, clean: dict[str, Any], measured: Robustness) -> RunRecord:
    """A model's figures as MLflow shows them."""
    metrics = {f"test/{metric}": value for metric, value in clean["undefended"].items()}
    metrics |= {f"test/guarded_{metric}": value for metric, value in clean["guarded"].items()}
    metrics["test/false_positives"] = measured.false_positives.share
    curves: dict[str, list[tuple[int, float]]] = {}
    for norm in NORMS:
        budget = measured.at(settings.eps.threat(norm))
        for column in COLUMNS:
            if budget.measured:
                metrics[f"robust/{norm}/{column}"] = getattr(budget, column).share
                metrics |= _scores(f"robust/{norm}/{column}", budget.scores.get(column))
                metrics |= {f"robust/{norm}/{column}_mcc": budget.mcc[column]} if column in budget.mcc else {}
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
    if measured.cost is not None and measured.cost.undefended is not None and measured.cost.adaptive is not None:
        metrics |= {"robust/cost/undefended": measured.cost.undefended.share}
        metrics |= {"robust/cost/adaptive": measured.cost.adaptive.share}
    return RunRecord(
        run=name,
        stage="attack",
        task=settings.name,
        params={f"eps/{norm}": settings.eps.of(norm) for norm in NORMS},
        metrics=metrics,
        curves=curves,
        artifacts=[f"reports/{settings.name}/robustness.json"],
    )


def _scores(name: str, score: Score | None) -> dict[str, float]:
    """A score, and the share of the class that fares worst; per class all of them are in robustness.json."""
    if score is None:
        return {}
    shares = [each.share for each in score.per_class if each is not None]
    kind = "balanced" if score.metric == "balanced accuracy" else "skill"
    return {f"{name}_{kind}": score.value, **({f"{name}_worst_class": min(shares)} if shares else {})}

"""Render a task's section of the report: every table and figure."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipelines._data import TaskData, load_data
from pipelines._stage import run
from pipelines.headline import headline
from redoubt.bundle.base.types import Vote
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.core.store import read_arrays, read_json, whole_file, write_json
from redoubt.core.types import Norm
from redoubt.data.pokemon_go import simulate
from redoubt.data.shared.dataset import COLUMNS
from redoubt.evaluation.baselines import judgment
from redoubt.evaluation.guards import GUARDS, behind, clean_behind
from redoubt.evaluation.results import CostResult, Robustness
from redoubt.params.settings.sections import CANDIDATES, HARDENED
from redoubt.params.settings.stages import SectionSettings
from redoubt.perturbable import Immovable, grey_levels, in_raw_units, number, raw_units
from redoubt.report import chart, section_charts, simulator, svg
from redoubt.report.adversarial import Attacked, images, records
from redoubt.report.model_card import MODEL_CARD, card_html
from redoubt.report.page import render, report_page
from redoubt.training.sweep import Selected

NORMS: tuple[Norm, ...] = ("linf", "l2")
SIMULATED = 1000
COLUMNS_SHOWN = 100
GATES = {
    "margin": "clean above a constant predictor by more than",
    "clean": "clean at least",
    "robust": "robust (adaptive) at least",
    "worse_than_linear": "clean no further below a linear model than",
}
# How a metric is called, and whether it is a share, which is shown in percent.
METRICS = {
    "accuracy": ("accuracy", True),
    "balanced_accuracy": ("balanced accuracy", True),
    "within_tolerance": ("within the tolerance", True),
    "mcc": ("MCC", False),
    "mae": ("MAE", False),
    "rmse": ("RMSE", False),
    "r2": ("R²", False),
}
WEIGHED = ("undefended", "adaptive", "certified_guarded")


def work(settings: SectionSettings) -> None:
    """Read the task's reports; write its section of the page, and its line in the table of champions."""
    data, reports = load_data(settings.name), Path("reports", settings.name)
    promotion = read_json(reports / "promotion.json")
    robustness = _as_guarded(read_json(reports / "robustness.json"), promotion["guards"])
    provenance = read_json(Path("data/raw", settings.name, "provenance.json"))
    shown = _shown(promotion)
    clean = {name: each["clean"] for name, each in robustness["models"].items()}
    page = render(
        "section.html",
        task=settings.name,
        kind=settings.kind,
        source=settings.source,
        origin=provenance["origin"],
        sha256=data.sha256,
        rows=_rows(data),
        columns=_columns(settings.name),
        **{key: promotion[key] for key in ("champion", "digest", "baselines", "next_step")},
        candidates=[each for each in promotion["candidates"] if promotion["guards"][each["name"]] == each["vote"]],
        gates=_gates(promotion["gates"]),
        guard_choice=[_choice(each, promotion["guards"]) for each in promotion["candidates"]],
        guard_says=GUARDS.get(promotion["vote"], ""),
        kept=promotion["kept_incumbent"],
        norm=chart.NORMS[promotion["threat"]["norm"]],
        eps=promotion["threat"]["eps"],
        points=min(settings.attack.points, len(data.test)),
        right=_right(settings),
        targeted=data.schema.is_classification,
        models=_models(settings, robustness),
        unit=_unit(settings),
        threats=_threats(settings, data),
        immovable=_immovable_said(settings, robustness),
        costs=_cost_said(robustness),
        trained_elsewhere=settings.trained_elsewhere,
        guard=", ".join(f"{key} {value}" for key, value in settings.guard.model_dump().items()),
        attack=settings.attack,
        certify=settings.certify,
        certificates=_certificates(read_json(reports / "certificates.json")["models"]),
        selected=Selected.model_validate_json((reports / "selected.json").read_bytes()),
        shown=shown,
        card=_model_card(settings.name),
        figures=_figures(reports, settings, robustness),
        sweep=section_charts.sweep(pd.read_csv(reports / "sweep.csv")),
        labels=data.schema.labels,
        confusion=section_charts.confusion(clean[shown]["confusion"]["guarded"])
        if data.schema.is_classification
        else None,
        **_examples(reports, settings, data),
        clean=_clean(robustness, promotion["baselines"], data.schema),
        weighed=_weighed(settings, data, robustness),
    )
    row = headline(settings) | {
        "pixels": int(np.prod(data.schema.shape)) if settings.kind == "image" else 0,
        "chart": section_charts.card(settings.name, shown, robustness["models"][shown]["test"], promotion["threat"]),
    }
    write_json(Path("reports/sections", f"{settings.name}.json"), row)
    _write(Path("reports/sections", f"{settings.name}.html"), page)
    alone = report_page(f"Redoubt report: {settings.name}", settings.seed, [row], [page])
    _write(Path("reports", f"{settings.name}.html"), alone)


def _as_guarded(robustness: dict[str, Any], guards: dict[str, Vote]) -> dict[str, Any]:
    """Every model's figures behind the guard that was chosen for it on validation examples."""
    models = {name: {**each} for name, each in robustness["models"].items()}
    for name, each in models.items():
        each["test"] = behind(Robustness.model_validate(each["test"]), guards[name]).model_dump(mode="json")
        each["clean"] = clean_behind(each["clean"], guards[name])
    return {**robustness, "models": models}


def _gates(floors: dict[str, Any]) -> list[str]:
    """What a model had to reach, in words."""
    return [f"{said} {100 * floors[name]:g} %" for name, said in GATES.items() if floors[name] is not None]


def _choice(candidate: dict[str, Any], guards: dict[str, Vote]) -> dict[str, Any]:
    """One guard of one model, as the choice between them saw it: on validation examples."""
    scores = (candidate["clean"], candidate["robust"], candidate["certified"])
    return {
        "model": candidate["name"],
        "guard": GUARDS[candidate["vote"]],
        "figures": [_told(score) for score in scores],
        "chosen": guards[candidate["name"]] == candidate["vote"],
    }


def _model_card(task: str) -> Markup | None:
    """The champion's, where there is one."""
    path = Path("models", task, "champion", MODEL_CARD)
    return card_html(path.read_text(encoding="utf-8")) if path.is_file() else None


def _write(path: Path, page: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _columns(task: str) -> dict[str, Any]:
    """What ingest found in the source, the last of many columns aside."""
    found = read_json(Path("data/raw", task, COLUMNS))
    return {"shown": found["columns"][:COLUMNS_SHOWN], "all": len(found["columns"]), "notes": found["notes"]}


def _rows(data: TaskData) -> dict[str, int]:
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {**{name: len(batch) for name, batch in parts.items()}, "folds": len(data.fold_scalers)}


def _right(settings: SectionSettings) -> str:
    if settings.tolerance is None:
        return "A prediction counts as robust if it is the true class."
    return f"Robust if |prediction - {settings.target}| <= {settings.tolerance:g}."


def _unit(settings: SectionSettings) -> str:
    return "pixels in [0, 1]" if settings.kind == "image" else "standard deviations of each feature on the training set"


def _threats(settings: SectionSettings, data: TaskData) -> dict[str, Any]:
    """The task's eps in raw units: a sentence per norm, and of a table a row per feature."""
    sizes = {norm: raw_units(data.schema, data.bounds, settings.eps.of(norm)) for norm in NORMS}
    rows = [
        [name, *(f"{number(sizes[norm][name])}" if sizes[norm][name] > 0 else "cannot change" for norm in NORMS)]
        for name in sizes["linf"]
    ]
    levels = grey_levels(data.train.x)
    says = [in_raw_units(data.schema, data.bounds, norm, settings.eps.of(norm), levels) for norm in NORMS]
    return {"says": says, "rows": rows, "heads": [f"{chart.NORMS[norm]} {settings.eps.of(norm):g}" for norm in NORMS]}


def _immovable_said(settings: SectionSettings, robustness: dict[str, Any]) -> list[str]:
    """What no attacker could change: at the task's eps, and wherever nothing was measured for it."""
    models = {name: robustness["models"][name]["test"]["cells"] for name in CANDIDATES}
    said = []
    for cells in zip(*models.values(), strict=True):
        norm, eps = cells[0]["norm"], cells[0]["eps"]
        if not cells[0]["immovable"] or (cells[0]["adaptive"] and eps != settings.eps.of(norm)):
            continue
        fixed = [Immovable.model_validate(cell["immovable"]) for cell in cells]
        carry = [
            f"{100 * each.importance:.0f} % ({name})"
            for name, each in zip(models, fixed, strict=True)
            if each.importance is not None
        ]
        sentence = fixed[0].model_copy(update={"importance": None}).says(norm, eps)
        said.append(
            sentence + (f"; {fixed[0].carry} {', '.join(carry)} of the permutation importance" if carry else "")
        )
    return said


def _cost_said(robustness: dict[str, Any]) -> list[str]:
    """A sentence per model of a task that declares costs."""
    found = {name: robustness["models"][name]["test"].get("cost") for name in CANDIDATES}
    return [f"{name}: {CostResult.model_validate(each).says()}" for name, each in found.items() if each]


def _shown(promotion: dict[str, Any]) -> str:
    return promotion["champion"] or "natural"


def _models(settings: SectionSettings, robustness: dict[str, Any]) -> dict[str, Any]:
    return {name: _model(settings, robustness["models"][name]["test"]) for name in CANDIDATES}


def _model(settings: SectionSettings, measured: dict[str, Any]) -> dict[str, Any]:
    """A model's figures, with the words that the page shows for them."""
    cells = [
        {
            **cell,
            "norm": chart.NORMS[cell["norm"]],
            "budget": cell["eps"] == settings.eps.of(cell["norm"]),
            "targeted": measured["targeted"].get(cell["norm"]),
            "trusted": all(check["passed"] for check in measured["checks"][cell["norm"]]),
            "growth": _growth(cell["error_growth"]),
        }
        for cell in measured["cells"]
    ]
    checks = {chart.NORMS[norm]: measured["checks"][norm] for norm in NORMS}
    return {**measured, "cells": cells, "checks": checks}


def _certificates(models: dict[str, Any]) -> dict[str, Any]:
    """A row of shares per model: interval bounds by eps, then smoothing by radius."""
    first = next(iter(models.values()))
    rows = {name: [*each["interval"], *each["smoothing"]["radii"]] for name, each in models.items()}
    return {
        "heads": [
            *(f"L-inf {row['eps']:g}" for row in first["interval"]),
            *(f"L2 {row['radius']:g}" for row in first["smoothing"]["radii"]),
        ],
        "models": {name: [row["certified"] for row in each] for name, each in rows.items()},
        "complete": {name: _complete(each) for name, each in models.items() if each["complete"]},
    }


def _complete(measured: dict[str, Any]) -> dict[str, Any]:
    """What complete verification decided, beside what interval bounds alone certify at the same eps."""
    found = measured["complete"]
    interval = next(row["certified"] for row in measured["interval"] if row["eps"] == found["eps"])
    return {**found, "interval": interval}


def _growth(found: dict[str, float] | None) -> str:
    return " / ".join(f"{found[key]:.1f}" for key in ("mean", "p95", "max")) if found else ""


def _figures(reports: Path, settings: SectionSettings, robustness: dict[str, Any]) -> dict[str, Any]:
    """The charts of the section, and the simulator where it can be compared."""
    task, models = settings.name, robustness["models"]
    histories = {name: pd.read_csv(reports / "history" / f"{name}.csv") for name in ("natural", *HARDENED)}
    pairs = {name: models[name]["clean"].get("pairs") for name in CANDIDATES}
    return {
        "eps": section_charts.eps_curves(
            task, {name: models[name]["test"] for name in CANDIDATES}, settings.eps.model_dump()
        ),
        "ablation": section_charts.ablation(
            task,
            {name: models[name]["test"] for name in CANDIDATES},
            {"norm": settings.norm, "eps": settings.eps.of(settings.norm)},
        ),
        "certified": section_charts.certified(task, read_json(reports / "certificates.json")["models"]),
        "learning": section_charts.learning_curves(task, histories),
        "predictions": section_charts.predictions(task, pairs, settings.target) if pairs["natural"] else None,
        "simulator": _simulator(settings),
    }


def _simulator(settings: SectionSettings) -> str | None:
    """The simulator beside the real table, where the task holds the real table."""
    if settings.source != "pokemon_cp":
        return None
    real = pd.read_csv(Path("data/raw", settings.name, "table.csv"))
    return svg.to_data_uri(simulator.figure(simulate(np.random.default_rng(settings.seed), SIMULATED), real))


def _examples(reports: Path, settings: SectionSettings, data: TaskData) -> dict[str, Any]:
    """A few attacked examples: pictures of images, changes of a table; none where nothing can be perturbed."""
    stored = read_arrays(reports / "examples.npz")
    x, models = stored["x"], {}
    for name in CANDIDATES:
        clean = GuardedModel.load(Path("models", settings.name, name)).network(x)
        models[name] = Attacked(clean, stored[f"{name}_linf"], stored[f"{name}_linf_answers"])
    if all(np.array_equal(x, each.x_adv) for each in models.values()):
        return {"images": None, "examples": None}
    if settings.kind == "image":
        return {"images": images(x, stored["y"].tolist(), models, data.schema), "examples": None}
    return {"images": None, "examples": records(x, stored["y"].tolist(), models, data.schema, settings.tolerance)}


def _clean(robustness: dict[str, Any], beside: dict[str, Any], schema: Schema) -> dict[str, Any]:
    natural = robustness["models"]["natural"]["clean"]["undefended"]
    figures = {
        f"{name}, {column}": robustness["models"][name]["clean"][column]
        for name in CANDIDATES
        for column in ("undefended", "guarded")
    } | {each["about"]: each["test"] for each in beside.values()}
    named = {metric: METRICS.get(metric, (metric.replace("_", " "), False)) for metric in natural}
    rows = [
        [said, *(_metric(found[metric], share=share) for metric, (_, share) in named.items())]
        for said, found in figures.items()
    ]
    return {
        "metrics": [said for said, _ in named.values()],
        "rows": rows,
        "judgment": judgment(natural, beside, schema),
    }


def _metric(value: float, *, share: bool) -> str:
    return f"{100 * value:.1f} %" if share else f"{value:.4g}"


def _weighed(settings: SectionSettings, data: TaskData, robustness: dict[str, Any]) -> list[dict[str, Any]]:
    """Each model's figures at the budget of the norm that the gates look at, by which no constant looks good."""
    rows: list[dict[str, Any]] = []
    for name in CANDIDATES:
        measured = robustness["models"][name]["test"]
        norm, eps = settings.norm, settings.eps.of(settings.norm)
        cell = next(each for each in measured["cells"] if each["norm"] == norm and each["eps"] == eps)
        scores = {"clean": measured["scores"].get("clean_guarded"), **{key: cell["scores"].get(key) for key in WEIGHED}}
        found = {key: score for key, score in scores.items() if score}
        metric = next((score["metric"] for key, score in found.items() if key != "clean"), "")
        rows.append({"model": name, "what": metric, "n": "", "figures": [_told(scores[key]) for key in scores]})
        if cell.get("mcc"):
            figures = [measured["mcc"], *(cell["mcc"].get(key) for key in WEIGHED)]
            shown = ["\N{EN DASH}" if figure is None else f"{figure:.2f}" for figure in figures]
            rows.append({"model": name, "what": "MCC", "n": "", "figures": shown})
        for index, label in enumerate(data.schema.labels):
            each = [score and score["per_class"][index] for score in scores.values()]
            n = next((one["n"] for one in each if one), 0)
            rows.append({"model": "", "what": label, "n": n, "figures": [_told(one, "share") for one in each]})
    return rows


def _told(figure: dict[str, Any] | None, key: str = "value") -> str:
    """A figure in percent with its interval; a dash where it was not measured."""
    if not figure:
        return "\N{EN DASH}"
    return f"{100 * figure[key]:.1f} % ({100 * figure['low']:.0f} to {100 * figure['high']:.0f})"


if __name__ == "__main__":
    run("section", SectionSettings, work)

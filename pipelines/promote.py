"""Promote the most robust model that clears the gates and is no constant; keep the incumbent if it is better."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.schema import Schema
from redoubt.core.store import read_json, whole_file, write_json
from redoubt.data.shared import dataset
from redoubt.evaluation.baselines import compared
from redoubt.evaluation.champion import clean_figures, incumbent_of, install, threat_of
from redoubt.evaluation.promotion import Candidate, beats, candidate, choose, next_step
from redoubt.evaluation.results import Robustness
from redoubt.params.settings.stages import PromoteSettings
from redoubt.report.model_card import MODEL_CARD, model_card
from redoubt.runs import RunRecord

JUDGED = ("clean", "robust")


def work(settings: PromoteSettings) -> None:
    """Read the reports; write models/TASK/champion, promotion.json and the record."""
    data, reports = load_data(settings.name), Path("reports", settings.name)
    report = read_json(reports / "robustness.json")
    threat = settings.eps.threat(report["norm"])
    parts = {"validation": some_rows(data.validation, settings.attack.points), "test": data.test}
    learnt = (data.train, data.schema, data.scaler)
    beside = compared(*learnt, parts, settings.train.balance, settings.seed, settings.tolerance)
    linear = beside["linear"]["validation"]["score"]
    candidates = [
        candidate(name, Robustness.model_validate(measured["validation"]), threat, linear=linear["value"])
        for name, measured in report["models"].items()
    ]
    chosen = choose(candidates, settings.gates)
    champion = Path("models", settings.name, "champion")
    terms = _terms(settings, data, report["norm"])
    incumbent = incumbent_of(champion, terms, settings.gates)
    kept = incumbent is not None and (chosen is None or not beats(chosen, incumbent.selection))
    if not kept:
        source = Path("models", settings.name, chosen.name) if chosen else None
        card = _card(settings, data, chosen, report | {"terms": terms}) if chosen else {}
        install(champion, source, card, {"task": settings.name, "inputs": example_request(settings.name, data)})
    _tell(champion, settings.name)
    decision = {
        "task": settings.name,
        "gates": settings.gates.model_dump(),
        "threat": asdict(threat),
        "baselines": beside,
        "candidates": [{**each.model_dump(), "failed": each.failed(settings.gates)} for each in candidates],
        "champion": incumbent.model if kept and incumbent else chosen.name if chosen else None,
        "digest": incumbent.digest if kept and incumbent else chosen.digest if chosen else None,
        "kept_incumbent": kept,
        "next_step": None if kept or chosen else next_step(candidates, settings.gates),
    }
    write_json(reports / "promotion.json", decision)
    write_json(reports / "records" / "promote.json", _record(settings, decision).model_dump())
    if decision["champion"] is None:
        print(f"promote@{settings.name}: no model is promoted")
        for each in candidates:
            print(f"  {each.name}: {'; '.join(each.failed(settings.gates))}")
        print(f"  what to do: {decision['next_step']}")


def _tell(champion: Path, task: str) -> None:
    """Write the champion's model card from its card.json, of one that was kept, too; no part of its digest."""
    if not (champion / "card.json").is_file():
        return
    card, schema = read_json(champion / "card.json"), read_typed(champion / "schema.json", Schema)
    with whole_file(champion / MODEL_CARD) as path:
        path.write_text(model_card(f"{task}-{card['model']}", card, schema), encoding="utf-8")


def _terms(settings: PromoteSettings, data: TaskData, norm: str) -> dict[str, Any]:
    """What two models must have in common for their figures to be compared: rows, threat and the attacker's effort."""
    return {
        "dataset": data.sha256,
        "split": data.split.digest,
        "norm": norm,
        "eps": settings.eps.model_dump(),
        "attack": settings.attack.model_dump(mode="json"),
        # Figures of a champion that was chosen by plain accuracy say nothing beside balanced ones.
        "measure": "balanced accuracy" if data.schema.is_classification else "R2 and tolerance skill",
    }


def _card(settings: PromoteSettings, data: TaskData, chosen: Candidate, report: dict[str, Any]) -> dict[str, Any]:
    measured, norm = report["models"][chosen.name], report["norm"]
    return {
        "task": settings.name,
        "kind": settings.kind,
        "model": chosen.name,
        "digest": chosen.digest,
        "passed": True,
        "eps": settings.eps.linf,
        "threat": threat_of(data.schema, data.bounds, norm, settings.eps, settings.trained_elsewhere),
        "balance": settings.train.balance,
        **({} if settings.tolerance is None else {"tolerance": settings.tolerance}),
        **_decided(Path("models", settings.name, chosen.name)),
        "comparable": report["terms"],
        "selection": chosen.model_dump(),
        "numbers": measured["test"],
        "clean": clean_figures(measured),
    }


def _decided(bundle: Path) -> dict[str, float]:
    """The threshold that was chosen for two classes, where one was."""
    threshold = read_typed(bundle / "schema.json", Schema).threshold
    return {} if threshold is None else {"threshold": threshold}


def example_request(task: str, data: TaskData) -> list[Any]:
    """Two test inputs as the service wants them."""
    if not data.schema.columns:
        rows: list[Any] = (
            data.test.x[:2].squeeze(-1).round(4).tolist() if data.schema.shape[-1] == 1 else data.test.x[:2].tolist()
        )
        return rows
    columns = [column.name for column in data.schema.columns]
    raw = dataset.read(Path("data/raw", task))
    table: Any = raw.table
    # As `dataset.load`, which the split counts by, leaves out rows.
    records = table[dataset.complete(table, raw.schema)].iloc[data.split.test[:2]][columns].to_dict("records")
    return [{name: None if pd.isna(cell) else cell for name, cell in record.items()} for record in records]


def _record(settings: PromoteSettings, decision: dict[str, Any]) -> RunRecord:
    return RunRecord(
        run="promotion",
        stage="promote",
        task=settings.name,
        params={
            "champion": str(decision["champion"]),
            **{f"gate/{name}": floor for name, floor in settings.gates.model_dump(exclude_none=True).items()},
        },
        metrics={
            **{
                f"{each['name']}/{key}": each[key]["low"]
                for each in decision["candidates"]
                for key in JUDGED
                if each[key] is not None
            },
            **{f"{name}/clean": each["validation"]["score"]["value"] for name, each in decision["baselines"].items()},
        },
        tags={"digest": str(decision["digest"])},
        artifacts=[f"reports/{settings.name}/promotion.json"],
    )


if __name__ == "__main__":
    run("promote", PromoteSettings, work)

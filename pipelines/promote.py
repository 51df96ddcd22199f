"""Promote the most robust model that clears the gates, behind its best guard; keep the incumbent if it is better."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from redoubt.bundle.base.io import digest_folder, read_typed
from redoubt.bundle.base.types import Vote
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from redoubt.bundle.schema import Schema
from redoubt.core.store import read_json, whole_file, write_json
from redoubt.data.shared import dataset
from redoubt.defenses.behind import write_behind
from redoubt.evaluation.baselines import compared
from redoubt.evaluation.champion import clean_figures, incumbent_of, install, threat_of
from redoubt.evaluation.guards import GUARDS, behind, clean_behind
from redoubt.evaluation.promotion import Candidate, beats, best_guards, candidate, choose, next_step
from redoubt.evaluation.results import Robustness
from redoubt.evaluation.served import served_record
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
    beside = compared(*learnt, parts, settings.train.of_baselines, settings.seed, settings.tolerance)
    linear = beside["linear"]["validation"]["score"]
    candidates = [
        candidate(name, _guarded(measured["validation"], vote), threat, linear["value"], vote)
        for name, measured in report["models"].items()
        for vote in _votes(settings)
    ]
    chosen = choose(candidates, settings.gates)
    champion = Path("models", settings.name, "champion")
    terms = _terms(settings, data, report["norm"])
    incumbent = incumbent_of(champion, terms, settings.gates)
    kept = incumbent is not None and (chosen is None or not beats(chosen, incumbent.selection))
    if not kept:
        with _bundle(settings.name, data, chosen) as source:
            card = _card(settings, data, chosen, source, report | {"terms": terms}) if chosen and source else {}
            install(champion, source, card, {"task": settings.name, "inputs": example_request(settings.name, data)})
    promoted = incumbent_of(champion, terms, settings.gates)
    _tell(champion, settings.name)
    guards = {each.name: each.vote for each in best_guards(candidates)}
    if promoted:
        guards[promoted.model] = promoted.selection.vote
    decision = {
        "task": settings.name,
        "gates": settings.gates.model_dump(),
        "threat": asdict(threat),
        "baselines": beside,
        "candidates": [{**each.model_dump(), "failed": each.failed(settings.gates)} for each in candidates],
        "champion": promoted.model if promoted else None,
        "vote": promoted.selection.vote if promoted else None,
        "digest": promoted.digest if promoted else None,
        "guards": guards,
        "kept_incumbent": kept,
        "next_step": None if kept or chosen else next_step(candidates, settings.gates),
    }
    write_json(reports / "promotion.json", decision)
    write_json(reports / "records" / "promote.json", _record(settings, decision).model_dump())
    for name, vote in guards.items():
        of_model = served_record(settings.name, name, report["models"][name], settings.eps, vote)
        write_json(reports / "records" / f"promote-{name}.json", of_model.model_dump())
    if decision["champion"] is None:
        print(f"promote@{settings.name}: no model is promoted")
        for each in best_guards(candidates):
            print(f"  {each.name}: {'; '.join(each.failed(settings.gates))}")
        print(f"  what to do: {decision['next_step']}")


def _votes(settings: PromoteSettings) -> tuple[Vote, ...]:
    return (*GUARDS,) if settings.gates.vote == "auto" else (settings.gates.vote,)


def _guarded(measured: dict[str, Any], vote: Vote) -> Robustness:
    """Figures of a split behind the guard that votes like this."""
    return behind(Robustness.model_validate(measured), vote)


@contextmanager
def _bundle(task: str, data: TaskData, chosen: Candidate | None) -> Iterator[Path | None]:
    """Where the bundle lies that is promoted: the attacked one, or its network behind another of its guards."""
    if chosen is None:
        yield None
        return
    attacked = Path("models", task, chosen.name)
    if chosen.vote == "all":
        yield attacked
        return
    with TemporaryDirectory() as folder:
        made = Path(folder, chosen.name)
        write_behind(attacked, made, chosen.vote, np.concatenate([data.validation.x, data.test.x]))
        yield made


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


def _card(
    settings: PromoteSettings, data: TaskData, chosen: Candidate, bundle: Path, report: dict[str, Any]
) -> dict[str, Any]:
    measured, norm = report["models"][chosen.name], report["norm"]
    return {
        "task": settings.name,
        "kind": settings.kind,
        "model": chosen.name,
        "vote": chosen.vote,
        "digest": digest_folder(bundle, BUNDLE_FILES),
        "attacked": chosen.digest,
        "passed": True,
        "eps": settings.eps.linf,
        "threat": threat_of(data.schema, data.bounds, norm, settings.eps, settings.trained_elsewhere, data.train.x),
        "balance": settings.train.balance,
        **({} if settings.tolerance is None else {"tolerance": settings.tolerance}),
        **_decided(bundle),
        "comparable": report["terms"],
        "selection": chosen.model_dump(),
        "numbers": _guarded(measured["test"], chosen.vote).model_dump(),
        "clean": clean_figures({"clean": clean_behind(measured["clean"], chosen.vote)}),
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
            "guard": GUARDS.get(decision["vote"], "none"),
            **{f"gate/{name}": floor for name, floor in settings.gates.model_dump(exclude_none=True).items()},
        },
        metrics={
            **{
                f"{each['name']}/{key}": each[key]["low"]
                for each in decision["candidates"]
                for key in JUDGED
                if each[key] is not None and each["vote"] == decision["guards"][each["name"]]
            },
            **{f"{name}/clean": each["validation"]["score"]["value"] for name, each in decision["baselines"].items()},
        },
        tags={"digest": str(decision["digest"])},
        artifacts=[f"reports/{settings.name}/promotion.json"],
    )


if __name__ == "__main__":
    run("promote", PromoteSettings, work)

"""Promote the most robust model that clears the gates and is no constant; keep the incumbent if it is better."""

import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from redoubt.bundle.errors import BundleError
from redoubt.bundle.guarded_model import BUNDLE_FILES, NOT_PROMOTED, GuardedModel
from redoubt.bundle.io import digest, read_typed
from redoubt.bundle.types import Name
from redoubt.data import dataset
from redoubt.data.store import read_json, whole_folder, write_json
from redoubt.evaluation import baselines
from redoubt.evaluation.promotion import Candidate, beats, candidate, choose, next_step
from redoubt.evaluation.results import Robustness
from redoubt.params import GatesParams, Norm, Params, Task
from redoubt.perturbable import in_raw_units, raw_units, trained_elsewhere
from redoubt.runs import RunRecord

JUDGED = ("clean", "robust")


def work(params: Params, task: Task) -> None:
    """Read the reports; write models/TASK/champion, promotion.json and the record."""
    data, reports = load_data(task.name), Path("reports", task.name)
    report = read_json(reports / "robustness.json")
    threat = (report["norm"], task.eps.of(report["norm"]))
    beside = _baselines(data, task, params.seed)
    linear = beside["linear"]["validation"]["score"]
    candidates = [
        candidate(name, Robustness.model_validate(measured["validation"]), *threat, linear=linear["value"])
        for name, measured in report["models"].items()
    ]
    chosen = choose(candidates, task.gates)
    champion = Path("models", task.name, "champion")
    terms = _terms(task, data, report["norm"])
    incumbent = _incumbent(champion, terms, task.gates)
    kept = incumbent is not None and (chosen is None or not beats(chosen, incumbent.selection))
    if not kept:
        _install(champion, task, data, chosen, report | {"terms": terms})
    decision = {
        "task": task.name,
        "gates": task.gates.model_dump(),
        "threat": {"norm": threat[0], "eps": threat[1]},
        "baselines": beside,
        "candidates": [{**each.model_dump(), "failed": each.failed(task.gates)} for each in candidates],
        "champion": incumbent.model if kept and incumbent else chosen.name if chosen else None,
        "digest": incumbent.digest if kept and incumbent else chosen.digest if chosen else None,
        "kept_incumbent": kept,
        "next_step": None if kept or chosen else next_step(candidates, task.gates),
    }
    write_json(reports / "promotion.json", decision)
    write_json(reports / "records" / "promote.json", _record(task, decision).model_dump())
    if decision["champion"] is None:
        print(f"promote@{task.name}: no model is promoted")
        for each in candidates:
            print(f"  {each.name}: {'; '.join(each.failed(task.gates))}")
        print(f"  what to do: {decision['next_step']}")


def _baselines(data: TaskData, task: Task, seed: int) -> dict[str, Any]:
    """What a constant and a linear model score on the examples that candidates are judged by, and on the test split."""
    parts = {"validation": some_rows(data.validation, task.attack.points), "test": data.test}
    mean = float(data.train.y.mean(dtype=float))
    made = (
        baselines.constant(data.train, data.schema, parts),
        baselines.linear(data.train, data.schema, data.scaler, parts, task.train.balance, seed),
    )
    return {
        each.name: {
            "about": each.about,
            **{
                name: {
                    "score": baselines.clean_score(each.predictions[name], batch, data.schema, mean).model_dump(),
                    **baselines.clean_metrics(each.predictions[name], batch, data.schema, task.tolerance),
                }
                for name, batch in parts.items()
            },
        }
        for each in made
    }


def _terms(task: Task, data: TaskData, norm: str) -> dict[str, Any]:
    """What two models must have in common for their figures to be compared: rows, threat and the attacker's effort."""
    rows = digest(Path("data/splits", f"{task.name}.npz").read_bytes())
    return {
        "dataset": data.sha256,
        "split": rows,
        "norm": norm,
        "eps": task.eps.model_dump(),
        "attack": task.attack.model_dump(mode="json"),
        # Figures of a champion that was chosen by plain accuracy say nothing beside balanced ones.
        "measure": "balanced accuracy" if data.schema.labels else "R2 and tolerance skill",
    }


class _Incumbent(BaseModel):
    """What is compared of an incumbent's card."""

    model: Name
    digest: str
    comparable: dict[str, Any]
    selection: Candidate


def _incumbent(champion: Path, terms: dict[str, Any], gates: GatesParams) -> _Incumbent | None:
    """The card of a whole champion that clears the gates and was measured on the same terms."""
    try:
        whole = GuardedModel.load(champion).digest
        card = read_typed(champion / "card.json", _Incumbent)
    except (BundleError, OSError):
        return None
    usable = card.digest == whole and card.comparable == terms
    return card if usable and not card.selection.failed(gates) else None


def _install(folder: Path, task: Task, data: TaskData, chosen: Candidate | None, report: dict[str, Any]) -> None:
    """Write the champion with its card and a request to try; without a champion, the folder says why."""
    with whole_folder(folder) as temporary:
        if chosen is None:
            (temporary / NOT_PROMOTED).write_text("No model cleared the gates; see promotion.json in reports/.\n")
            return
        for name in BUNDLE_FILES:
            shutil.copyfile(Path("models", task.name, chosen.name, name), temporary / name)
        card = {
            "task": task.name,
            "kind": task.kind,
            "model": chosen.name,
            "digest": chosen.digest,
            "passed": True,
            "eps": task.eps.linf,
            "threat": threat_of(task, data, report["norm"]),
            "balance": task.train.balance,
            "comparable": report["terms"],
            "selection": chosen.model_dump(),
            "numbers": report["models"][chosen.name]["test"],
            "clean": clean_figures(report["models"][chosen.name]),
        }
        write_json(temporary / "card.json", card)
        write_json(temporary / "example.json", {"task": task.name, "inputs": example_request(task.name, data)})


def clean_figures(measured: dict[str, Any]) -> dict[str, Any]:
    """Clean figures on the test split, of the network alone and as it is served: behind its guard."""
    return {"network": measured["clean"]["undefended"], "guarded": measured["clean"]["guarded"]}


def threat_of(task: Task, data: TaskData, norm: Norm) -> dict[str, Any]:
    """For the card: the size that was gated, in raw units too, and which models trained at another one."""
    eps = task.eps.of(norm)
    return {
        "norm": norm,
        "eps": eps,
        "says": in_raw_units(data.schema, data.bounds, norm, eps),
        "raw_units": raw_units(data.schema, data.bounds, eps),
        "trained_elsewhere": trained_elsewhere(task),
    }


def example_request(task: str, data: TaskData) -> list[Any]:
    """Two test inputs as the service wants them."""
    if not data.schema.columns:
        rows: list[Any] = (
            data.test.x[:2].squeeze(-1).round(4).tolist() if data.schema.shape[-1] == 1 else data.test.x[:2].tolist()
        )
        return rows
    columns = [column.name for column in data.schema.columns]
    table: Any = dataset.read(Path("data/raw", task)).table
    # As `dataset.load`, which the split counts by, leaves out rows with an empty cell.
    return table.dropna().iloc[data.split.test[:2]][columns].to_dict("records")


def _record(task: Task, decision: dict[str, Any]) -> RunRecord:
    return RunRecord(
        run="promotion",
        stage="promote",
        task=task.name,
        params={
            "champion": str(decision["champion"]),
            **{f"gate/{name}": floor for name, floor in task.gates.model_dump(exclude_none=True).items()},
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
        artifacts=[f"reports/{task.name}/promotion.json"],
    )


if __name__ == "__main__":
    run("promote", work)

"""Certify every model: what no L-inf perturbation can change, by interval bounds or exactly, and what no L2 one."""

from pathlib import Path
from typing import Any

from pipelines._data import load_data, some_rows
from pipelines._stage import run
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.code import code_digest
from redoubt.core.store import write_json
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.certified_shares import CertifiedShares
from redoubt.params.settings.sections import HARDENED
from redoubt.params.settings.stages import CertifySettings
from redoubt.runs import RunRecord

MODELS = ("natural", *HARDENED)


def work(settings: CertifySettings) -> None:
    """Read models and rows; write certificates.json and the records."""
    data, reports = load_data(settings.name), Path("reports", settings.name)
    cache = EvaluationCache(Path(".redoubt", "certify", settings.name), code_digest("pipelines.certify"))
    smoothed = some_rows(data.test, settings.certify.points)
    mean = data.scaler.target_mean
    shares = CertifiedShares(settings, data.schema, data.test, smoothed, data.bounds, mean, cache)
    models = {}
    for name in MODELS:
        folder = Path("models", settings.name, name)
        network = _network(folder) if name in settings.certify.complete else None
        models[name] = shares.measure(GuardedModel.load(folder), f"certify@{settings.name} {name}", network)
        record = _record(settings, name, models[name])
        write_json(reports / "records" / f"certify-{name}.json", record.model_dump())
    found = {"task": settings.name, "settings": settings.certify.model_dump(), "models": models}
    write_json(reports / "certificates.json", found)
    cache.keep_used()


def _network(folder: Path) -> Any:
    # Only complete verification needs TensorFlow.
    from redoubt.models.saved import load_network

    return load_network(folder)


def _record(settings: CertifySettings, name: str, measured: dict[str, Any]) -> RunRecord:
    radii, eps = _curve(measured["smoothing"]["radii"], "radius"), _curve(measured["interval"], "eps")
    complete = measured["complete"]
    budget = next(row for row in measured["interval"] if row["eps"] == settings.eps.linf)
    return RunRecord(
        run=name,
        stage="certify",
        task=settings.name,
        params={"certify/sigma": settings.certify.sigma, "certify/draws": settings.certify.draws},
        metrics={
            "certified/l2/smoothed_clean": radii[0][1],
            **({"certified/linf/interval": budget["certified"]["share"]} if budget["certified"] else {}),
            **({"certified/linf/complete": complete["certified"]["share"]} if complete else {}),
        },
        curves={"radius_l2/certified": radii, "eps_linf/certified": eps},
    )


def _curve(rows: list[dict[str, Any]], size: str) -> list[tuple[int, float]]:
    """As MLflow steps it; of two sizes that share a step the larger one is kept."""
    found = [row for row in rows if row["certified"]]
    return list({round(1000 * row[size]): row["certified"]["share"] for row in found}.items())


if __name__ == "__main__":
    run("certify", CertifySettings, work)

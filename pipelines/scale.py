"""Fit the scaler on training rows alone, for the whole and for each fold."""

from pathlib import Path

from pipelines._stage import run
from redoubt.core.store import write_json
from redoubt.params.settings.stages import ScaleSettings
from redoubt.perturbable import in_both_norms


def work(settings: ScaleSettings) -> None:
    """Reads the raw data set and its split; writes scaler.json, and says what the task's eps is in raw units."""
    from redoubt.data import splits
    from redoubt.data.prepare import missing, scaling
    from redoubt.data.shared import dataset

    data = dataset.load(Path("data/raw", settings.name))
    split = splits.read(Path("data/splits", f"{settings.name}.npz"))
    *folds, whole = (
        scaling.fit(data.batch.take(rows), data.schema, settings.transform)
        for rows in (*map(split.without, range(split.folds)), split.train)
    )
    missing.require_learnt(data.batch.x[split.train], data.schema)
    for scaler in (whole, *folds):
        scaling.require_scalable(scaler, data.schema)
    scalers = {"whole": whole.to_json(), "folds": [fold.to_json() for fold in folds]}
    write_json(Path("models", settings.name, "scaler.json"), scalers)
    print(f"scale@{settings.name}: {in_both_norms(settings.eps, data.schema, whole.bounds(data.schema))}")
    for sentence in (*missing.said(missing.fitted(data.schema, whole.fill)), *scaling.said(whole, data.schema)):
        print(f"scale@{settings.name}: {sentence}")


if __name__ == "__main__":
    run("scale", ScaleSettings, work)

"""Check raw data against the suite of its task, and stop the pipeline if a rule is broken or a gate out of reach."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines._stage import run
from redoubt.core.store import read_json, whole_folder, write_json
from redoubt.params.settings.stages import ValidateSettings
from redoubt.runs import RunRecord

if TYPE_CHECKING:
    from redoubt.data.shared.dataset import Answered


def work(settings: ValidateSettings) -> None:
    """Reads the raw data set; writes validation.json, the data docs and a record, whatever the verdict."""
    from redoubt.data import expectations, fits
    from redoubt.data.shared import dataset

    folder, reports = Path("data/raw", settings.name), Path("reports", settings.name)
    raw = dataset.read(folder)
    fits.check_threshold(settings.train.threshold, raw.schema)
    fits.check_halvings(settings.halvings, raw.schema)
    verdict = expectations.validate(raw, settings, settings.own)
    write_json(reports / "validation.json", verdict.report)
    with whole_folder(reports / "data_docs") as docs:
        (docs / "index.html").write_text(verdict.page, encoding="utf-8")
    record = RunRecord(
        run="validate",
        stage="validate",
        task=settings.name,
        metrics={
            "rows": verdict.report["rows"],
            "rules_failed": sum(not rule["passed"] for rule in verdict.report["rules"]),
        },
        tags={"dataset": read_json(folder / dataset.PROVENANCE)["sha256"]},
        artifacts=[str(reports / "validation.json"), str(reports / "data_docs")],
    )
    write_json(reports / "records" / "validate.json", record.model_dump())
    verdict.require(reports / "data_docs" / "index.html")
    for note in _check_reach(settings, dataset.answered(raw)):
        print(f"validate@{settings.name}: {note}")


def _check_reach(settings: ValidateSettings, data: "Answered") -> list[str]:
    """Whether a perfect model could clear the gates on the rows that the split will put aside for them."""
    from redoubt.data import splits
    from redoubt.evaluation import feasibility as reach

    split = splits.split(data.y, settings.kind, settings.split, data.test_from, settings.seed, data.by)
    judged = data.y[split.validation][: settings.attack.points]
    mean = 0.0 if data.schema.is_classification else float(data.y[split.train].mean(dtype=float))
    return reach.check(settings, judged, data.schema.labels, mean)


if __name__ == "__main__":
    run("validate", ValidateSettings, work)

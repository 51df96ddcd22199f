"""Join the sections into one HTML page, the studies into another, and mirror every result into MLflow."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines._stage import begin
from redoubt.core.errors import RedoubtError, ends_in_one_line
from redoubt.core.store import read_json, whole_file, whole_folder, write_json
from redoubt.params.settings.stages import ReportSettings, read_settings
from redoubt.report.course import LANGUAGES, course_page
from redoubt.report.page import report_page
from redoubt.studies.catalogue import CHAPTERS
from redoubt.tracking.sync import sync

SECTIONS, MIRRORED = Path("reports/sections"), Path("reports/mirrored.json")


def main() -> None:
    """Write reports/index.html and reports/metrics for every task that has a section, then record the runs."""
    argparse.ArgumentParser(
        prog="python -m pipelines.report", description=f"{__doc__} Reads what `resolve_course` wrote."
    ).parse_args()
    with ends_in_one_line("report: "):
        begin()
        _write_all(read_settings(ReportSettings, Path("report.json")))


def _write_all(settings: ReportSettings) -> None:
    tasks = [name for name in settings.tasks if (SECTIONS / f"{name}.html").is_file()]
    # The largest images first: what was attacked can be seen.
    rows = sorted((read_json(SECTIONS / f"{name}.json") for name in tasks), key=lambda row: -row["pixels"])
    sections = [(SECTIONS / f"{row['task']}.html").read_text(encoding="utf-8") for row in rows]
    _write(Path("reports/index.html"), report_page("Redoubt report", settings.seed, rows, sections))
    chapters = [
        (asdict(title) | {"name": chapter}, [name for name in names if name in settings.studies])
        for chapter, (title, names) in CHAPTERS.items()
    ]
    for language, page in LANGUAGES.items():
        _write(Path("reports", page), course_page(language, chapters, Path("reports/studies")))
    with whole_folder(Path("reports/metrics")) as folder:
        for row in rows:
            write_json(folder / f"{row['task']}.json", _metrics(row))
    _write_timings(tasks)
    _mirror(tasks)


def _mirror(tasks: list[str]) -> None:
    """Bring MLflow into line; leave the output that says so only if that worked, else DVC takes the stage for done."""
    MIRRORED.unlink(missing_ok=True)
    try:
        sync(Path())
    except RedoubtError as error:
        sys.exit(
            f"error: report: {error}. The pages in reports/ are written; once that is fixed, the next `dvc repro`, "
            "or `python -m pipelines.record`, records the runs"
        )
    write_json(MIRRORED, {"tasks": tasks})


def _write(path: Path, page: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _write_timings(tasks: list[str]) -> None:
    """How long each stage took here; beside the page, since it differs from run to run."""
    folders = {name: Path("reports", name, "timings") for name in tasks}
    timings = {
        name: {path.stem: read_json(path) for path in sorted(folder.glob("[!.]*.json"))}
        for name, folder in folders.items()
    }
    with whole_file(Path("reports/timings.js")) as path:
        path.write_text(f"timings = {json.dumps(timings)};\n", encoding="utf-8")


def _metrics(row: dict[str, Any]) -> dict[str, Any]:
    """A line of `dvc metrics show`: a file per task, and few columns, so that it fits a terminal."""
    columns = {"clean": row.get("served"), "adaptive": row.get("adaptive"), "certified": row.get("certified")}
    shares = {name: round(rate["share"], 4) for name, rate in columns.items() if rate}
    return {"champion": row["champion"] or "none", **shares}


if __name__ == "__main__":
    main()

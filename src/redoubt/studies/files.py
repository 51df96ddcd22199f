"""A study's result as files: result.json and an SVG per picture."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from redoubt.core.store import whole_folder, write_json
from redoubt.data.leftovers import clear_beside
from redoubt.report.svg import figure_to_svg
from redoubt.studies.contract import Result, Study


def describe(study: Study) -> dict[str, Any]:
    """A study's words and formulas as plain data."""
    return {key: asdict(study)[key] for key in ("title", "question", "formulas")}


def write(folder: Path, study: Study, result: Result, settings: dict[str, Any]) -> None:
    """Write a folder, whole or not at all.

    Args:
        folder: made, or replaced.
        study: what was run.
        result: what it found.
        settings: name, seed and sizes, for the reader.
    """
    clear_beside(folder)
    with whole_folder(folder) as made:
        for name, picture in result.pictures.items():
            (made / f"{name}.svg").write_text(figure_to_svg(picture.figure), encoding="utf-8", newline="\n")
        found = {
            **describe(study),
            **settings,
            "origin": asdict(result.origin),
            "numbers": dict(result.numbers),
            "tables": [asdict(table) for table in result.tables],
            "pictures": {name: asdict(picture.caption) for name, picture in result.pictures.items()},
            "takeaway": asdict(result.takeaway),
            **({"lab": asdict(result.lab)} if result.lab else {}),
        }
        write_json(made / "result.json", found)

"""The course as a chapter of the report: one page in English, one in Chinese."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redoubt.core.store import read_json
from redoubt.report.figure_words import chinese
from redoubt.report.formula import Outlines, to_mathml
from redoubt.report.inline_svg import Drawings
from redoubt.report.page import render

LANGUAGES = {"en": "course.html", "zh": "course.zh-CN.html"}


def course_page(language: str, chapters: Sequence[tuple[Mapping[str, str], Sequence[str]]], folder: Path) -> str:
    """The page in one language.

    Args:
        language: a key of `LANGUAGES`.
        chapters: name and titles in both languages, and the studies of each; studies without a result are left out.
        folder: holds a folder with result.json and pictures per study.
    """
    shown: list[dict[str, Any]] = []
    outlines, drawings = Outlines(), Drawings(chinese if language == "zh" else None)
    for title, names in chapters:
        studies = [
            _study(folder / name, language, outlines, drawings)
            for name in names
            if (folder / name / "result.json").is_file()
        ]
        if studies:
            shown.append({"title": title[language], "name": title["name"], "studies": studies})
    labs = any(study["lab"] for chapter in shown for study in chapter["studies"])
    return render(
        "course.html",
        language=language,
        pages=LANGUAGES,
        chapters=shown,
        labs=labs,
        glyphs=outlines.glyphs() + drawings.shared(),
    )


def _study(folder: Path, language: str, outlines: Outlines, drawings: Drawings) -> dict[str, Any]:
    found = read_json(folder / "result.json")
    return {
        "name": found["name"],
        "title": found["title"][language],
        "question": found["question"][language].split("\n\n"),
        "formulas": [
            {
                "math": to_mathml(each["tex"]),
                "svg": outlines.draw(each["tex"]),
                "says": each["says"][language],
            }
            for each in found["formulas"]
        ],
        "origin": found["origin"][language],
        "sizes": ", ".join(f"`{key}={value}`" for key, value in found["sizes"].items()),
        "seed": found["seed"],
        "tables": [_table(each, language) for each in found["tables"]],
        "pictures": [
            {
                "drawn": drawings.add((folder / f"{name}.svg").read_text(encoding="utf-8"), found["title"][language]),
                "caption": caption[language],
            }
            for name, caption in found["pictures"].items()
        ],
        "takeaway": found["takeaway"][language],
        "lab": {**found["lab"], "says": found["lab"]["says"][language]} if "lab" in found else None,
    }


def _table(found: Mapping[str, Any], language: str) -> dict[str, Any]:
    rows = [[_cell(cell, language) for cell in row] for row in found["rows"]]
    return {
        "caption": found["caption"][language],
        "columns": [head[language] for head in found["columns"]],
        "rows": rows,
    }


def _cell(cell: Any, language: str) -> str:
    if isinstance(cell, dict):
        return str(cell[language])
    if isinstance(cell, str):
        return chinese(cell) if language == "zh" else cell
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)

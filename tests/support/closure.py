"""The code that each stage depends on: `python -m tests.support.closure` shows it, `--write` puts it into dvc.yaml."""

import argparse
import re
from pathlib import Path
from typing import Any

import yaml

from redoubt.code import SRC, closure

PROJECT = SRC.parent
DVC = PROJECT / "dvc.yaml"
TEMPLATES = "src/redoubt/report/templates"
# What a page of the report is made of beside its sections.
WHOLE = ("index", "report_script", "report_style", "style", "wide")
# What a stage reads of the code without importing it.
READ = {
    "section": {f"{TEMPLATES}/{name}.html" for name in ("macros", "section", *WHOLE)},
    "report": {f"{TEMPLATES}/{name}.html" for name in ("course", "course_labs", *WHOLE)},
    # It digests the code of every study, wherever that is.
    "resolve_course": {"src/redoubt", "pipelines/study.py"},
}
# Their code stands in the file that is resolved for them.
RESOLVED = {"study"}
ROOTS = ("src/", "pipelines/")


def stages() -> dict[str, dict[str, Any]]:
    """The definitions in dvc.yaml by name, those of a `foreach` without their wrapping."""
    found = yaml.safe_load(DVC.read_text(encoding="utf-8"))["stages"]
    return {name: stage.get("do", stage) for name, stage in found.items()}


def declared(stage: dict[str, Any]) -> list[str]:
    """The dependencies of a stage that are code."""
    return [path for path in stage["deps"] if path.startswith(ROOTS)]


def needed(stage: str) -> set[str]:
    """Every file of code that a stage's results may depend on, from the project's top folder on."""
    if stage in RESOLVED:
        return set()
    return {path.relative_to(PROJECT).as_posix() for path in closure(f"pipelines.{stage}")} | READ.get(stage, set())


def wanted(stage: str) -> list[str]:
    """The shortest list of dependencies: a folder stands for its files if the stage needs all of them."""
    files = needed(stage)
    whole = {path for path in files if not path.endswith((".py", ".html"))}
    for folder in sorted({parent.as_posix() for path in files for parent in Path(path).parents}):
        if folder.startswith("src/redoubt/") and set(code_in(folder)) <= files and len(code_in(folder)) > 1:
            whole.add(folder)
    kept = {path for path in files | whole if not any(parent.as_posix() in whole for parent in Path(path).parents)}
    return sorted(kept, key=lambda path: (not path.startswith("pipelines"), path))


def code_in(folder: str) -> list[str]:
    """The files in a folder that do something: all but packages' docstrings."""
    from redoubt.code import does_something

    found = [path for path in (PROJECT / folder).rglob("*") if path.suffix in (".py", ".html")]
    return [path.relative_to(PROJECT).as_posix() for path in found if path.suffix != ".py" or does_something(path)]


def covered(paths: list[str]) -> set[str]:
    """The files that a list of dependencies stands for."""
    return {file for path in paths for file in ([path] if Path(path).suffix else code_in(path))}


def write() -> None:
    """Put the code that each stage needs into dvc.yaml, in place of what is declared."""
    lines, stage = [], ""
    for line in DVC.read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(r"  (\w+):", line)
        stage = found[1] if found else stage
        if re.match(r"\s+- (src|pipelines)/", line):
            continue
        lines.append(line)
        if re.fullmatch(r"\s+deps:", line):
            indent = " " * (len(line) - len(line.lstrip()) + 2)
            lines += [f"{indent}- {path}" for path in wanted(stage)]
    DVC.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Show what each stage needs, or write it."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.closure", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into dvc.yaml")
    if parser.parse_args().write:
        write()
        return
    for stage in stages():
        print(f"{stage}:", *(f"  {path}" for path in wanted(stage)), sep="\n")


if __name__ == "__main__":
    main()

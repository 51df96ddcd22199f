"""Start-up stays cheap and rooms import downward only."""

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STAGES = [
    "resolve",
    "resolve_course",
    "ingest",
    "validate",
    "split",
    "scale",
    "sweep",
    "train",
    "harden",
    "attack",
    "certify",
    "promote",
    "section",
    "summary",
    "report",
    "record",
    "repro",
    "study",
    "ui",
]
WORDS = [["attack", "--help"], ["attack", "--list"], ["study", "--help"], ["--help"]]
ROOMS = [
    "bundle",
    "core",
    "http",
    "params",
    "perturbable",
    "data",
    "models",
    "attacks",
    "scenarios",
    "certify",
    "targets",
    "defenses",
    "training",
    "evaluation",
    "report",
    "audit",
    "testing",
    "studies",
    "cli",
]
# What stands beside the rooms: no room's business, so any may use it.
SHARED = {"code", "progress", "runs", "compute", "quiet", "tracking"}
OWNERS = {
    "mlflow": ["audit/plugin.py", "tracking/client.py"],
    "optuna": ["training/search.py"],
    "great_expectations": [f"data/{name}.py" for name in ("expectations", "large", "own_rules", "rules")],
}


@functools.cache
def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


# Shows what each command prints, and whether it has imported TensorFlow by then.
SHOW = """
import contextlib, io, json, runpy, sys
out = {}
for words in json.loads(sys.argv[1]):
    sys.argv, said = words, io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    out[" ".join(words)] = [said.getvalue(), sorted({"tensorflow", "keras"} & set(sys.modules))]
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def shown(project: Path) -> dict[str, list[Any]]:
    """Every command in one fresh interpreter, since each would import most of the same again."""
    commands = [[f"pipelines.{stage}", "--help"] for stage in STAGES] + [["redoubt.cli", *words] for words in WORDS]
    done = subprocess.run(
        [sys.executable, "-c", SHOW, json.dumps(commands)],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, list[Any]] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("stage", STAGES)
def test_help_teaches_and_does_not_wait_for_tensorflow(stage: str, shown: dict[str, list[Any]]) -> None:
    said, heavy = shown[f"pipelines.{stage} --help"]
    assert not heavy
    assert f"usage: python -m pipelines.{stage}" in said
    assert len(said.splitlines()) > 4


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_the_command_teaches_and_does_not_wait_for_tensorflow(words: list[str], shown: dict[str, list[Any]]) -> None:
    said, heavy = shown[" ".join(["redoubt.cli", *words])]
    assert not heavy
    assert words[0] == "--help" or words[0] in said
    assert len(said.splitlines()) > 4


def test_rooms_import_downward(project: Path) -> None:
    source = project / "src" / "redoubt"
    wrong = []
    for path in source.rglob("*.py"):
        room = path.relative_to(source).parts[0].removesuffix(".py")
        if room in SHARED or room == "__init__":
            continue
        for name in imported(path):
            parts = name.split(".")
            if parts[0] in ("pipelines", "serving"):
                wrong.append(f"{path.name} imports {name}")
            ours = parts[0] == "redoubt" and len(parts) > 1 and parts[1] not in SHARED
            if ours and ROOMS.index(parts[1]) > ROOMS.index(room):
                wrong.append(f"{room}/{path.name} imports {name}")
    assert not wrong


@pytest.mark.parametrize("package", OWNERS)
def test_few_modules_own_a_package(package: str, project: Path) -> None:
    source = project / "src" / "redoubt"
    users = sorted(
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(name.split(".")[0] == package for name in imported(path))
    )
    assert users == OWNERS[package]


def test_nothing_shadows_the_standard_library(project: Path) -> None:
    tops = [path.stem for folder in ("pipelines", "serving", "benchmarks") for path in (project / folder).glob("*.py")]
    tops += ["pipelines", "serving", "benchmarks", "redoubt"]
    assert not set(tops) & (set(sys.stdlib_module_names) - {"__init__"})

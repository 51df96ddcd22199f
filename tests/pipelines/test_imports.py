"""Start-up stays cheap and rooms import downward only."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

STAGES = [
    "resolve",
    "resolve_course",
    "ingest",
    "validate",
    "split",
    "scale",
    "sweep",
    "certify",
    "promote",
    "section",
    "summary",
]
TENSORFLOW_STAGES = ["train", "harden", "attack"]
ROOMS = [
    "pins",
    "bundle",
    "errors",
    "surroundings",
    "http",
    "types",
    "params",
    "perturbable",
    "data",
    "models",
    "attacks",
    "scenarios",
    "certify",
    "defenses",
    "training",
    "evaluation",
    "report",
    "studies",
    "cli",
]
# What stands beside the rooms: no room's business, so any may use it.
SHARED = {"code", "progress", "runs", "compute", "quiet", "tracking"}
OWNERS = {"mlflow": ["tracking/client.py"], "great_expectations": ["data/expectations.py"]}


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def run(code: str, project: Path) -> str:
    """The output of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_without_tensorflow_does_not_import_it(stage: str, project: Path) -> None:
    assert run(f"import sys, pipelines.{stage}; print('tensorflow' in sys.modules)", project).strip() == "False"


@pytest.mark.parametrize("stage", [*STAGES, *TENSORFLOW_STAGES, "report", "record", "repro", "study", "ui"])
def test_help_teaches(stage: str, project: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", f"pipelines.{stage}", "--help"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    loaded = set(re.findall(r"\|\s+(\S+)$", done.stderr, re.MULTILINE))
    assert "argparse" in loaded
    assert not loaded & {"tensorflow", "keras"}
    assert f"usage: python -m pipelines.{stage}" in done.stdout
    assert len(done.stdout.splitlines()) > 4


@pytest.mark.parametrize(
    "words", [["attack", "--help"], ["attack", "--list"], ["study", "--help"], ["--help"]], ids=" ".join
)
def test_the_command_teaches(words: list[str], project: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "redoubt.cli", *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(re.findall(r"\|\s+(\S+)$", done.stderr, re.MULTILINE))
    assert "argparse" in loaded
    assert not loaded & {"tensorflow", "keras"}
    assert words[0] == "--help" or words[0] in done.stdout
    assert len(done.stdout.splitlines()) > 4


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
def test_one_module_owns_a_package(package: str, project: Path) -> None:
    source = project / "src" / "redoubt"
    users = [
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(name.split(".")[0] == package for name in imported(path))
    ]
    assert users == OWNERS[package]


def test_nothing_shadows_the_standard_library(project: Path) -> None:
    tops = [path.stem for folder in ("pipelines", "serving", "benchmarks") for path in (project / folder).glob("*.py")]
    tops += ["pipelines", "serving", "benchmarks", "redoubt"]
    assert not set(tops) & (set(sys.stdlib_module_names) - {"__init__"})

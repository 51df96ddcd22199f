"""Stages that are copies of a process with the libraries imported, and those that are not."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from pipelines._warm import WarmProcess, warm_up, words_of

WORKERS = """
import os, joblib
print(joblib.Parallel(2)(joblib.delayed(len)(text) for text in ("one", "three")), flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """The process with the libraries, once: not one that other tests began in a folder without this project."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    warm_up()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('python -m pipelines.ingest "$DVC_STAGE"', ["pipelines.ingest", "ingest@digits"]),
        ("python -m pipelines.report", ["pipelines.report"]),
        ('python -m pipelines.ingest "$DVC_STAGE" && rm -rf x', None),
        ("python -m pipelines.ingest digits", None),
        ("python -m pipelines", None),
        ("python -m other.module", None),
        ("echo python -m pipelines.report", None),
        ("", None),
    ],
)
def test_which_commands_are_this_projects(command: str, words: list[str] | None) -> None:
    assert words_of(command, "ingest@digits") == words


def begun(text: str, *arguments: str, env: dict[str, str] | None = None) -> tuple[WarmProcess, Path]:
    """A module of this text in the folder, begun there."""
    Path("own_module.py").write_text(text)
    log = Path("own.log")
    log.write_bytes(b"before\n")
    return WarmProcess(["own_module", *arguments], {**os.environ, **(env or {})}, os.getcwd(), log), log


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_it_is_as_by_python_m(here: Path) -> None:
    text = """
import os, sys
print(__name__, sys.argv[1:], os.getcwd(), os.environ["OWN"], "tensorflow" in sys.modules, "onnxruntime" in sys.modules)
print(sys.modules["__main__"].__spec__.name, os.getpgrp() == os.getpid(), sys.stdin.read() == "")
print("told", file=sys.stderr)
"""
    process, log = begun(text, "digits", env={"OWN": "set"})
    assert process.wait() == 0
    assert sorted(log.read_text().splitlines()) == sorted(
        ["before", f"__main__ ['digits'] {here} set True False", "own_module True True", "told"]
    )
    assert process.poll() == 0


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('error: a reason')", 1, "error: a reason"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
    ],
)
def test_how_it_ends(text: str, code: int, said: str, here: Path) -> None:
    process, log = begun(text)
    assert process.wait() == code
    assert said in log.read_text()


def test_a_signal_reaches_it_and_its_children(here: Path) -> None:
    process, log = begun("import subprocess; print('up', flush=True); subprocess.run(['sleep', '60'], check=True)")
    until = time.monotonic() + 60
    while "up" not in log.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    assert process.wait() != 0
    assert time.monotonic() - began < 30
    assert "KeyboardInterrupt" in log.read_text()


def test_workers_do_not_outlive_it(here: Path) -> None:
    process, log = begun(WORKERS)
    began = time.monotonic()
    assert process.wait() == 0
    # Of idle workers, loky's patience is 300 s.
    assert time.monotonic() - began < 120
    assert "[3, 5]" in log.read_text()


def test_without_a_socket_stages_import_for_themselves(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", "from pipelines._warm import warm_up; print(warm_up())"],
        env={**os.environ, "TMPDIR": str(long)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"

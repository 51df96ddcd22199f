"""What numerical libraries are told before they are loaded, and that they heed it."""

import subprocess
import sys
from pathlib import Path

import pytest

from redoubt.core import pins
from tests.support.unpinned import unpinned

SHOW = """
import os, pipelines, sys
print("numpy" in sys.modules)
import numpy, threadpoolctl
found = threadpoolctl.threadpool_info()
print({each["num_threads"] for each in found}, {each.get("architecture") for each in found})
from numpy._core._multiarray_umath import __cpu_features__ as has
print([name for name in ("X86_V4", "AVX512_ICL", "AVX512_SPR") if has[name]])
print({name: os.environ.get(name) for name in sys.argv[1:]})
"""


def shown(project: Path, **environment: str) -> list[str]:
    """What a stage's process finds, whatever the environment said before."""
    command = [sys.executable, "-W", "error", "-c", SHOW, *pins.THREADS, *pins.INSTRUCTIONS]
    done = subprocess.run(
        command, cwd=project, env={**unpinned(), **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not pins.has_avx2(), reason="instructions are pinned on x86-64 with AVX2 alone")
def test_every_stage_adds_up_in_the_same_way(project: Path) -> None:
    before = {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4", "OPENBLAS_CORETYPE": "Nehalem"}
    imported, blas, wide, environment = shown(project, **before, NPY_DISABLE_CPU_FEATURES="", TF_ENABLE_ONEDNN_OPTS="1")
    assert imported == "False", "NumPy was loaded before it could be told"
    assert blas == "{1} {'Haswell'}"
    assert wide == "[]"
    assert environment == str({**pins.THREADS, **pins.INSTRUCTIONS})


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "fpu avx fma avx2 avx512f", True),
        ("x86_64", "fpu avx", False),
        ("aarch64", "avx2 fma", False),
        ("x86_64", None, False),
    ],
    ids=["avx512", "older", "arm", "no-procfs"],
)
def test_where_instructions_are_pinned(
    machine: str, flags: str | None, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "cpuinfo"
    if flags is not None:
        told.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(pins.platform, "machine", lambda: machine)
    monkeypatch.setattr(pins, "CPU", told)
    assert pins.has_avx2() is expected

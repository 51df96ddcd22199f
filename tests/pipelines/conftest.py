"""What tests of single stages share."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from redoubt.params.load import load
from redoubt.params.settings.sections import GatesParams
from redoubt.params.task import Task
from tests.support.staged import COUNT, put_rows
from tests.support.tiny import TABLE, Guarded


@pytest.fixture
def task(project: Path, bundles: Callable[[str], Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task in a folder of its own, as far as `attack` has brought it."""
    monkeypatch.chdir(tmp_path)
    put_rows(np.random.default_rng(0).permutation(COUNT - 1))
    for name in ("natural", "adversarial"):
        shutil.copytree(bundles(TABLE).folder, Path("models/risk", name))
    Path("models/risk/natural/labels.json").write_text('["high", "low" ]')
    known = load(project / "params.yaml").task("diagnosis")
    return known.model_copy(update={"name": "risk", "gates": GatesParams(clean=0.5, robust=0.3, worse_than_linear=1.0)})

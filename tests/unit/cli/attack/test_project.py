"""Inside a project the command knows rows, eps and norm by itself."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from redoubt.attacks.ensemble import Ensemble, Member
from redoubt.attacks.noise import Noise
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.cli import main
from redoubt.core.store import read_arrays, write_arrays
from redoubt.core.types import Bounds
from redoubt.data.shared import dataset
from redoubt.defenses.guards.guard import configure
from redoubt.defenses.write_bundle import write_bundle
from redoubt.params.load import load
from tests.support import tiny
from tests.support.tiny import IMAGE, SCHEMAS, rows


@pytest.fixture
def at_home(
    project: Path, bundles: Callable[[str], tiny.Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project whose one task has been ingested, split and trained."""
    raw = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    raw["tasks"]["bars"] = {
        "kind": "image",
        "source": "bars",
        "target": "place",
        "harden": {"adversarial": {"norm": "l2"}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    batch = rows(IMAGE, 60)
    dataset.save(tmp_path / "data/raw/bars", dataset.Raw(SCHEMAS[IMAGE], "bars", "here", x=batch.x, y=batch.y))
    parts = {"train": np.arange(40), "validation": np.arange(40, 48), "test": np.arange(48, 60), "fold": np.arange(40)}
    write_arrays(tmp_path / "data/splits/bars.npz", parts)
    shutil.copytree(bundles(IMAGE).folder, tmp_path / "models/bars/champion")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> dict[str, Any]:
    assert main(["attack", *words, "--out=out"]) == 0
    return json.loads(Path("out/record.json").read_text())


def test_a_bundle_brings_its_rows_and_its_eps(at_home: Path) -> None:
    found, task = run("fgsm", "models/bars/champion"), load().task("bars")
    assert (found["given"]["norm"], found["given"]["eps"]) == ("l2", task.eps.l2)
    assert (found["data"]["source"], found["data"]["examples"]) == ("test split of bars", 12)
    assert np.array_equal(read_arrays(Path("out/arrays.npz"))["x"], dataset.load(Path("data/raw/bars")).batch.x[48:])
    assert run("fgsm", "models/bars/champion", "--norm=linf")["given"]["eps"] == task.eps.linf


def test_a_network_of_ones_own_is_tried_on_a_tasks_rows(at_home: Path, desk: Path) -> None:
    assert run("noise", f"{desk}/bars.keras", "--task=bars", "--eps=0.1")["data"]["source"] == "test split of bars"


@pytest.mark.parametrize(
    ("lost", "says"),
    [("data/splits", "data/splits/bars.npz: no such file; run `dvc repro`"), ("data/raw", "holds no data set")],
)
def test_what_has_not_been_run_yet_is_named(
    lost: str, says: str, at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(lost)
    assert main(["attack", "fgsm", "models/bars/champion"]) == 2
    assert says in capsys.readouterr().err


def test_params_that_cannot_be_read_leave_eps_to_be_said(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("somebody: else's", encoding="utf-8")
    assert main(["attack", "fgsm", "models/bars/champion"]) == 2
    assert "say how large a perturbation may be with --eps" in capsys.readouterr().err
    assert run("fgsm", "models/bars/champion", "--eps=0.2")["given"]["norm"] == "linf"


def test_the_worst_case_of_whole_numbers_takes_single_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In L2 a step along the gradient is shared by all flags, and rounding takes it back from each."""
    # Of the others none finds more here, and each takes seconds to compile.
    monkeypatch.setattr(Ensemble, "members", [Member("noise", Noise())])
    flags, weights = 6, np.float32([1, -1, 0.8, 0.6, -0.7, 0.4])
    columns = tuple(Column(name=f"q{place}", kind="integer") for place in range(flags))
    schema = Schema(
        task="flags", kind="classification", target="y", columns=columns, shape=(flags,), labels=("no", "yes")
    )
    network = keras.Sequential([keras.Input((flags,)), keras.layers.Dense(2)])
    network.set_weights([np.stack([-weights, weights], axis=1), np.float32([0.25, -0.25])])
    x = np.array(list(itertools.product([0, 1], repeat=flags)), np.float32)[::2]
    box = Bounds(np.zeros(flags, np.float32), np.ones(flags, np.float32), np.full(flags, 0.5, np.float32))
    write_bundle(tmp_path / "flags", network, schema, configure(tiny.GUARDS[tiny.TABLE], schema, box, 1.0), x)
    y = (x @ weights - 0.25 > 0).astype(np.int64)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    command = ["attack", "ensemble", f"{tmp_path}/flags", f"--data={tmp_path}/rows.npz", "--norm=l2", "--eps=2"]
    assert main([*command, f"--out={tmp_path}/out"]) == 0
    found = json.loads((tmp_path / "out/record.json").read_text())["found"]
    turned = np.stack([np.where(np.arange(flags) == place, 1 - x, x) for place in range(flags)])
    fragile = ((turned @ weights - 0.25 > 0) != y).any(axis=0)
    assert found["robust_accuracy"]["share"] == pytest.approx(1 - fragile.mean(), abs=1e-6)

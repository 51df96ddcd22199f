"""A bundle packed as a model of MLflow gives the service's answers, by MLflow's own loader and server."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server import init
from starlette.testclient import TestClient

from redoubt.bundle.base.errors import BundleError, InputError
from serving.mlflow_model import main, pack

RECORDS = [{"cp": 300.0, "hp": 50.0, "species": "Eevee"}, {"cp": 20.0, "hp": 40.5, "species": "Caterpie"}]
IMAGES = np.random.default_rng(4).random((2, 8, 8))


@pytest.fixture(scope="module")
def packed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed model per task."""
    folder = tmp_path_factory.mktemp("packed")
    for task in ("digits", "evolution"):
        pack(models / task / "champion", folder / task)
    return folder


def load(packed: Path, task: str) -> Any:
    """By MLflow."""
    return mlflow.pyfunc.load_model(str(packed / task))


TABLES: dict[str, Any] = {
    "a data frame": pd.DataFrame(RECORDS),
    "records": RECORDS,
    "columns": {name: np.array([[record[name]] for record in RECORDS]) for name in RECORDS[0]},
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_answered_as_by_the_service(name: str, packed: Path, asgi: httpx.Client) -> None:
    said = asgi.post("/predict", json={"task": "evolution", "inputs": RECORDS}).json()["predictions"]
    for row, expected in zip(load(packed, "evolution").predict(TABLES[name]), said, strict=True):
        assert list(row) == list(expected)
        assert row["variants"]["plain"] == expected["variants"]["plain"]
        assert (row["flagged"], row["outside"]) == (expected["flagged"], expected["outside"])
        assert row["certified"]["eps"] == expected["certified"]["eps"]


@pytest.mark.parametrize("images", [IMAGES, IMAGES.tolist(), IMAGES[..., None].astype(np.float32)])
def test_images_are_answered_as_by_the_service(images: Any, packed: Path, asgi: httpx.Client) -> None:
    said = asgi.post("/predict", json={"task": "digits", "inputs": IMAGES.tolist()}).json()["predictions"]
    for row, expected in zip(load(packed, "digits").predict(images, {"certify": "none"}), said, strict=True):
        assert row["adversarial_score"] == pytest.approx(expected["adversarial_score"], rel=1e-5)
        assert row["flagged"] == expected["flagged"]
        assert row["certified"] is None


def test_what_lies_far_outside_is_flagged(packed: Path) -> None:
    (row,) = load(packed, "evolution").predict([{**RECORDS[0], "cp": -1_000_000}])
    assert (row["flagged"], row["outside"], row["certified"]) == (True, ["cp"], None)


def test_mlflows_own_server_answers(packed: Path) -> None:
    with TestClient(init(load(packed, "evolution"))) as client:
        sent = {"dataframe_records": RECORDS, "params": {"certify": "none"}}
        answer = client.post("/invocations", json=sent)
        assert answer.status_code == 200, answer.text
        assert [row["certified"] for row in answer.json()["predictions"]] == [None, None]


# name: (task, data, params, a piece of the sentence)
BAD: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "a category": ("evolution", [{**RECORDS[0], "species": "Mew"}], {}, "input 0: column 'species' is 'Mew'"),
    "no table": ("evolution", np.zeros((1, 3)), {}, "expected a data frame, records, or values by column"),
    "lengths": ("evolution", {"cp": [1], "hp": [1, 2]}, {}, "the columns are of different lengths"),
    "too far": ("evolution", [{**RECORDS[0], "cp": 3e38, "hp": -3e38}], {}, "input 0: the model has no finite answer"),
    "a shape": ("digits", np.zeros((2, 9, 9)), {}, "the images are of shape [2, 9, 9]"),
    "texts": ("digits", [[["0.5"] * 8] * 8], {}, "the images are no numbers"),
    "ragged": ("digits", [[[0.5] * 8] * 7, [[0.5] * 8] * 8], {}, "of different shapes"),
    "a pixel": ("digits", np.full((1, 8, 8), 2.0), {}, "input 0: a pixel is 2.0; expected numbers in [0, 1]"),
    "NaN": ("digits", np.full((1, 8, 8), np.nan), {}, "input 0: a pixel is nan"),
    "certify": ("digits", IMAGES, {"certify": "all"}, "expected certify, one of none, budget, radius"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_said(name: str, packed: Path) -> None:
    task, data, params, sentence = BAD[name]
    with pytest.raises(InputError) as caught:
        load(packed, task).predict(data, params)
    assert sentence in str(caught.value)


def test_it_needs_nothing_else_of_this_project(packed: Path) -> None:
    script = f"""
import os, sys
sys.path = [each for each in sys.path if not os.path.exists(os.path.join(each, "redoubt", "__init__.py"))]
import mlflow.pyfunc
print(len(mlflow.pyfunc.load_model({str(packed / "evolution")!r}).predict({RECORDS!r})))
assert sys.modules["redoubt.bundle"].__file__.startswith({str(packed)!r})
assert not {{"tensorflow", "keras", "onnx", "bentoml"}} & set(sys.modules)
"""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=packed, env=clean, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "2", done.stderr


def test_what_cannot_be_packed_is_said(
    packed: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BundleError, match="is there already"):
        pack(models / "digits" / "champion", packed / "digits")
    monkeypatch.setattr(sys, "argv", ["mlflow_model", str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="error: .* is no whole bundle"):
        main()
    assert not (tmp_path / "out").exists()

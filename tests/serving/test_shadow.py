"""A challenger is asked beside the champion, never in its way, and counted where it disagrees."""

import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from redoubt.bundle.base.types import Floats
from redoubt.bundle.model.guarded_model import GuardedModel
from serving.answers import Ask, Champion
from serving.runtime import Runtime
from serving.shadow import INPUTS, Shadow, load

RECORD = {"cp": 300.0, "hp": 50, "species": "Eevee"}


def count(shadow: Shadow, name: str, task: str) -> float:
    labels = {"task": task, "digest": shadow._model.digest[:12]}
    return REGISTRY.get_sample_value(f"redoubt_shadow_{name}_total", labels) or 0.0


def answered(champion: Champion, inputs: list[Any]) -> tuple[Floats, list[dict[str, Any]]]:
    x = champion.read(inputs)
    return x, Ask(champion, "none").answer(x)


def idle(shadow: Shadow) -> None:
    deadline = time.monotonic() + 20.0
    while shadow._is_busy and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not shadow._is_busy


def test_of_a_model_of_its_own_opinion_every_answer_that_differs_is_counted(models: Path, loaded: Runtime) -> None:
    champion = loaded.champions["digits"]
    shadow = Shadow("digits-a", GuardedModel.load(models / "digits" / "champion"))
    x, rows = answered(champion, [np.full((8, 8), 0.05).tolist()] * 3)
    rows[1] = rows[1] | {"label": "another"}
    rows[2] = rows[2] | {"flagged": not rows[2]["flagged"]}
    shadow.offer(champion, x, rows)
    idle(shadow)
    found = [count(shadow, name, "digits-a") for name in ("inputs", "disagreed", "flag_disagreed", "dropped", "failed")]
    assert found == [3, 1, 1, 0, 0]


def test_values_disagree_where_they_lie_apart(models: Path, loaded: Runtime) -> None:
    champion = loaded.champions["evolution"]
    shadow = Shadow("evolution-a", GuardedModel.load(models / "evolution" / "champion"))
    x, rows = answered(champion, [RECORD] * 2)
    rows[1] = rows[1] | {"value": rows[1]["value"] + 0.5 * champion.model.guard.output_scale}
    shadow.offer(champion, x, rows)
    idle(shadow)
    assert [count(shadow, name, "evolution-a") for name in ("inputs", "disagreed")] == [2, 1]


def test_what_comes_while_it_is_busy_is_left_out_and_nobody_waits(
    models: Path, loaded: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, held = loaded.champions["digits"], threading.Event()
    shadow = Shadow("digits-b", GuardedModel.load(models / "digits" / "champion"))
    predict = shadow._model.predict
    monkeypatch.setattr(shadow._model, "predict", lambda *words: held.wait(20.0) and predict(*words))
    x, rows = answered(champion, [np.full((8, 8), 0.05).tolist()] * (INPUTS + 2))
    began = time.monotonic()
    for _ in range(3):
        shadow.offer(champion, x, rows)
    assert time.monotonic() - began < 1.0
    held.set()
    idle(shadow)
    assert [count(shadow, name, "digits-b") for name in ("inputs", "dropped")] == [INPUTS, 2 * (INPUTS + 2)]


def test_one_that_fails_is_counted_and_said(
    models: Path, loaded: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    champion = loaded.champions["digits"]
    shadow = Shadow("digits-c", GuardedModel.load(models / "digits" / "champion"))
    monkeypatch.setattr(shadow._model, "predict", lambda *_: 1 / 0)
    shadow.offer(champion, *answered(champion, [np.full((8, 8), 0.05).tolist()]))
    idle(shadow)
    assert count(shadow, "failed", "digits-c") == 1
    assert "failed" in caplog.text


def test_a_setting_names_bundles_that_fit(
    models: Path, loaded: Runtime, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(models / "digits" / "champion", tmp_path / "digits" / "hardened")
    elsewhere = models / "evolution" / "champion"
    setting = (
        f"digits=hardened, evolution={elsewhere},colours={models / 'digits' / 'champion'},digits=none,mnist=x,digits"
    )
    caplog.set_level(logging.INFO)
    found = load(setting, tmp_path, loaded.champions)
    assert sorted(found) == ["digits", "evolution"]
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 4
    assert all(sentence.startswith("REDOUBT_SHADOW: ") for sentence in said)
    assert "takes other inputs, or gives other labels" in said[0]
    assert load("", tmp_path, loaded.champions) == {}

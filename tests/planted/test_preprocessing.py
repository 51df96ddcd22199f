"""Preprocessing in the caller: the model takes inputs that its caller has changed, and is given them as they were."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from redoubt.attacks.core.criteria import Untargeted
from redoubt.audit.frame import frame_of
from redoubt.audit.judge import Judge
from redoubt.audit.suspicions import look, suspicions
from redoubt.audit.units import BYTES, MEAN, SPREAD
from redoubt.core.types import Batch
from redoubt.targets.contract import Opening
from redoubt.targets.function import of_function
from tests.support.brightness import CENTRES, SHARP, examples
from tests.support.planted import LABELS, audited

GREY = examples()
COLOUR = Batch(np.repeat(GREY.x, 3, axis=-1), GREY.y)
IN_RED = Batch(np.concatenate([GREY.x, np.random.default_rng(1).random((len(GREY), 4, 4, 2), np.float32)], -1), GREY.y)
MIDDLE, WIDTH = GREY.x.mean(), GREY.x.std()


def in_bytes(batch: Batch) -> Batch:
    return Batch(np.round(255 * batch.x), batch.y)


def signed(batch: Batch) -> Batch:
    return Batch(2 * batch.x - 1, batch.y)


def model(back: Callable[[Any], Any], channel: int | None = None) -> Callable[[Any], Any]:
    """Takes inputs that `back` makes pictures of 0..1, and says how bright they are."""

    def scores(x: Any) -> Any:
        found = back(np.asarray(x, np.float64))
        mean = (found if channel is None else found[..., channel]).reshape(len(x), -1).mean(axis=1, keepdims=True)
        return (SHARP * (2 * CENTRES * mean - CENTRES**2)).astype(np.float32)

    return scores


NORMALIZED = "(x - mean) / standard deviation"
CASES: list[tuple[str, Callable[[Any], Any], Batch, str]] = [
    ("normalized, raw 0..1", model(lambda x: WIDTH * x + MIDDLE), GREY, NORMALIZED),
    ("normalized, raw bytes", model(lambda x: WIDTH * x + MIDDLE), in_bytes(GREY), NORMALIZED),
    ("0..1, raw bytes", model(lambda x: x), in_bytes(GREY), "x brought from 0..255 to 0..1"),
    ("bytes, raw 0..1", model(lambda x: x / 255), GREY, "x brought from 0..1 to 0..255"),
    ("-1..1, raw 0..1", model(lambda x: (x + 1) / 2), GREY, "x brought from 0..1 to -1..1"),
    ("-1..1, raw bytes", model(lambda x: (x + 1) / 2), in_bytes(GREY), "x brought from 0..255 to -1..1"),
    ("0..1, given -1..1", model(lambda x: x), signed(GREY), "x brought from -1..1 to 0..1"),
    ("bytes, given -1..1", model(lambda x: x / 255), signed(GREY), "x brought from -1..1 to 0..255"),
    ("dark on light, raw 0..1", model(lambda x: 1 - x), GREY, "x inverted, in 0..1"),
    ("dark on light, raw bytes", model(lambda x: 1 - x), in_bytes(GREY), "x inverted, in 0..1"),
    ("ImageNet's, raw 0..1", model(lambda x: x * SPREAD + MEAN), COLOUR, f"{NORMALIZED} of ImageNet"),
    ("ImageNet's, raw bytes", model(lambda x: x * SPREAD + MEAN), in_bytes(COLOUR), f"{NORMALIZED} of ImageNet"),
    ("Caffe's", model(lambda x: (x[..., ::-1] + BYTES) / 255), in_bytes(COLOUR), "blue, green, red less their means"),
    ("blue first", model(lambda x: x, channel=2), IN_RED, "channels in the other order"),
]


def opened(scores: Callable[[Any], Any], batch: Batch, labels: tuple[str, ...] = LABELS) -> Any:
    return of_function(scores, "planted", Opening(batch.take(np.arange(8)), labels))


def unit_of(scores: Callable[[Any], Any], batch: Batch, labels: tuple[str, ...] = LABELS) -> tuple[bool, str]:
    judge = Judge(opened(scores, batch, labels), frame_of(batch.x, None), Untargeted())
    (found,) = (each for each in suspicions(judge, batch, look(judge, batch)) if each.name.startswith("inputs are in"))
    return found.passed, found.found


@pytest.mark.parametrize(("scores", "batch", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_the_caller_forgot_is_named(scores: Callable[[Any], Any], batch: Batch, expected: str) -> None:
    passed, found = unit_of(scores, batch)
    assert not passed
    assert f"on {expected}" in found


def table() -> Batch:
    rng = np.random.default_rng(0)
    x = np.stack([rng.uniform(20, 80, 200), rng.uniform(0, 9e4, 200)], axis=1).astype(np.float32)
    return Batch(x, (x[:, 0] / 60 + x[:, 1] / 9e4 > 1.25).astype(np.int64))


@pytest.mark.parametrize(("scaler", "expected"), [("standard", NORMALIZED), ("minmax", "(x - min) / (max - min)")])
def test_a_scaler_that_was_left_out_of_the_pipeline(scaler: str, expected: str) -> None:
    batch = table()
    low, width = batch.x.min(axis=0), np.ptp(batch.x, axis=0)
    if scaler == "standard":
        low, width = batch.x.mean(axis=0), batch.x.std(axis=0)

    def scores(x: Any) -> Any:
        raw = np.asarray(x) * width + low
        value = 30 * (raw[:, 0] / 60 + raw[:, 1] / 9e4 - 1.25)
        return np.stack([-value, value], axis=1)

    passed, found = unit_of(scores, batch, ("no", "yes"))
    assert not passed
    assert f"on {expected}" in found


def test_at_chance_the_verdict_is_stamped_and_a_unit_costs_few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = in_bytes(GREY)
    target = opened(model(lambda x: WIDTH * x + MIDDLE), batch)
    found = audited(target, batch, monkeypatch, eps=10.0)
    assert found.verdict.startswith("NOT TRUSTED")
    assert {"clean accuracy is above a constant's", "inputs are in the model's unit"} <= {c.name for c in found.failed}
    asked: list[int] = []
    judge = Judge(opened(lambda x: asked.append(len(x)) or model(abs)(x), batch), frame_of(batch.x, None), Untargeted())
    limited = Judge(judge.target, judge.frame, judge.criterion, queries=1000)
    clean = look(limited, batch)
    asked.clear()
    list(suspicions(limited, batch, clean))
    assert 0 < sum(asked) <= 1000 // 8

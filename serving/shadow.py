"""Challengers that are asked what the champions were asked, beside them: nobody is given their answers.

How often a challenger disagrees is counted. It takes the time that nobody else needs, and leaves out what it has no
time for.
"""

import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import get_native_id
from typing import Any

import numpy as np
from prometheus_client import Counter

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.types import Floats
from redoubt.bundle.model.guarded_model import GuardedModel
from serving.answers import Champion
from serving.meters import DIGITS, MODEL

log = logging.getLogger("bentoml.redoubt")

VARIABLE = "REDOUBT_SHADOW"
# Inputs of one request that are asked again.
INPUTS = 8
# Values further apart than this share of the target's standard deviation disagree.
APART = 0.1

asked = Counter("redoubt_shadow_inputs", "Inputs that a challenger was asked too.", MODEL)
disagreed = Counter("redoubt_shadow_disagreed", "Inputs to which a challenger gave another answer.", MODEL)
flags = Counter("redoubt_shadow_flag_disagreed", "Inputs that one of champion and challenger flagged alone.", MODEL)
dropped = Counter("redoubt_shadow_dropped", "Inputs that there was no time to ask a challenger.", MODEL)
failed = Counter("redoubt_shadow_failed", "Inputs on which a challenger failed.", MODEL)


class Shadow:
    """A challenger of one task's champion."""

    def __init__(self, task: str, model: GuardedModel) -> None:
        """Have a model shadow a task."""
        self._model, labels = model, (task, model.digest[:DIGITS])
        self._asked, self._disagreed, self._flags, self._dropped, self._failed = (
            counter.labels(*labels) for counter in (asked, disagreed, flags, dropped, failed)
        )
        # Of one thread: a challenger never takes more than one core.
        self._thread = ThreadPoolExecutor(1, initializer=_step_back)
        self._is_busy = False

    def offer(self, champion: Champion, x: Floats, rows: list[dict[str, Any]]) -> None:
        """Ask some of a request's inputs, unless others are being asked; returns at once.

        Args:
            champion: who answered them.
            x: the inputs.
            rows: the answers.
        """
        if self._is_busy or not _alike(self._model, champion):
            self._dropped.inc(len(rows))
            return
        self._is_busy = True
        self._thread.submit(self._ask, champion, x[:INPUTS].copy(), rows[:INPUTS])

    def close(self) -> None:
        """Ask nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ask(self, champion: Champion, x: Floats, rows: list[dict[str, Any]]) -> None:
        began = time.perf_counter()
        try:
            with np.errstate(all="ignore"):
                said = self._model.predict(x, np.random.default_rng())
            self._disagreed.inc(_differing(champion, said.vote, rows))
            self._flags.inc(sum(bool(mine) != row["flagged"] for mine, row in zip(said.flagged, rows, strict=True)))
            self._asked.inc(len(rows))
        except Exception:
            # A challenger may fail in any way; nobody waits for it.
            self._failed.inc(len(rows))
            log.exception("the challenger %s failed", self._model.digest)
        # Half of the time at most.
        time.sleep(min(1.0, time.perf_counter() - began))
        self._is_busy = False


def load(setting: str, models: Path, champions: Mapping[str, Champion]) -> dict[str, Shadow]:
    """Load the challengers that a setting names; log why one is not.

    Args:
        setting: `TASK=BUNDLE`, several with commas between them; a bundle's folder, or its name beside the champion.
        models: the pipeline's models folder.
        champions: that are served.
    """
    found = {}
    for item in filter(None, map(str.strip, setting.split(","))):
        task, _, bundle = item.partition("=")
        try:
            if task not in champions or not bundle:
                raise BundleError(f"expected TASK=BUNDLE with a task of {', '.join(champions) or 'none'}")
            folder = models / task / bundle if "/" not in bundle else Path(bundle)
            model = GuardedModel.load(folder, threads=1, evaluates=False)
            if not _alike(model, champions[task]):
                raise BundleError(f"{bundle} takes other inputs, or gives other labels, than the champion")
            found[task] = Shadow(task, model)
            log.info("task %s: model %s is asked beside the champion", task, model.digest)
        except BundleError as error:
            log.error("%s: %s is not asked beside any champion: %s", VARIABLE, item[:200], error)
    return found


def _alike(model: GuardedModel, champion: Champion) -> bool:
    one, other = model.schema, champion.schema
    return (one.kind, one.shape, one.labels, one.columns) == (other.kind, other.shape, other.labels, other.columns)


def _differing(champion: Champion, vote: Floats, rows: list[dict[str, Any]]) -> int:
    if champion.schema.is_classification:
        labels = champion.schema.labels
        return sum(labels[best] != row["label"] for best, row in zip(vote.argmax(axis=1), rows, strict=True))
    apart = APART * champion.model.guard.output_scale
    return sum(abs(value - row["value"]) > apart for value, row in zip(vote[:, 0], rows, strict=True))


def _step_back() -> None:
    """Let every other thread go first, where the system knows how."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, get_native_id(), 19)

"""What Prometheus is told: by task and digest of what is answered, by reason of what is not, and of the process."""

import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from serving.tally import Count, Tally, Untold

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
MODEL = ["task", "digest"]
# Of a digest: enough to tell models apart, and to be read.
DIGITS = 12

predictions = Counter("redoubt_predictions", "Inputs predicted.", MODEL)
flagged = Counter("redoubt_flagged", "Inputs predicted and flagged as adversarial.", MODEL)
outside = Counter("redoubt_outside", "Inputs predicted with a number outside its training range.", MODEL)
score = Histogram(
    "redoubt_score_ratio",
    "Adversarial score, in units of the threshold above which an input is flagged.",
    MODEL,
    buckets=(0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.25, 1.5, 2, 4, 8),
)
certified = Histogram(
    "redoubt_certified_ratio",
    "Certified eps where a certificate was asked for, in units of the eps of the model's card.",
    MODEL,
    buckets=(0, 0.25, 0.5, 0.75, 1, 1.5, 2, 4),
)
phases = Histogram(
    "redoubt_phase_seconds",
    "Of an answered request: receive its body, read it, wait for its turn, run the model.",
    [*MODEL, "phase"],
    buckets=SECONDS,
)
batch = Histogram("redoubt_run_inputs", "Inputs run together.", MODEL, buckets=(1, 2, 3, 4, 5, 6, 7, 8))
busy = Counter("redoubt_run_seconds", "Seconds in which a model ran.", MODEL)
requests = Counter("redoubt_requests", "Requests answered, by path and status.", ["endpoint", "status"])
seconds = Histogram(
    "redoubt_request_seconds", "From a request's head to its answer's end.", ["endpoint"], buckets=SECONDS
)
refused = Counter("redoubt_refused", "Requests refused, by reason.", ["reason"])
waiting = Gauge("redoubt_queue_requests", "Requests whose answer is waited for.", multiprocess_mode="livesum")
backlog = Gauge("redoubt_queue_seconds", "Seconds of work that wait.", multiprocess_mode="livesum")
served = Gauge("redoubt_champion", "1 for the model that answers.", MODEL, multiprocess_mode="livemax")
pending = Gauge(
    "redoubt_champion_pending", "1 if a newer bundle is not served, or not yet.", ["task"], multiprocess_mode="livemax"
)
moves = Counter("redoubt_champion_moves", "Moves of champions, as each process made them.", ["task", "result"])
cpu = Counter("redoubt_process_cpu_seconds", "Processor time of the processes that answer.")
memory = Gauge("redoubt_process_resident_bytes", "Memory of each process that answers.", multiprocess_mode="liveall")

MOVES = ("moved", "rolled_back", "refused", "vanished")
# Of refusals that somebody should be told of: they are counted from nothing on.
REASONS = ("queue_full", "memory_full", "readers_busy", "waited_too_long", "ran_too_long", "not_served", "failure")
PHASES = ("receive", "read", "wait", "run")
# The gauge files of processes, by the name that prometheus_client gives them.
GAUGES = "gauge_live*_*.db"

_untold: list[Untold] = []
_serving: dict[str, str] = {}
_cpu_told = 0.0


class Series:
    """All that is counted of one model."""

    def __init__(self, task: str, digest: str) -> None:
        """Begin at nothing."""
        labels = task, digest
        self.predictions, self.flagged = _count(predictions, *labels), _count(flagged, *labels)
        self.outside, self.busy = _count(outside, *labels), _count(busy, *labels)
        self.score, self.certified = _tally(score, *labels), _tally(certified, *labels)
        self.batch = _tally(batch, *labels)
        self.phases = {phase: _tally(phases, *labels, phase) for phase in PHASES}

    def answered(self, rows: list[dict[str, Any]], threshold: float, eps: float) -> int:
        """Count one request's answers; returns how many are flagged."""
        flags = sum(row["flagged"] for row in rows)
        self.predictions.add(len(rows))
        self.flagged.add(flags)
        for row in rows:
            self.score.add(row["adversarial_score"] / threshold if threshold else row["adversarial_score"])
            if row["outside"]:
                self.outside.add()
            if row["certified"] is not None:
                self.certified.add(row["certified"]["eps"] / eps)
        return flags


@cache
def of(task: str, digest: str) -> Series:
    """What is counted of a model, by its task and whole digest."""
    return Series(task, digest[:DIGITS])


def done(endpoint: str, status: int, took: float) -> None:
    """One request, answered or refused."""
    _requests(endpoint, status).add()
    _seconds(endpoint).add(took)


def turned_away(reason: str) -> None:
    """One request that was refused."""
    _refused(reason).add()


def serves(task: str, digest: str | None) -> None:
    """A task is answered by this model from now on; None: by none."""
    if task in _serving:
        served.labels(task, _serving.pop(task)).set(0)
    if digest is not None:
        _serving[task] = digest[:DIGITS]
        served.labels(task, _serving[task]).set(1)
        of(task, digest)
        for reason in REASONS:
            _refused(reason)
        for result in MOVES:
            moves.labels(task, result)
    waits(task, False)


def waits(task: str, is_pending: bool) -> None:
    """Whether a newer bundle of a task is not served, or not yet."""
    pending.labels(task).set(is_pending)


def moved(task: str, result: str) -> None:
    """A champion moved, or was to."""
    moves.labels(task, result).inc()


def queued(requests_waiting: int, seconds_waiting: float) -> None:
    """How much waits now."""
    waiting.set(requests_waiting)
    backlog.set(seconds_waiting)


def tick() -> None:
    """Tell all that was counted, and how the process does."""
    global _cpu_told  # noqa: PLW0603
    for each in _untold:
        each.tell()
    used = time.process_time()
    cpu.inc(used - _cpu_told)
    _cpu_told = used
    with suppress(OSError):
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        memory.set(resident * os.sysconf("SC_PAGE_SIZE"))


def bury(folder: Path) -> None:
    """Forget what processes that are dead said of themselves.

    Args:
        folder: of the instance's metrics.
    """
    for path in folder.glob(GAUGES):
        with suppress(PermissionError, FileNotFoundError):
            try:
                os.kill(int(path.stem.rpartition("_")[2]), 0)
            except ProcessLookupError:
                path.unlink()


def _count(counter: Counter, *labels: str) -> Count:
    made = Count(counter.labels(*labels) if labels else counter)
    _untold.append(made)
    return made


def _tally(histogram: Histogram, *labels: str) -> Tally:
    made = Tally(histogram.labels(*labels))
    _untold.append(made)
    return made


@cache
def _requests(endpoint: str, status: int) -> Count:
    return _count(requests, endpoint, str(status))


@cache
def _seconds(endpoint: str) -> Tally:
    return _tally(seconds, endpoint)


@cache
def _refused(reason: str) -> Count:
    return _count(refused, reason)

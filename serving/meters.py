"""What Prometheus is told of the requests that never reach BentoML, whose own metrics count the others."""

from functools import cache
from typing import Any

from prometheus_client import Counter, Histogram

predictions = Counter("redoubt_predictions", "Inputs predicted.", ["task"])
flagged = Counter("redoubt_flagged", "Inputs predicted and flagged as adversarial.", ["task"])
requests = Counter("redoubt_requests", "Requests answered, by path and status.", ["endpoint", "status"])
seconds = Histogram(
    "redoubt_request_seconds",
    "From a request's head to its answer's end.",
    ["endpoint"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)
batch = Histogram("redoubt_run_inputs", "Inputs run together.", buckets=(1, 2, 3, 4, 5, 6, 7, 8))
busy = Counter("redoubt_run_seconds", "Seconds in which a model ran.")


def ran(rows: int, took: float) -> None:
    """One run of a model."""
    batch.observe(rows)
    busy.inc(took)


def answered(task: str, rows: list[dict[str, Any]]) -> None:
    """One request whose inputs were predicted."""
    predictions.labels(task).inc(len(rows))
    flagged.labels(task).inc(sum(row["flagged"] for row in rows))


def done(endpoint: str, status: int, took: float) -> None:
    """One request, answered or refused."""
    _requests(endpoint, status).inc()
    _seconds(endpoint).observe(took)


# The client's own look-up takes a lock and longer than the count.
@cache
def _requests(endpoint: str, status: int) -> Counter:
    return requests.labels(endpoint, status)


@cache
def _seconds(endpoint: str) -> Histogram:
    return seconds.labels(endpoint)

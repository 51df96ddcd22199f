"""Requests no faster than they are allowed."""

import time
from collections.abc import Callable
from typing import Any


def paced(rate: float | None) -> dict[str, list[Callable[..., Any]]]:
    """The `event_hooks` of an `httpx.Client` that sends at most so many requests per second; None sets no limit."""
    if rate is None:
        return {}
    free = [time.monotonic()]

    def wait(_: Any) -> None:
        now = time.monotonic()
        time.sleep(max(0.0, free[0] - now))
        free[0] = max(now, free[0]) + 1 / rate

    return {"request": [wait]}

"""How much an audit may cost: minutes of this machine, or queries to the model."""

import re
import time
from dataclasses import dataclass

from redoubt.core.errors import RedoubtError

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(q|queries|s|seconds|m|min|minutes|h|hours)?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class BudgetWordError(RedoubtError):
    """A budget that is written in another way."""


@dataclass(frozen=True)
class Budget:
    """What may be spent; None sets no limit."""

    seconds: float | None = 300.0
    queries: int | None = None

    @property
    def said(self) -> str:
        """In words."""
        if self.queries is not None:
            return f"{self.queries} queries"
        if self.seconds is None:
            return "no limit"
        return f"{self.seconds:g} seconds" if self.seconds < 60 else f"{self.seconds / 60:g} minutes"


def parse(text: str) -> Budget:
    """Read `5m`, `90s`, `2h`, or `20000q`; a number alone is minutes.

    Raises:
        BudgetWordError: anything else, or nothing.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or not float(found[1]) > 0:
        raise BudgetWordError(f"--budget is '{text}'; expected minutes, such as 5m, or queries, such as 20000q")
    unit = (found[2] or "m")[0]
    if unit == "q":
        return Budget(None, int(float(found[1])))
    return Budget(float(found[1]) * _SECONDS[unit])


class Clock:
    """Runs from when it is made."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._started = budget, time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time is spent."""
        seconds = self._budget.seconds
        return seconds is not None and time.monotonic() - self._started > seconds

"""Shows stages that run side by side: one board that lives on a terminal, lines where there is none."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipelines._commands import PROGRESS
from pipelines._scheduler import ways

# Between two lines about the same stage, where nobody watches a board.
QUIET_SECONDS = 60.0
# A guess from a smaller part of the work is worse than none.
ENOUGH = 0.03


@dataclass(frozen=True)
class Far:
    """How far a stage is.

    Attributes:
        done: of `total`.
        unit: such as epoch.
        note: what else its bar shows.
    """

    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    note: str = ""

    @property
    def share(self) -> float:
        """From 0 to 1; 0 if nothing is known."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def left(self, spent: float, expected: float) -> float:
        """The seconds that it still takes, after so many, if all of it was expected to take so many."""
        if self.share >= ENOUGH:
            return spent * (1 - self.share) / self.share
        return max(expected - spent, 0.0)


def how_far(name: str, folder: Path = PROGRESS) -> Far:
    """Read what a stage's processes write of their bars, and add up those that count the smallest steps."""
    found: dict[str, Far] = {}
    for path in sorted(folder.joinpath(name).glob("*.json"), key=_written):
        with contextlib.suppress(OSError, ValueError):
            bar = json.loads(path.read_text(encoding="utf-8"))
            before = found.get(bar["unit"], Far())
            total = before.total + (bar["total"] or 0)
            found[bar["unit"]] = Far(before.done + bar["done"], total, bar["unit"], bar["note"])
    return max(found.values(), key=lambda far: far.total, default=Far())


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class _Counts:
    """What both ways of showing know."""

    def __init__(
        self,
        console: Console,
        needs: Mapping[str, set[str]],
        expected: Mapping[str, float],
        running: Callable[[], Mapping[str, float]],
        jobs: int,
    ) -> None:
        """Take the stages, what each one is expected to take, and what tells how long which ones have been running."""
        self._console, self._needs, self._expected, self._running = console, needs, expected, running
        self._jobs, self._began = jobs, time.monotonic()
        self._open, self._failed, self._changed = set(needs), list[str](), 0

    def _left(self, far: Mapping[str, Far], running: Mapping[str, float]) -> float:
        """Seconds to the end: as long as the longest way, and as the work of all cores."""
        left = {name: self._expected[name] for name in self._open} | {
            name: far[name].left(spent, self._expected[name]) for name, spent in running.items()
        }
        needs = {name: self._needs[name] & self._open for name in self._open}
        seconds = {name: left[name] for name in self._open}
        return max(max(ways(needs, seconds).values(), default=0.0), sum(seconds.values()) / self._jobs)

    def _note(self, name: str, *, changed: bool, error: Exception | None) -> None:
        self._open.discard(name)
        self._changed += changed
        if error is not None:
            self._failed.append(name)

    def _headline(self, far: Mapping[str, Far], running: Mapping[str, float]) -> str:
        done, spent = len(self._needs) - len(self._open), time.monotonic() - self._began
        head = f"{done} of {len(self._needs)} stages, {clock(spent)}"
        return head if self._failed or not running else f"{head}, about {clock(self._left(far, running))} left"


class Board(_Counts):
    """Lives at the bottom of a terminal: how much is done, and a line per running stage."""

    def __enter__(self) -> Self:
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def ended(self, name: str, *, changed: bool, error: Exception | None = None) -> None:
        """Take note that a stage is done, or failed."""
        self._note(name, changed=changed, error=error)

    def tick(self) -> None:
        """Draw the board."""
        running = self._running()
        far = {name: how_far(name) for name in running}
        table = Table.grid(padding=(0, 2))
        for name, spent in running.items():
            table.add_row(*self._row(name, spent, far[name]))
        failed = [
            Text(f"{name} failed: what is running is finished, nothing more is begun", "red") for name in self._failed
        ]
        self._live.update(Group(Text(self._headline(far, running), "bold"), *failed, table), refresh=True)

    def _row(self, name: str, spent: float, far: Far) -> tuple[Text | ProgressBar, ...]:
        left = far.left(spent, self._expected[name])
        share = far.share if far.total else min(0.99, spent / max(self._expected[name], spent, 0.1))
        counted = f"{far.done:g}/{far.total:g} {far.unit}" if far.total else ""
        return (
            Text(name, no_wrap=True),
            ProgressBar(total=1.0, completed=share, width=20),
            Text(counted, no_wrap=True),
            Text(clock(spent), no_wrap=True),
            Text(f"{clock(left)} left" if left >= 1 else "", "dim", no_wrap=True),
            Text(far.note, "dim", no_wrap=True, overflow="ellipsis"),
        )


class Lines(_Counts):
    """Says in lines what ended, and now and then how far the others are; for logs and pipes."""

    def __enter__(self) -> Self:
        self._said: dict[str, float] = {}
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ended(self, name: str, *, changed: bool, error: Exception | None = None) -> None:
        """Say that a stage is done, or failed; nothing of those that had not changed."""
        self._note(name, changed=changed, error=error)
        if changed or error is not None:
            self._say(f"{name} {'failed' if error else 'done'} ({self._headline({}, {})})")

    def tick(self) -> None:
        """Say how far those are that have been running for a while."""
        for name, spent in self._running().items():
            if spent - self._said.get(name, 0.0) < QUIET_SECONDS:
                continue
            self._said[name] = spent
            far = how_far(name)
            counted = f"{far.done:g} of {far.total:g} ({far.unit}), " if far.total else ""
            left = far.left(spent, self._expected[name])
            self._say(f"{name} runs: {counted}{clock(spent)}" + (f", about {clock(left)} left" if left >= 1 else ""))

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """Seconds as a clock has them: 1:05, 2:03:04."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""Which stage comes next, when several run at a time: the one with the longest way after it."""

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from redoubt.core.store import read_json, write_json

SECONDS = Path(".redoubt/seconds.json")
# Of a stage on two cores where nothing is known of this machine: a guess is enough to begin with the long ones.
GUESS = {"sweep": 15.0, "harden": 10.0, "attack": 40.0, "certify": 6.0, "validate": 5.0, "train": 4.0, "report": 6.0}
OTHERS = 2.0
TICK = 0.5


class Reproduce(Protocol):
    """Brings a stage up to date."""

    def __call__(self, name: str) -> bool:
        """Return whether it had changed."""


class Watcher(Protocol):
    """Shows what happens."""

    def ended(self, name: str, *, changed: bool, error: Exception | None = None) -> None:
        """Take note that a stage is done, or failed."""

    def tick(self) -> None:
        """Show how far the running ones are; called every half second."""


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        done: stages brought up to date, and whether they had changed.
        failed: stages that could not be, and why.
        left: stages that were not begun, since they need one that failed or nothing was begun any more.
    """

    done: dict[str, bool] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def expected_seconds(names: Iterable[str]) -> dict[str, float]:
    """How long each stage took here the last time it ran, or a guess."""
    known: Mapping[str, float] = {}
    with contextlib.suppress(OSError, json.JSONDecodeError):
        known = read_json(SECONDS)
    return {name: known.get(name, GUESS.get(name.partition("@")[0], OTHERS)) for name in names}


def remember_seconds(taken: Mapping[str, float]) -> None:
    """Keep how long stages took, for the next time."""
    if taken:
        known = expected_seconds(()) if not SECONDS.is_file() else read_json(SECONDS)
        write_json(SECONDS, {**known, **{name: round(seconds, 2) for name, seconds in taken.items()}})


def ways(needs: Mapping[str, set[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds from the beginning of each stage to the end of everything that waits for it."""
    found: dict[str, float] = {}

    def way(name: str) -> float:
        if name not in found:
            found[name] = seconds[name] + max((way(other) for other in needs if name in needs[other]), default=0.0)
        return found[name]

    return {name: way(name) for name in needs}


def run_all(
    needs: Mapping[str, set[str]],
    reproduce: Reproduce,
    watcher: Watcher,
    stop: Callable[[], None],
    *,
    jobs: int,
    first: Mapping[str, float],
    keep_going: bool = False,
) -> Outcome:
    """Bring every stage up to date, at most `jobs` at a time.

    Args:
        needs: the stages whose outputs each one reads.
        reproduce: called in a thread.
        watcher: told in this thread.
        stop: ends what is running; called if this thread is interrupted.
        jobs: at least 1.
        first: the greater, the sooner.
        keep_going: after a failure go on with what does not need that stage; otherwise only finish what is running.
    """
    outcome, running = Outcome(), dict[Future[bool], str]()
    waiting = sorted(needs, key=lambda name: -first[name])
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                for name in [name for name in waiting if needs[name] <= outcome.done.keys()]:
                    if len(running) < jobs and (keep_going or not outcome.failed):
                        waiting.remove(name)
                        running[pool.submit(reproduce, name)] = name
                if not running:
                    outcome.left = waiting
                    return outcome
                for future in wait(running, timeout=TICK, return_when=FIRST_COMPLETED).done:
                    _end(future, running.pop(future), outcome, watcher)
                watcher.tick()
        except BaseException:
            stop()
            raise


def _end(future: Future[bool], name: str, outcome: Outcome, watcher: Watcher) -> None:
    error = future.exception()
    if error is None:
        outcome.done[name] = future.result()
    elif isinstance(error, Exception):
        outcome.failed[name] = error
    else:
        raise error
    watcher.ended(name, changed=error is None and future.result(), error=outcome.failed.get(name))

"""How long a store is waited for: as long as something moves, and no longer."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from redoubt.tracking.client import STORE_ERRORS, seconds_of_all_tries
from redoubt.tracking.explain import explain
from redoubt.tracking.redaction import shown
from redoubt.tracking.uri import TrackingError

# No step of a sync may take longer, whatever keeps it.
PATIENCE = 300.0

T = TypeVar("T")


@dataclass
class Progress:
    """How far a sync has come, for the one who waits for it."""

    total: int
    done: int = 0
    moment: float = field(default_factory=time.monotonic)

    def touch(self) -> None:
        """Say that something has moved."""
        self.moment = time.monotonic()

    def count(self, made: int) -> int:
        """One more record is done; returns how many runs were made for it, as it came."""
        self.done += 1
        self.touch()
        return made


def bounded(work: Callable[[Progress], T], uri: str, progress: Progress) -> T:
    """Do work that asks the store, and give up on it once nothing has moved for `PATIENCE` seconds or all tries' time.

    In a thread, since nothing else ends a wait inside a database's driver or a name's resolution.

    Args:
        work: takes the progress, and touches it as it goes.
        uri: of the store, for the message.
        progress: what has moved, and when it last did.

    Returns:
        What the work returned.

    Raises:
        TrackingError: the store cannot be used, or did not answer in time.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work(progress))
        except BaseException as error:
            errors.append(error)

    patience = max(PATIENCE, seconds_of_all_tries())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive() and (left := progress.moment + patience - time.monotonic()) > 0:
        thread.join(left)
    if answers:
        return answers[0]
    if errors and not isinstance(errors[0], STORE_ERRORS):
        raise errors[0]
    trouble = explain(errors[0], uri) if errors else f"nothing has moved for {patience:.0f} s"
    recorded = f"; {progress.done} of {progress.total} runs recorded so far" if progress.total else ""
    # A new error rather than one raised from the store's own, whose traceback would show the secrets.
    raise TrackingError(f"MLflow at {shown(uri)}: {trouble}{recorded}")

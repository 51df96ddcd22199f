"""What one request may take, and how much work may wait: admission is by the price of the work, not by its count."""

from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic

from serving.errors import Refused


@dataclass(frozen=True)
class Limits:
    """What one request may take, and all of them together.

    Attributes:
        header: largest request head, in bytes.
        body: largest body, in bytes.
        silence: longest pause within a body, and what its first bytes may take, in seconds.
        rate: bytes a second that a body must have arrived with, that time left out.
        small: bytes of each body that count for nothing, so that large ones never keep small ones out.
        held: bytes of all bodies held at once, arriving, waiting and at work, the small parts left out.
        waiting: requests that may wait for their answer.
        backlog: seconds of work that may wait; a request that finds none waiting is let in whatever it costs.
        patience: longest wait for the work to begin, in seconds.
        answer: what it may take from then on, in seconds.
        saturated: seconds without room for more after which the service calls itself not ready.
    """

    header: int = 16 * 1024
    body: int = 4 * 1024 * 1024
    silence: float = 5.0
    rate: int = 256 * 1024
    small: int = 64 * 1024
    held: int = 128 * 1024 * 1024
    waiting: int = 1024
    backlog: float = 15.0
    patience: float = 20.0
    answer: float = 30.0
    saturated: float = 5.0

    @property
    def longest(self) -> float:
        """Seconds that a request may take in all: the slowest body, the longest wait, the longest answer."""
        return self.silence + self.body / self.rate + self.patience + self.answer


class Backlog:
    """The work that was let in and is not done."""

    def __init__(self, limits: Limits) -> None:
        """None yet."""
        self._limits = limits
        self.requests, self.seconds = 0, 0.0
        self._full_since: float | None = None

    def add(self, cost: float) -> None:
        """Let a request in.

        Args:
            cost: seconds of work, an estimate.

        Raises:
            Refused: 429, too much waits already.
        """
        limits = self._limits
        if self.requests < limits.waiting and (not self.requests or self.seconds + cost <= limits.backlog):
            self.requests, self.seconds = self.requests + 1, self.seconds + cost
            return
        self._full_since = self._full_since or monotonic()
        held = f"{self.requests} requests" if self.requests >= limits.waiting else f"{self.seconds:.0f} s of work"
        raise Refused(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{held} are waiting already; try again after the seconds in Retry-After",
            reason="queue_full",
        )

    def remove(self, cost: float) -> None:
        """Take out a request that was let in at this cost: it is answered, or nobody waits for it any more."""
        self.requests -= 1
        self.seconds = self.seconds - cost if self.requests else 0.0
        if 2 * self.requests <= self._limits.waiting and 2 * self.seconds <= self._limits.backlog:
            self._full_since = None

    @property
    def saturated(self) -> bool:
        """Whether there has been no room for so long that a load balancer should send requests elsewhere."""
        return self._full_since is not None and monotonic() - self._full_since >= self._limits.saturated

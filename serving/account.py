"""What one request was and what became of it: noted by whoever handles it, for the log and the metrics."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter

from starlette.types import Scope

from serving import meters


@dataclass(eq=False, slots=True)
class Account:
    """One request's.

    Attributes:
        id: what it is called in the log and in the answer's X-Request-ID.
        trace: the `traceparent` that came, if it is one.
        began: when its head was there, by `perf_counter`.
        marked: the end of the phase that was noted last.
        task: that was asked, once it is known.
        digest: of the model that answered.
        inputs: how many.
        flagged: how many of them.
        phases: seconds of each: receive, read, wait, run.
    """

    id: str
    trace: str = ""
    began: float = field(default_factory=perf_counter)
    marked: float = 0.0
    task: str = ""
    digest: str = ""
    inputs: int = 0
    flagged: int = 0
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Since it was opened."""
        return perf_counter() - self.began

    def close(self, endpoint: str, status: int, reason: str) -> None:
        """Tell the metrics of it.

        Args:
            endpoint: its path.
            status: of the answer.
            reason: why it was refused; empty if it was not.
        """
        meters.done(endpoint, status, self.seconds)
        if reason:
            meters.turned_away(reason)
        elif self.digest:
            tallies = meters.of(self.task, self.digest).phases
            for phase, took in self.phases.items():
                tallies[phase].add(took)

    def mark(self, phase: str, end: float = 0.0) -> None:
        """A phase has ended, now or at a time of `perf_counter`."""
        end = end or perf_counter()
        self.phases[phase] = end - (self.marked or self.began)
        self.marked = end


_current: ContextVar[Account | None] = ContextVar("account", default=None)


def opened(scope: Scope) -> Account:
    """The account of a request that begins in this context, by the names that `Correlation` found for it."""
    account = Account(scope.get("request_id", ""), scope.get("traceparent", ""))
    _current.set(account)
    return account


def current() -> Account:
    """The account of the request in whose context this is called; outside of any, one that nobody reads."""
    return _current.get() or Account("")

"""Who may work now, who waits, and who is turned away: a few slots, and a bounded line for them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import Receive

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
        slots: requests at work at once.
        waiting: requests that may wait for a slot.
        patience: longest wait for one, in seconds.
        answer: what an answer may take once it has its slot, in seconds.
    """

    header: int = 16 * 1024
    body: int = 4 * 1024 * 1024
    silence: float = 5.0
    rate: int = 256 * 1024
    small: int = 64 * 1024
    held: int = 128 * 1024 * 1024
    slots: int = 4
    waiting: int = 256
    patience: float = 20.0
    answer: float = 30.0

    @property
    def longest(self) -> float:
        """Seconds that a request may take in all: the slowest body, the longest wait, the longest answer."""
        return self.silence + self.body / self.rate + self.patience + self.answer


class Line:
    """Slots, and requests that wait for one, first come first served."""

    def __init__(self, limits: Limits) -> None:
        """Open all slots."""
        self._free, self._limits = limits.slots, limits
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    @property
    def free(self) -> int:
        """How many slots nobody has."""
        return self._free

    @asynccontextmanager
    async def slot(self, receive: Receive) -> AsyncIterator[None]:
        """Have a slot for as long as the block runs.

        Args:
            receive: of a request whose body has been read; what comes now is that its client left.

        Raises:
            Refused: 429, too many wait; 503, none came free in time; 408, the client left.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(receive)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, receive: Receive) -> None:
        if len(self._line) >= self._limits.waiting:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._limits.waiting} requests are waiting already; try again after the seconds in Retry-After",
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(_disconnect(receive))
        self._line.append(turn)
        served = False
        try:
            await asyncio.wait({turn, gone}, timeout=self._limits.patience, return_when=asyncio.FIRST_COMPLETED)
            served = turn.done() and not gone.done()
        finally:
            gone.cancel()
            if not turn.done():
                self._line.remove(turn)
            elif not served:
                self._pass_on()
        if gone.done():
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the connection was closed before the answer")
        if not served:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the service is busy: no slot came free in {self._limits.patience:g} s;"
                " try again after the seconds in Retry-After",
            )

    def _pass_on(self) -> None:
        # Handed over rather than freed: nobody who comes between can take it.
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self._free += 1


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

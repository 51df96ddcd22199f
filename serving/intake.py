"""Reads bodies: each within its time and size, all of them within one bounded memory."""

import asyncio
from http import HTTPStatus
from types import TracebackType
from typing import Self

from starlette.types import Message, Receive

from serving.admission import Limits
from serving.errors import Refused

# In the scope of a request that was whole before its answer began.
WHOLE = "redoubt.whole"


class Memory:
    """What all bodies hold together."""

    def __init__(self, limits: Limits) -> None:
        """Empty."""
        self.held = 0
        self.limits = limits


class Share:
    """One body's part of the memory, given back at the end of the `with` block."""

    def __init__(self, memory: Memory) -> None:
        """Nothing yet."""
        self._memory, self.size = memory, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._set(0)

    def grow(self, more: int) -> None:
        """Take more bytes.

        Raises:
            Refused: 413, the body is too large; 429, all of them are.
        """
        limits = self._memory.limits
        if self.size + more > limits.body:
            raise too_large(limits)
        self._set(self.size + more)
        if self._memory.held > limits.held and self.size > limits.small:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"the requests in progress hold {limits.held} bytes already; send less per request,"
                " or try again after the seconds in Retry-After",
                unread=True,
                reason="memory_full",
            )

    def _set(self, size: int) -> None:
        small = self._memory.limits.small
        self._memory.held += max(0, size - small) - max(0, self.size - small)
        self.size = size


async def read(receive: Receive, share: Share, limits: Limits, whole: bool = False) -> bytes:
    """Read a body.

    Args:
        receive: of the request.
        share: of the memory; still holds the bytes when this returns.
        limits: of size and time.
        whole: whether all of it is here, so that nothing has to be waited for.

    Raises:
        Refused: 408, too slow or cut off; 413, too large; 429, no memory left.
    """
    body, more, began = bytearray(), True, asyncio.get_running_loop().time()
    while more:
        # A clock takes longer to be set than all else here.
        message = await (receive() if whole else _next(receive, share, limits, began))
        if message["type"] == "http.disconnect":
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT, "the connection was closed before the body was whole", reason="client_left"
            )
        piece = message.get("body", b"")
        share.grow(len(piece))
        more = message.get("more_body", False)
        if not body and not more:
            return piece
        body += piece
    return bytes(body)


async def _next(receive: Receive, share: Share, limits: Limits, began: float) -> Message:
    due = limits.silence + min(asyncio.get_running_loop().time(), began + share.size / limits.rate)
    try:
        async with asyncio.timeout_at(due):
            return await receive()
    except TimeoutError:
        raise Refused(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body stopped after {share.size} bytes or came too slowly; send it whole, without a pause of"
            f" {limits.silence:g} s and with {limits.rate // 1024} KiB a second",
            close=True,
            reason="body_too_slow",
        ) from None


async def discard(receive: Receive, limits: Limits) -> bool:
    """Let what still comes of a refused body pass by, for a while: many clients hear nothing until all is sent.

    Returns:
        Whether it came to its end.
    """
    try:
        async with asyncio.timeout(limits.silence):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        return False
    return True


def too_large(limits: Limits) -> Refused:
    """The refusal of a large body."""
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {limits.body} bytes; send less per request",
        unread=True,
    )

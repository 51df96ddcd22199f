"""What comes before ASGI: bytes that are no HTTP leave as an error in the envelope, and heads have an end.

BentoML lets nobody choose uvicorn's protocol class; this one takes the place of the one that uvicorn would choose.
"""

import asyncio
import re
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.responses import JSONResponse
from uvicorn.config import Config
from uvicorn.protocols.http import auto, httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.errors import envelope
from serving.intake import WHOLE

SENTENCE = "the request is not HTTP: its first line, a header or a length is malformed"
LONGEST_HEAD = 128 * 1024
# Seconds that a service told to end goes on for with what it has begun, unless told otherwise by
# --timeout-graceful-shutdown: a client who never reads its answer would else hold it up for ever.
DRAIN = 25
# Seconds from a connection's begin, or from a request's first byte, within which its head must be there.
HEAD_WITHIN = 5
LATE = f"the head of the request did not come within {HEAD_WITHIN} s; send it whole"
TOO_LONG = f"the headers are larger than {LONGEST_HEAD} bytes"
CUT = "the connection was closed before the request was whole"
# Java's client asks for HTTP/2 with every first request, Apache's for TLS with each, and both are content with
# HTTP/1.1; httptools would take the body that follows for the other protocol already.
UPGRADE, IGNORED = b"\r\nupgrade:", b"\r\nIgnored:"
UPGRADES = re.compile(rb"(?i)" + UPGRADE)
# Seconds after a whole request within which its sender may end its own side and still read the answer, as `nc -N` does.
# Whoever closes later has given up, and is not computed for.
ENDS_WITHIN = 1.0


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with answers in the envelope to what is malformed.

    Attributes:
        underway: the tasks of all requests that this process has begun with and not ended.
    """

    underway: ClassVar[set[asyncio.Task[None]]] = set()
    _head = 0
    _in_head = True
    _held = b""
    _whole_at = 0.0
    _due: asyncio.TimerHandle | None = None

    def __init__(self, config: Config, *rest: Any, **named: Any) -> None:
        """Begin a connection."""
        if config.timeout_graceful_shutdown is None:
            config.timeout_graceful_shutdown = DRAIN
        super().__init__(config, *rest, **named)
        Protocol.underway = self.tasks

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._due = self.loop.call_later(HEAD_WITHIN, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._in_head:
            data = self._without_upgrade(data)
        # Until a head is whole httptools keeps what came of it, however much that is.
        self._head += len(data)
        super().data_received(data)
        if self._head > LONGEST_HEAD and not self.transport.is_closing():
            self._refuse(envelope(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LONG))
        elif self._head and self._due is None and (self.cycle is None or self.cycle.response_complete):
            self._due = self.loop.call_later(HEAD_WITHIN, self._late)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Go on with a whole request whose sender has just ended its own side; say that another was cut off.

        Returns:
            Whether the connection stays open, until the answer is sent.
        """
        cycle = self.cycle
        if self.transport.is_closing() or (not self._head and (cycle is None or cycle.response_complete)):
            return False
        if self._head or cycle.more_body:
            self._refuse(envelope(HTTPStatus.BAD_REQUEST, CUT))
        elif self.loop.time() < self._whole_at + ENDS_WITHIN:
            cycle.keep_alive = False
            return True
        return False

    def _without_upgrade(self, data: bytes) -> bytes:
        """What came of a head, with no header Upgrade; the last bytes wait if they may be the begin of one."""
        data, self._held = self._held + data, b""
        end = data.find(b"\r\n\r\n")
        head = data if end < 0 else data[:end]
        if UPGRADE in head.lower():
            data = UPGRADES.sub(IGNORED, head) + data[len(head) :]
        if end < 0:
            begun = next((n for n in range(len(UPGRADE) - 1, 0, -1) if data[-n:].lower() == UPGRADE[:n]), 0)
            data, self._held = data[: len(data) - begun], data[len(data) - begun :]
        return data

    def on_headers_complete(self) -> None:
        """Start answering."""
        self._head, self._in_head = 0, False
        self._arrived()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Let the request know that it is whole: its task begins once all that came by now is parsed."""
        self.scope[WHOLE] = True  # type: ignore[literal-required]
        self._in_head, self._whole_at = True, self.loop.time()
        super().on_message_complete()

    def _arrived(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _late(self) -> None:
        self._due = None
        if self._head:
            self._refuse(envelope(HTTPStatus.REQUEST_TIMEOUT, LATE))
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(envelope(HTTPStatus.BAD_REQUEST, SENTENCE))

    def _refuse(self, answer: JSONResponse) -> None:
        # Where an answer has begun, a second one would be taken for its rest.
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            lines = [b"HTTP/1.1 %d %b" % (answer.status_code, HTTPStatus(answer.status_code).phrase.encode())]
            lines += [name + b": " + value for name, value in [*answer.raw_headers, (b"connection", b"close")]]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()


class Together:
    """A transport that lets the first that is written wait for the second: each write wakes the client once."""

    def __init__(self, transport: Any) -> None:
        """Write to a transport of asyncio."""
        self._transport, self._head = transport, b""
        self._begun = False

    def write(self, data: bytes) -> None:
        """Write, but for the first time."""
        if not self._begun:
            self._begun, self._head = True, data
        elif self._head:
            head, self._head = self._head, b""
            self._transport.writelines([head, data])
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write what waits still."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Close once all is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return bool(self._transport.is_closing())


class Cycle(RequestResponseCycle):
    """uvicorn's request and its answer, whose head and body leave together."""

    async def send(self, message: Any) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start" and not self.response_started:
            self.transport: Any = Together(self.transport)
        await super().send(message)
        if message["type"] == "http.response.body" and isinstance(self.transport, Together):
            # An answer to HEAD has no body.
            self.transport.flush()


def alone() -> bool:
    """Whether this process has begun with one request alone; asked for by that one."""
    return len(Protocol.underway) == 1


def install() -> None:
    """Take the place of the protocol that uvicorn would choose, and of what it answers by."""
    auto.AutoHTTPProtocol = Protocol
    httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]

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

from serving.errors import NO_WEBSOCKET, envelope
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
CUT = "the connection was closed before the request was whole; send all of it"
# Java's client asks so for HTTP/2 with every first request, and as every client that offers another protocol it is
# content with HTTP/1.1; httptools would take the body that follows for that protocol already. Of the same length as
# what stands in its place. WebSockets alone are refused.
UPGRADE, IGNORED = re.compile(rb"(?i)\r\nupgrade:(?![ \t]*websocket[ \t]*(\r|$))"), b"\r\nIgnored:"


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with answers in the envelope to what is malformed.

    Attributes:
        underway: the tasks of all requests that this process has begun with and not ended.
    """

    underway: ClassVar[set[asyncio.Task[None]]] = set()
    _head = 0
    _in_body = False
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
        if not self._in_body and UPGRADE.search(data, 0, end := _end_of_head(data)):
            data = UPGRADE.sub(IGNORED, data[:end]) + data[end:]
        # Until a head is whole httptools keeps what came of it, however much that is.
        self._head += len(data)
        super().data_received(data)
        if self._head > LONGEST_HEAD and not self.transport.is_closing():
            self._refuse(envelope(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LONG))
        elif self._head and self._due is None and (self.cycle is None or self.cycle.response_complete):
            self._due = self.loop.call_later(HEAD_WITHIN, self._late)

    def on_headers_complete(self) -> None:
        """Start answering."""
        self._head, self._in_body = 0, True
        self._arrived()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Let the request know that it is whole: its task begins once all that came by now is parsed."""
        self.scope[WHOLE] = True  # type: ignore[literal-required]
        self._head, self._in_body = 0, False
        super().on_message_complete()

    def eof_received(self) -> None:
        """Answer who sends no more, and may still read, where the request is not whole."""
        # An answer now would be taken for that to a request before it.
        if (self._head or self._in_body) and not self.pipeline:
            self._refuse(envelope(HTTPStatus.BAD_REQUEST, CUT))

    def handle_websocket_upgrade(self) -> None:
        """Refuse it: the library that would speak that protocol has refusals of its own for what is malformed."""
        self._refuse(envelope(HTTPStatus.NOT_FOUND, NO_WEBSOCKET))

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


def _end_of_head(data: bytes) -> int:
    end = data.find(b"\r\n\r\n")
    return len(data) if end < 0 else end


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

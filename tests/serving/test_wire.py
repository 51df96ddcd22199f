"""Requests as bytes on the wire: whatever comes, one answer in one form, and the service goes on."""

import asyncio
import json
import logging
import socket
import time
from typing import Any

import httpx
import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from serving.intake import WHOLE
from serving.wire import Cycle, Protocol, alone

RECORD = {"cp": 300.0, "hp": 50, "species": "Eevee"}
GOOD = json.dumps({"task": "evolution", "inputs": [RECORD]}).encode()


def request(
    body: bytes = GOOD, *headers: str, method: str = "POST", path: str = "/predict", version: str = "1.1"
) -> bytes:
    """A request that asks for the connection's end."""
    lines = [f"{method} {path} HTTP/{version}", "Host: x", "Content-Type: application/json", *headers]
    if not any(header.startswith(("Content-Length", "Transfer-Encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    end = [] if any(header.startswith("Connection") for header in headers) else ["Connection: close"]
    return "\r\n".join([*lines, *end, "", ""]).encode() + body


def exchange(http: httpx.Client, sent: bytes) -> bytes:
    """All that comes back."""
    with socket.create_connection((str(http.base_url.host), int(http.base_url.port or 0)), timeout=20.0) as link:
        link.sendall(sent)
        return b"".join(iter(lambda: link.recv(65536), b""))


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


CHUNKED = "Transfer-Encoding: chunked"

# name: (bytes, status, a piece of the body)
CASES: dict[str, tuple[bytes, int, bytes]] = {
    "chunked": (request(chunked(GOOD[:20], GOOD[20:]), CHUNKED), 200, b'"value"'),
    "HTTP/1.0": (request(version="1.0"), 200, b'"value"'),
    "an upgrade to HTTP/2": (
        request(GOOD, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, HTTP2-Settings, close"),
        200,
        b'"value"',
    ),
    # Apache's client 5.4 and later sends it with every request.
    "an upgrade to TLS": (request(GOOD, "Upgrade: TLS/1.2", "Connection: Upgrade, close"), 200, b'"value"'),
    "an upgrade to one of two": (request(GOOD, "Upgrade: h2, h2c", "Connection: Upgrade, close"), 200, b'"value"'),
    "chunks and an upgrade": (
        request(chunked(GOOD), CHUNKED, "upgrade: foo/1", "Connection: close, upgrade"),
        200,
        b'"value"',
    ),
    "a POST to a WebSocket": (request(GOOD, "Upgrade: websocket", "Connection: Upgrade, close"), 200, b'"value"'),
    "a WebSocket without a key": (
        b"GET /predict HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade, close\r\n\r\n",
        405,
        b"does not take that method",
    ),
    "chunks of a bad size": (request(b"zz\r\n{}\r\n0\r\n\r\n", CHUNKED), 400, b"not HTTP"),
    "a chunk of a negative size": (request(b"-1\r\n{}\r\n0\r\n\r\n", CHUNKED), 400, b"not HTTP"),
    "both lengths": (request(chunked(GOOD), CHUNKED, f"Content-Length: {len(GOOD)}"), 400, b"not HTTP"),
    "a negative length": (request(GOOD, "Content-Length: -5"), 400, b"not HTTP"),
    "two unlike lengths": (request(GOOD, "Content-Length: 5", "Content-Length: 6"), 400, b"not HTTP"),
    "a length too short": (request(GOOD, "Content-Length: 20"), 400, b"not JSON"),
    "a blank in a header's name": (request(GOOD, "Bad Header: x"), 400, b"not HTTP"),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, b"not HTTP"),
    "a header of 70,000 bytes": (request(GOOD, "X-Trace: " + "x" * 70_000), 431, b"the headers are larger"),
    "a header without end": (b"POST /predict HTTP/1.1\r\nX-Trace: " + b"x" * 140_000, 431, b"the headers are larger"),
    "a method in small letters": (request(method="post"), 400, b"not HTTP"),
    "a path with a zero byte": (request(path="/predict%00"), 404, b"nothing at this path"),
    "no host": (b"POST /predict HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400, b"not HTTP"),
    "a preflight": (
        request(b"", "Origin: http://x.example", "Access-Control-Request-Method: POST", method="OPTIONS"),
        405,
        b"no calls from pages of another origin",
    ),
    "a WebSocket": (
        b"GET /predict HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        405,
        b"does not take that method",
    ),
    "8 MiB": (request(b" " * 2**23, f"Content-Length: {2**23}"), 413, b"send less per request"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_answer_in_one_form(name: str, http: httpx.Client) -> None:
    sent, status, piece = CASES[name]
    head, _, body = exchange(http, sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert piece in body
    if status >= 400:
        assert set(json.loads(body)["error"]) == {"code", "message"}


def test_who_waits_for_leave_to_send_is_given_it(http: httpx.Client) -> None:
    said = exchange(http, request(GOOD, "Expect: 100-continue"))
    assert said.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 200 " in said


def test_who_would_send_too_much_is_not_told_to(http: httpx.Client) -> None:
    said = exchange(http, request(b"", "Expect: 100-continue", f"Content-Length: {2**30}"))
    assert said.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("begun", [b"", request()], ids=["first", "second"])
def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(begun: bytes, http: httpx.Client) -> None:
    """Else connections, of which the system has but so many, would be open for ever."""
    begun = begun.replace(b"Connection: close", b"Connection: keep-alive")
    last = exchange(http, begun + b"POST /predict HTTP/1.1\r\nHost: x\r\n").split(b"HTTP/1.1 ")[-1]
    assert last.startswith(b"408 ") or begun
    if not begun:
        assert b"the head of the request did not come within 5 s" in last


def half_closed(http: httpx.Client, *pieces: bytes) -> bytes:
    """All that comes back to who ends its own side after these pieces, each sent by itself."""
    with socket.create_connection((str(http.base_url.host), int(http.base_url.port or 0)), timeout=20.0) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            link.sendall(piece)
            time.sleep(0.02 * (len(pieces) > 1))
        link.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: link.recv(65536), b""))


def test_who_ends_its_own_side_still_reads_the_answers(http: httpx.Client) -> None:
    """As `nc -N` does; a hundred inputs take longer than the end of the connection takes to arrive."""
    many = json.dumps({"task": "evolution", "inputs": [RECORD] * 100, "certify": "radius"}).encode()
    assert half_closed(http, request(many)).startswith(b"HTTP/1.1 200 ")
    both = half_closed(http, request(many, "Connection: keep-alive") + request(GOOD, "Connection: keep-alive"))
    assert both.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("sent", [request()[:-5], request()[:40], request(chunked(GOOD)[:-5], CHUNKED)])
def test_a_request_that_is_cut_off_is_told_so(sent: bytes, http: httpx.Client) -> None:
    head, _, body = half_closed(http, sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert "before the request was whole" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("place", range(1, 11))
def test_an_upgrade_that_comes_in_two_pieces_is_ignored(place: int, http: httpx.Client) -> None:
    sent = request(GOOD, "UPGRADE: TLS/1.2", "Connection: Upgrade, close")
    place += sent.index(b"\r\nUPGRADE:")
    assert half_closed(http, sent[:place], sent[place:]).startswith(b"HTTP/1.1 200 ")


def test_who_sends_nothing_is_not_waited_for(http: httpx.Client) -> None:
    assert exchange(http, b"") == b""


def test_requests_one_after_the_other_on_one_connection(http: httpx.Client) -> None:
    assert exchange(http, request(GOOD, "Connection: keep-alive") + request()).count(b"HTTP/1.1 200 ") == 2


def test_a_head_request_has_no_body(http: httpx.Client) -> None:
    head, _, body = exchange(http, request(b"", method="HEAD")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert body == b""


class Written:
    """Stands for a connection, and notes each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.writes.append(b"".join(pieces))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def answered(*pieces: bytes, method: str = "POST", asks: bool = False, keep_alive: bool = True) -> Written:
    """The writes of an answer of these pieces."""
    connection = Written()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        length = (b"content-length", b"%d" % len(b"".join(pieces)))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        for place, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": place + 1 < len(pieces)})

    async def run() -> None:
        log, came = logging.getLogger("test"), asyncio.Event()
        came.set()
        cycle = Cycle(
            {"type": "http", "method": method},  # type: ignore[typeddict-item, arg-type]
            connection,  # type: ignore[arg-type]
            FlowControl(connection),  # type: ignore[arg-type]
            log,
            log,
            False,
            [],
            came,
            asks,
            keep_alive,
            lambda: None,
        )
        cycle.more_body = False
        await cycle.run_asgi(app)  # type: ignore[arg-type]

    asyncio.run(run())
    return connection


def test_an_answer_leaves_in_one_write() -> None:
    (only,) = answered(b"{}").writes
    assert only.startswith(b"HTTP/1.1 200 OK\r\n")
    assert only.endswith(b"\r\n\r\n{}")


def test_the_pieces_of_a_long_answer_leave_as_they_come() -> None:
    first, *others = answered(b"a", b"b", b"c").writes
    assert first.endswith(b"\r\n\r\na")
    assert others == [b"b", b"c"]


def test_a_head_alone_is_not_kept_back() -> None:
    (only,) = answered(b"", method="HEAD").writes
    assert only.endswith(b"\r\n\r\n")


def test_leave_to_send_is_given_at_once_and_the_end_comes_last() -> None:
    connection = answered(b"{}", asks=True, keep_alive=False)
    assert connection.writes[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.writes[1].endswith(b"{}")
    assert connection.closed


def met(*arrivals: list[bytes]) -> list[tuple[bool, bool]]:
    """Of requests that come over one connection each, all at once: which is alone, and which whole.

    Args:
        arrivals: of each connection what comes before the requests' tasks begin.
    """
    found = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append((alone(), WHOLE in scope))
        await asyncio.sleep(0)

    async def run() -> None:
        state = ServerState()
        config = Config(app, log_config=None)
        config.load()
        for pieces in arrivals:
            protocol = Protocol(config, state, {})
            protocol.connection_made(Link())
            for piece in pieces:
                protocol.data_received(piece)
        while state.tasks:
            await asyncio.sleep(0)

    asyncio.run(run())
    return found


class Link(Written):
    """A connection whose ends have no names."""

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def test_a_request_is_alone_until_another_has_come() -> None:
    sent = request()
    assert met([sent]) == [(True, True)]
    assert met([sent], [sent], [sent]) == [(False, True)] * 3
    assert met([sent[:-3]], [sent]) == [(False, False), (False, True)]
    assert met([sent[:30], sent[30:-3]]) == [(True, False)]
    assert met([sent, sent]) == [(True, True)], "the second one of a connection has not begun"

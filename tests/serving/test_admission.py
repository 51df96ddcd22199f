"""Who is let in and who is turned away, tried on small limits in one event loop."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope

from serving.admission import Backlog, Limits
from serving.errors import Refused
from serving.gatekeeper import Answer, Gatekeeper, Route
from serving.intake import Memory, Share

SMALL = Limits(body=1000, silence=0.1, rate=10_000, small=50, held=400, waiting=3, backlog=2.0, header=300)


class Service:
    """Answers how many bytes came, once it is allowed to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def answer(self, _: Scope, body: bytes, __: Receive) -> Answer:
        await self.open.wait()
        return Answer(str(len(body)).encode())


class Client:
    """One request, its body sent piece by piece."""

    def __init__(self, gate: Gatekeeper, headers: dict[str, str] | None = None) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.status, self.headers, self.body = 0, dict[str, str](), b""
        every = {"host": "x", "content-type": "text/plain", **(headers or {})}
        raw = [(name.encode(), value.encode()) for name, value in every.items()]
        scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/", "headers": raw}
        self.task = asyncio.ensure_future(gate(scope, self.messages.get, self._take))

    def send(self, body: bytes, more: bool = False) -> "Client":
        self.messages.put_nowait({"type": "http.request", "body": body, "more_body": more})
        return self

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})

    async def said(self) -> tuple[int, str]:
        await asyncio.wait_for(self.task, 5.0)
        if self.status < 400:
            return self.status, self.body.decode()
        return self.status, json.loads(self.body)["error"]["message"]

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        self.body += message.get("body", b"")


def tried(scenario: Callable[[Service, Gatekeeper], Awaitable[None]], limits: Limits = SMALL) -> None:
    """Run a scenario; afterwards nobody may hold anything."""

    async def run() -> None:
        service = Service()
        gate = Gatekeeper({"/": Route("/", ("text/plain",), service.answer)}.get, limits)
        await scenario(service, gate)
        assert gate._memory.held == 0

    asyncio.run(run())


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_whole_body_is_passed_on() -> None:
    async def scenario(service: Service, gate: Gatekeeper) -> None:
        service.open.set()
        assert await Client(gate).send(b"ab", more=True).send(b"c").said() == (200, "3")

    tried(scenario)


@pytest.mark.parametrize("sent", [b"", b"x", b"x" * 200])
def test_silence_within_a_body_ends_it_and_costs_nobody_a_slot(sent: bytes) -> None:
    async def scenario(service: Service, gate: Gatekeeper) -> None:
        service.open.set()
        silent = [Client(gate).send(sent, more=True) for _ in range(9)]
        await settle()
        assert await Client(gate).send(b"ab").said() == (200, "2")
        for client in silent:
            status, sentence = await client.said()
            assert status == 408
            assert f"stopped after {len(sent)} bytes" in sentence
            assert client.headers["connection"] == "close"

    tried(scenario, replace(SMALL, held=10_000))


def test_a_drip_ends_as_silence_does() -> None:
    async def scenario(_: Service, gate: Gatekeeper) -> None:
        client, began = Client(gate), asyncio.get_running_loop().time()
        while not client.task.done():
            client.send(b"x", more=True)
            await asyncio.sleep(0.02)
        assert (await client.said())[0] == 408
        assert asyncio.get_running_loop().time() - began < 1.0

    tried(scenario)


def test_who_leaves_within_a_body_is_not_answered_for_half_of_it() -> None:
    async def scenario(_: Service, gate: Gatekeeper) -> None:
        client = Client(gate).send(b"xx", more=True)
        client.leave()
        assert await client.said() == (408, "the connection was closed before the body was whole")

    tried(scenario)


def test_who_is_cancelled_gives_all_back() -> None:
    async def scenario(service: Service, gate: Gatekeeper) -> None:
        clients = [Client(gate).send(b"x" * 100) for _ in range(3)]
        await settle()
        for client in (clients[1], clients[0], clients[2]):
            client.task.cancel()
        await asyncio.wait([client.task for client in clients])
        service.open.set()
        assert (await Client(gate).send(b"x").said())[0] == 200

    tried(scenario)


def test_large_bodies_fill_the_memory_and_small_ones_still_come_in() -> None:
    async def scenario(service: Service, gate: Gatekeeper) -> None:
        large, next_large = Client(gate).send(b"x" * 440), Client(gate).send(b"x" * 100)
        status, sentence = await next_large.said()
        assert (status, next_large.headers["retry-after"]) == (429, "5")
        assert "hold 400 bytes already" in sentence
        small = Client(gate).send(b"x" * 50)
        await settle()
        service.open.set()
        assert [(await client.said())[0] for client in (large, small)] == [200, 200]

    tried(scenario)


def test_an_oversized_body_is_let_pass_by_and_then_refused() -> None:
    async def scenario(_: Service, gate: Gatekeeper) -> None:
        declared, chunked = Client(gate, {"content-length": "5000"}), Client(gate)
        for client in (declared, chunked):
            for left in range(4, -1, -1):
                client.send(b"x" * 1000, more=left > 0)
            assert (await client.said())[0] == 413
            assert "connection" not in client.headers
            assert client.messages.empty()
        waiting = Client(gate, {"content-length": "5000", "expect": "100-continue"})
        assert (await waiting.said())[0] == 413
        endless = Client(gate, {"content-length": "5000"}).send(b"x", more=True)
        assert (await endless.said())[0] == 413
        assert waiting.headers["connection"] == endless.headers["connection"] == "close"

    tried(scenario, replace(SMALL, held=10_000))


HEADS = {
    "two lengths": ({"content-length": "1", "transfer-encoding": "chunked"}, 400, "both Content-Length and Transfer"),
    "large": ({"x": "y" * 300}, 431, "larger than 300 bytes"),
    "compressed": ({"content-encoding": "gzip"}, 415, "gzip; send the body uncompressed"),
    "another type": ({"content-type": "text/html"}, 415, "the content type is text/html; / takes text/plain"),
    "another charset": ({"content-type": "text/plain; charset=utf-16"}, 415, "the charset is utf-16; send UTF-8"),
    "a length of many digits": ({"content-length": "9" * 5000}, 431, "larger than"),
    "a length of more digits than a number has": ({"content-length": "9" * 200}, 413, "larger than 1000 bytes"),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads(name: str) -> None:
    async def scenario(service: Service, gate: Gatekeeper) -> None:
        service.open.set()
        headers, status, sentence = HEADS[name]
        found, said = await Client(gate, headers).send(b"x").said()
        assert found == status
        assert sentence in said

    tried(scenario)


@given(costs=st.lists(st.tuples(st.integers(0, 12).map(lambda quarters: quarters / 4), st.booleans()), max_size=40))
def test_what_waits_is_bounded_by_its_count_and_its_cost(costs: list[tuple[float, bool]]) -> None:
    backlog, inside = Backlog(SMALL), list[float]()
    for cost, leaves in costs:
        if leaves and inside:
            backlog.remove(inside.pop(0))
        if len(inside) == SMALL.waiting or (inside and sum(inside) + cost > SMALL.backlog):
            with pytest.raises(Refused) as caught:
                backlog.add(cost)
            answer = caught.value.answer
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
            continue
        backlog.add(cost)
        inside.append(cost)
        assert backlog.requests == len(inside) <= SMALL.waiting
        assert backlog.seconds == pytest.approx(sum(inside))
    for cost in inside:
        backlog.remove(cost)
    assert (backlog.requests, backlog.seconds) == (0, 0.0)


def test_who_has_no_room_for_long_is_not_ready() -> None:
    backlog = Backlog(replace(SMALL, saturated=0.05))
    for _ in range(3):
        backlog.add(0.1)
    assert not backlog.saturated
    for _ in range(2):
        with pytest.raises(Refused):
            backlog.add(0.1)
        assert not backlog.saturated
    time.sleep(0.06)
    assert backlog.saturated
    backlog.remove(0.1)
    assert backlog.saturated, "one place is no room yet"
    backlog.remove(0.1)
    assert not backlog.saturated


@given(sizes=st.lists(st.lists(st.integers(0, 300), max_size=6), max_size=6))
def test_memory_is_given_back_to_the_byte(sizes: list[list[int]]) -> None:
    memory = Memory(SMALL)

    def open_all(rest: list[list[int]]) -> None:
        if not rest:
            return
        with Share(memory) as share:
            try:
                for size in rest[0]:
                    share.grow(size)
                    assert memory.held <= SMALL.held or share.size <= SMALL.small
            except Refused:
                pass
            open_all(rest[1:])

    open_all(sizes)
    assert memory.held == 0

"""Who is let in, who waits and who is turned away, tried on small limits in one event loop."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from serving.admission import Limits, Line
from serving.errors import Refused
from serving.gatekeeper import Gatekeeper
from serving.intake import Memory, Share

SMALL = Limits(
    body=1000, silence=0.1, rate=10_000, small=50, held=400, slots=1, waiting=2, patience=0.15, header=300, answer=1.0
)


class Service:
    """Answers how many bytes came, once it is allowed to."""

    def __init__(self) -> None:
        self.open, self.inside, self.most = asyncio.Event(), 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
            await PlainTextResponse(str(len(message["body"])))(scope, receive, send)
        finally:
            self.inside -= 1


class Client:
    """One request, its body sent piece by piece."""

    def __init__(self, gate: Gatekeeper, headers: dict[str, str] | None = None) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.status, self.headers, self.body = 0, dict[str, str](), b""
        every = {"content-type": "text/plain", **(headers or {})}
        raw = [(name.encode(), value.encode()) for name, value in every.items()]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": raw}
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
        gate = Gatekeeper(service, {"/": "text/plain"}, limits)
        await scenario(service, gate)
        assert (gate._line.free, gate._line.waiting, gate._memory.held) == (limits.slots, 0, 0)
        assert service.most <= limits.slots

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


def test_a_line_is_served_in_turn_and_the_next_is_told_when_to_come_back() -> None:
    async def scenario(service: Service, gate: Gatekeeper) -> None:
        done: list[int] = []
        clients = [Client(gate).send(b"x" * (n + 1)) for n in range(4)]
        for n, client in enumerate(clients):
            client.task.add_done_callback(lambda _, n=n: done.append(n))
        await settle()
        assert gate._line.waiting == 2
        status, sentence = await clients[3].said()
        assert (status, clients[3].headers["retry-after"]) == (429, "5")
        assert "2 requests are waiting already" in sentence
        service.open.set()
        assert [await client.said() for client in clients[:3]] == [(200, "1"), (200, "2"), (200, "3")]
        assert done == [3, 0, 1, 2]

    tried(scenario)


def test_a_wait_has_its_end() -> None:
    async def scenario(service: Service, gate: Gatekeeper) -> None:
        first, second = Client(gate).send(b"x"), Client(gate).send(b"x")
        status, sentence = await second.said()
        assert (status, second.headers["retry-after"]) == (503, "5")
        assert "no slot came free in 0.15 s" in sentence
        service.open.set()
        assert (await first.said())[0] == 200

    tried(scenario)


def test_who_leaves_gives_the_place_back() -> None:
    async def scenario(service: Service, gate: Gatekeeper) -> None:
        first, second, third = (Client(gate).send(b"x") for _ in range(3))
        await settle()
        second.leave()
        await settle()
        assert gate._line.waiting == 1
        fourth = Client(gate).send(b"xx")
        service.open.set()
        assert [(await client.said())[0] for client in (first, second, third, fourth)] == [200, 408, 200, 200]

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


@given(
    steps=st.lists(st.tuples(st.sampled_from(["come", "finish", "leave", "cancel"]), st.integers(0, 7)), max_size=40)
)
def test_whatever_happens_no_slot_is_lost_and_none_is_given_twice(steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        limits = replace(SMALL, slots=2, waiting=3, patience=60.0)
        line, inside, tasks = Line(limits), [], list[asyncio.Task[Any]]()
        leaves: list[asyncio.Event] = []

        async def request(left: asyncio.Event, done: asyncio.Event) -> None:
            async def receive() -> Message:
                await left.wait()
                return {"type": "http.disconnect"}

            try:
                async with line.slot(receive):
                    inside.append(done)
                    try:
                        await done.wait()
                    finally:
                        inside.remove(done)
            except Refused:
                pass

        for step, which in steps:
            if step == "come":
                leaves.append(asyncio.Event())
                tasks.append(asyncio.create_task(request(leaves[-1], asyncio.Event())))
            elif step == "finish" and inside:
                inside[which % len(inside)].set()
            elif step == "leave" and leaves:
                leaves[which % len(leaves)].set()
            elif step == "cancel" and tasks:
                tasks[which % len(tasks)].cancel()
            if which % 2:
                await settle()
            assert len(inside) + line.free <= limits.slots
            assert line.waiting <= limits.waiting
            assert not (line.free and line.waiting)
        for event in leaves:
            event.set()
        for _ in range(len(tasks) + 1):
            await settle()
            for done in inside:
                done.set()
        await settle()
        assert not inside
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (line.free, line.waiting) == (limits.slots, 0)

    asyncio.run(run())


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

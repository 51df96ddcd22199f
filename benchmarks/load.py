"""Clients that ask a server over HTTP/1.1 as fast as it answers, at a cost that leaves the processor to the server.

Run as a program it shows how the service does as more clients ask at once, and beside clients that never finish:
`python -m benchmarks.load mnist-certified`, from the project's top folder. Prints a table, asserts nothing.
"""

import argparse
import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import cast

import uvloop

from benchmarks.server import redoubt

CLIENTS = (1, 8, 64)
SECONDS = 5.0
PATIENCE = 30.0
# One byte of a body and then nothing: what holds a slot of a server that takes one before the body is there.
STALLED = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"


@dataclass
class Load:
    """What came of some seconds of requests.

    Attributes:
        seconds: that they took.
        took: seconds of each good answer.
        others: how many had another status than 200; 0 where no answer came.
    """

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    others: "Counter[int]" = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.took) / self.seconds

    def percentile(self, share: int) -> float:
        """Milliseconds within which so many of a hundred good answers came."""
        return quantiles(self.took, n=100)[share - 1] * 1000 if len(self.took) > 1 else 0.0


class Client(asyncio.Protocol):
    """One connection, one request after the other until the time is over."""

    def __init__(self, request: bytes, until: float, load: Load) -> None:
        self._request, self._until, self._load = request, until, load
        self._came, self._whole, self._began = bytearray(), 0, 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer; ask again once it is whole."""
        self._came += data
        if not self._whole and (end := self._came.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._came[:end]).lower()
            self._whole = end + 4 + int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        if self._whole and len(self._came) >= self._whole:
            self._count(int(self._came[9:12]))
            self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        """End; before the time is over that is no answer."""
        if not self.over.done():
            self._count(0)
            self.over.set_result(None)

    def _ask(self) -> None:
        self._came.clear()
        self._whole, self._began = 0, time.perf_counter()
        if self._began < self._until:
            self._transport.write(self._request)
        else:
            self.over.set_result(None)
            self._transport.close()

    def _count(self, status: int) -> None:
        if status == 200:
            self._load.took.append(time.perf_counter() - self._began)
        else:
            self._load.others[status] += 1


def request(body: bytes, path: str = "/predict", kind: str = "application/json") -> bytes:
    """A POST as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def measure(
    url: str,
    sent: bytes,
    clients: int,
    seconds: float,
    stalled: int = 0,
    beside: Sequence[bytes] = (),
    besides: Load | None = None,
) -> Load:
    """Have clients ask.

    Args:
        url: of the server.
        sent: the request; see `request`.
        clients: connections, each with one request at a time.
        seconds: to go on for.
        stalled: connections beside them that send one byte of a body and wait.
        beside: what further clients send.
        besides: takes what came of those.
    """
    requests = [sent] * clients + [STALLED] * stalled + [*beside]
    return uvloop.run(_measure(url, requests, clients, seconds, besides or Load()))


async def _measure(url: str, requests: Iterable[bytes], counted: int, seconds: float, idle: Load) -> Load:
    host, port = url.removeprefix("http://").split(":")
    load, loop = Load(), asyncio.get_running_loop()
    began = time.perf_counter()
    made = []
    for index, sent in enumerate(requests):
        client = Client(sent, began + seconds, load if index < counted else idle)
        made.append(await loop.create_connection(partial(_same, client), host, int(port)))
    # What has not come by then is no answer; else a server that hangs would hang this too.
    await asyncio.wait([client.over for _, client in made[:counted]], timeout=seconds + PATIENCE)
    load.seconds = time.perf_counter() - began
    for transport, _ in made:
        transport.abort()
    return load


def _same(client: Client) -> Client:
    return client


def main() -> None:
    """Serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="a bundle of zoo/ with an example.json, such as mnist-certified")
    bundle = parser.parse_args().bundle
    body = (Path("zoo") / bundle / "example.json").read_bytes()
    print(f"{bundle}, {len(body)} bytes a request, {os.cpu_count()} cores, {SECONDS:g} s a row")
    print("clients stalled     ok/s    median   99th pct  others")
    with redoubt(Path("zoo")) as url:
        for clients, stalled in [*((clients, 0) for clients in CLIENTS), (1, 50)]:
            load = measure(url, request(body), clients, SECONDS, stalled)
            said = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(load.others.items()))
            times = f"{load.percentile(50):7.1f} ms {load.percentile(99):7.1f} ms"
            print(f"{clients:7} {stalled:7} {load.rate:8.1f} {times}  {said or 'none'}", flush=True)


if __name__ == "__main__":
    main()

"""Two processes answer: one that is killed is missed by nobody but whom it was answering, and is soon back."""

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from starlette.responses import PlainTextResponse
from uvicorn.config import Config
from uvicorn.server import ServerState

from serving.watch import PERIOD
from serving.wire import DRAIN, Protocol
from tests.support.process import serve

BODY = json.dumps({"task": "digits", "inputs": [np.full((8, 8), 0.5).tolist()]}).encode()
LONG = json.dumps({"task": "digits", "certify": "radius", "inputs": [np.full((8, 8), 0.5).tolist()] * 256}).encode()
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def two(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    variables = {"REDOUBT_WORKERS": "2"}
    with serve("serving.service:Redoubt", models, tmp_path_factory.mktemp("two"), variables=variables) as client:
        yield client


def supervisor(client: httpx.Client) -> psutil.Process:
    port = str(client.base_url.port)
    (found,) = (each for each in psutil.Process().children() if port in each.cmdline())
    return found


def workers(client: httpx.Client) -> list[psutil.Process]:
    alive = [each for each in supervisor(client).children() if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in alive if "_bentoml_impl.worker.service" in each.cmdline()]


def soon(condition: Any) -> bool:
    deadline = time.monotonic() + 30.0
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(met)


def answered(client: httpx.Client) -> float:
    text = client.get("/metrics").text
    found = re.findall(r'^redoubt_requests_total{endpoint="/predict",status="200"} (\S+)$', text, re.MULTILINE)
    return sum(map(float, found))


def settled(client: httpx.Client) -> float:
    """What was answered, once each process has told what it had counted, which it does whenever it looks around."""
    before = -1.0
    while (now := answered(client)) != before:
        before = now
        time.sleep(1.5 * PERIOD)
    return now


def memories(client: httpx.Client) -> set[int]:
    return set(map(int, re.findall(r'redoubt_process_resident_bytes{pid="(\d+)"}', client.get("/metrics").text)))


def test_a_killed_process_is_back_soon_and_the_other_answers_on(two: httpx.Client) -> None:
    # Each says its memory as soon as it looks at its folder for the first time.
    assert soon(lambda: memories(two) == {each.pid for each in workers(two)} and len(memories(two)) == 2)

    def ask(_: int) -> str:
        with httpx.Client(base_url=two.base_url, timeout=30.0) as client:
            try:
                return str(client.post("/predict", content=BODY, headers=JSON).status_code)
            except httpx.TransportError:
                return "cut"

    with ThreadPoolExecutor(4) as pool:
        asking = pool.map(ask, range(60))
        time.sleep(0.1)
        killed = workers(two)[0]
        killed.kill()
        said = list(asking)
    # At most one of each client was in the hands of the one that was killed.
    assert said.count("cut") <= 4
    assert said.count("200") == 60 - said.count("cut")
    began = time.monotonic()
    assert soon(lambda: len(workers(two)) == 2)
    assert time.monotonic() - began < 10.0
    assert soon(lambda: killed.pid not in memories(two) and len(memories(two)) == 2), "the dead one's memory is told"


def test_what_two_processes_answered_is_counted_together(two: httpx.Client) -> None:
    assert soon(lambda: len(workers(two)) == 2)
    before = settled(two)
    for _ in range(20):
        httpx.post(f"{two.base_url}/predict", content=BODY, headers=JSON).raise_for_status()
    assert soon(lambda: answered(two) == before + 20)


def accepted(processes: list[psutil.Process], port: int | None) -> set[int]:
    """The clients' ports of the connections that the processes hold."""
    each = [one for process in processes for one in process.net_connections("tcp")]
    return {one.raddr.port for one in each if one.raddr and one.laddr.port == port}


def test_told_to_end_it_answers_what_it_has_begun(two: httpx.Client) -> None:
    process, both, port = supervisor(two), workers(two), two.base_url.port
    before, url = accepted(both, port), f"{two.base_url}/predict"
    with ThreadPoolExecutor(2) as pool:
        begun = [pool.submit(httpx.post, url, content=LONG, headers=JSON, timeout=60.0) for _ in range(2)]
        # A quick machine may have answered one before it is looked at.
        while len(accepted(both, port) - before) < 2 and not any(each.done() for each in begun):
            time.sleep(0.01)
        # They are read in the same turn of the loop, or the next one.
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert [each.result().status_code for each in begun] == [200, 200]
    process.wait(30.0)


@pytest.mark.parametrize(("given", "expected"), [(None, DRAIN), (3, 3)])
def test_a_client_who_never_reads_does_not_hold_the_end_up(given: int | None, expected: int) -> None:
    config = Config(PlainTextResponse(), timeout_graceful_shutdown=given)

    async def connect() -> None:
        Protocol(config, ServerState(), {})

    asyncio.run(connect())
    assert config.timeout_graceful_shutdown == expected

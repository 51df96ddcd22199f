"""What share of requests the service answers, how many a second and how soon, as more clients ask at once.

Each client sends the example beside a bundle, waits for its answer and sends it again; a refused one waits no longer
than any other. Run from the project's top folder: `python -m benchmarks.load mnist-certified`.
Prints a table, asserts nothing.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import quantiles

import httpx

from benchmarks.server import free_port, running

CLIENTS = (1, 8, 64)
SECONDS = 5.0
# One byte of a body and then nothing: what holds a slot of a server that takes one before the body is there.
STALLED = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"


async def ask(http: httpx.AsyncClient, body: bytes, until: float) -> list[tuple[int, float]]:
    """One client, one request after the other until the time is over.

    Returns:
        Status and seconds of each request; status 0 where no answer came.
    """
    found = []
    while (began := time.perf_counter()) < until:
        try:
            status = (await http.post("/predict", content=body)).status_code
        except httpx.TransportError:
            status = 0
        found.append((status, time.perf_counter() - began))
    return found


async def measure(url: str, body: bytes, clients: int, stalled: int = 0) -> str:
    """One row of the table, with some connections beside it that send one byte of a body and wait."""
    host, port = url.removeprefix("http://").split(":")
    held = [await asyncio.open_connection(host, int(port)) for _ in range(stalled)]
    for _, writer in held:
        writer.write(STALLED)
    # One object, as its making takes as long as many an answer; one connection per client all the same.
    limits, kind = httpx.Limits(max_connections=clients), {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=url, timeout=60.0, limits=limits, headers=kind) as http:
        began = time.perf_counter()
        each = await asyncio.gather(*(ask(http, body, began + SECONDS) for _ in range(clients)))
        seconds = time.perf_counter() - began
    for _, writer in held:
        writer.close()
    requests = [request for client in each for request in client]
    good = [took for status, took in requests if status == httpx.codes.OK]
    others = Counter(status for status, _ in requests if status != httpx.codes.OK)
    said = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(others.items()))
    median, late = (quantiles(good, n=100)[i] * 1000 for i in (49, 98)) if len(good) > 1 else (0.0, 0.0)
    share = 100 * sum(others.values()) / len(requests)
    return f"{clients:7} {stalled:7} {len(good) / seconds:8.1f} {share:7.1f} % {median:7.0f} ms {late:7.0f} ms  {said}"


def main() -> None:
    """Serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="a bundle of zoo/ with an example.json, such as mnist-certified")
    bundle = parser.parse_args().bundle
    root = Path.cwd()
    body = (root / "zoo" / bundle / "example.json").read_bytes()
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:Redoubt", "--host", "127.0.0.1"]
    variables = {
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")]),
        "REDOUBT_MODELS": str(root / "zoo"),
    }
    print(f"{bundle}, {len(body)} bytes a request, {os.cpu_count()} cores, {SECONDS:g} s a row")
    print("clients stalled     ok/s   refused    median   99th pct")
    with tempfile.TemporaryDirectory() as folder:
        variables["BENTOML_HOME"] = folder
        url = f"http://127.0.0.1:{port}"
        with running([*command, "--port", str(port)], f"{url}/livez", Path(folder), variables):
            for clients, stalled in [*((clients, 0) for clients in CLIENTS), (1, 8)]:
                print(asyncio.run(measure(url, body, clients, stalled)), flush=True)


if __name__ == "__main__":
    main()

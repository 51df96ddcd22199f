"""How long the service takes to be ready and how much memory it holds, beside an empty BentoML service.

Run from the project's top folder: `python -m benchmarks.serving_start`. Prints a table, asserts nothing.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx
import psutil

EMPTY = """
import bentoml

@bentoml.service(workers=1)
class Empty:
    @bentoml.api
    def echo(self, number: int) -> int:
        return number
"""
ROUNDS = 5
PATIENCE = 60.0


def start(target: str, folder: Path) -> tuple[float, list[float]]:
    """Start a service, wait until it is ready, and stop it.

    Args:
        target: what `bentoml serve` is given.
        folder: where it is started.

    Returns:
        Seconds until `/readyz` answered 200, and the resident memory of each of its processes in MiB.

    Raises:
        TimeoutError: it was not ready in a minute.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "BENTOML_DO_NOT_TRACK": "True"}
    quiet = subprocess.DEVNULL
    began = time.perf_counter()
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        while not _ready(port):
            if server.poll() is not None or time.perf_counter() - began > PATIENCE:
                raise TimeoutError(f"{target} was not ready after {PATIENCE:g} s; run `make repro`, then `make serve`")
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        parent = psutil.Process(server.pid)
        return seconds, [p.memory_info().rss / 2**20 for p in (parent, *parent.children(recursive=True))]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1.0).status_code == 200
    except httpx.TransportError:
        return False


def main() -> None:
    """Measure both, one after the other in turn, and print medians."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "empty.py").write_text(EMPTY)
        services = {"empty": ("empty:Empty", Path(scratch)), "redoubt": ("serving.service:Redoubt", Path.cwd())}
        runs = [{name: start(*where) for name, where in services.items()} for _ in range(ROUNDS)]
    print(f"{'service':10} {'ready':>8} {'MiB per process':>20}")
    for name in services:
        seconds = median(run[name][0] for run in runs)
        memory = [f"{median(sizes):.0f}" for sizes in zip(*(run[name][1] for run in runs), strict=True)]
        print(f"{name:10} {seconds:6.2f} s {', '.join(memory):>20}")
    print(f"ratio      {median(run['redoubt'][0] / run['empty'][0] for run in runs):6.2f}")


if __name__ == "__main__":
    main()

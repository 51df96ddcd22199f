"""A real `bentoml serve`, bounded in time and ended with its whole process group."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.support.unpinned import unpinned

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def serve(
    target: str, models: Path | None, folder: Path, cwd: Path = ROOT, variables: Mapping[str, str] | None = None
) -> Iterator[httpx.Client]:
    """Run `bentoml serve` until the block ends.

    Args:
        target: the service or bento.
        models: REDOUBT_MODELS; None leaves it unset.
        folder: takes BentoML's own files and the log, `server.log`.
        cwd: where the server is started.
        variables: added to the environment.

    Raises:
        TimeoutError: it did not come alive in a minute.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **unpinned(),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(folder / "bentoml"),
        **(variables or {}),
    }
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if models is not None:
        environment["REDOUBT_MODELS"] = str(models)
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client:
            _await_life(client, server)
            yield client
    finally:
        _stop(server)


def _await_life(client: httpx.Client, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if client.get("/livez").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError("the server did not come alive; see server.log")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(20.0)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()

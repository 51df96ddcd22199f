"""A server on this machine for as long as a block runs."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

STARTS_WITHIN = 60.0
ENDS_WITHIN = 20.0


class ServerError(RuntimeError):
    """A server that did not start; the message ends with its log."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], url: str, folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Run a server and end it with all its children.

    Args:
        command: the program and its arguments.
        url: has to answer, whatever it answers, before the block starts.
        folder: where it runs and leaves its log.
        variables: added to the environment.

    Yields:
        The url.

    Raises:
        ServerError: no answer within a minute.
    """
    log = folder / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=stream, stderr=stream, cwd=folder, start_new_session=True
        )
    try:
        _await(url, process, log)
        yield url
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, sign)
                process.wait(ENDS_WITHIN)


@contextmanager
def redoubt(models: Path) -> Iterator[str]:
    """The service over a folder of bundles, on a free port; run from the project's top folder. Yields its url."""
    root, url = Path.cwd(), f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:Redoubt", "--host", "127.0.0.1"]
    path = os.pathsep.join([str(root), str(root / "src"), os.environ.get("PYTHONPATH", "")])
    variables = {"BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": path, "REDOUBT_MODELS": str(root / models)}
    with tempfile.TemporaryDirectory() as folder:
        variables["BENTOML_HOME"] = folder
        with running([*command, "--port", url.rpartition(":")[2]], f"{url}/livez", Path(folder), variables):
            yield url


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url, timeout=2.0)
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise ServerError(f"no answer at {url}:\n{log.read_text(errors='replace')[-4000:]}")

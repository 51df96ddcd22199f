"""`bentoml serve` on a port that cannot be had ends with one sentence."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from serving import port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def test_the_server_itself_says_it(taken: int, project: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:Redoubt"]
    words = ["--host", "127.0.0.1", "--port", str(taken)]
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run(
        [*command, *words], cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: port {taken} of 127.0.0.1 is taken by another program: end that one, or give another port by --port"
    ]


@pytest.mark.parametrize(
    ("host", "number", "says"),
    [
        ("127.0.0.1", 70000, "port 70000 came; expected a number below 65536"),
        ("203.0.113.7", 3000, "203.0.113.7:3000 is no address that this machine can listen at"),
        ("no.such.host.invalid", 3000, "no.such.host.invalid:3000 is no address that this machine can listen at"),
    ],
)
def test_an_address_that_is_none_is_said(host: str, number: int, says: str) -> None:
    with click.Context(click.Command("serve"), info_name="serve") as context:
        context.params = {"host": host, "port": number}
        with pytest.raises(SystemExit, match=says):
            port.refuse_taken()


def test_other_processes_are_left_alone(taken: int) -> None:
    port.refuse_taken()
    with click.Context(click.Command("build"), info_name="build") as context:
        context.params = {"host": "127.0.0.1", "port": taken}
        port.refuse_taken()

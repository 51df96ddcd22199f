"""An audit of a real server: its protocol is found by asking, and what it answered outlives its death."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redoubt.cli import main
from redoubt.core.types import Batch
from redoubt.targets.contract import Opening
from redoubt.targets.open import open_target

LOSES_HEART = 30


class Server(ThreadingHTTPServer):
    """MLflow's scoring protocol by a model that looks at one feature; after some answers it is unwell."""

    asked, alive, refuses = 0, True, 0
    tokens: tuple[str | None, ...] = ()
    times: tuple[float, ...] = ()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._send(200, "3.17.2") if self.path == "/version" else self._send(404, "nothing here")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.tokens = (*self.server.tokens, self.headers.get("authorization"))
        self.server.times = (*self.server.times, time.monotonic())
        if self.server.refuses:
            self.server.refuses -= 1
            return self._send(429, "slowly", {"retry-after": "1"})
        if not self.server.alive or self.server.asked >= LOSES_HEART:
            return self._send(503, "unwell")
        self.server.asked += 1
        table = body["dataframe_split"]
        assert table["columns"] == ["age", "income"]
        one = 1 / (1 + np.exp(-(np.array(table["data"])[:, 0] - 50) / 5))
        return self._send(200, json.dumps({"predictions": np.stack([1 - one, one], axis=1).tolist()}))

    def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """In silence."""


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def test_a_server_that_falls_ill(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDOUBT_AUDIT_HEADER", "Bearer secret")
    monkeypatch.setattr("redoubt.targets.url.FIRST_PAUSE", 0.0)
    monkeypatch.setattr("redoubt.audit.plan.MANY", 12)
    rng = np.random.default_rng(0)
    rows = [
        f"{a:.1f},{i:.0f},{int(a > 50)}" for a, i in zip(rng.uniform(0, 100, 40), rng.uniform(0, 9, 40), strict=True)
    ]
    Path("people.csv").write_text("age,income,old\n" + "\n".join(rows) + "\n")
    url = f"http://127.0.0.1:{server.server_port}"
    words = ["audit", url, "--data", "people.csv", "--target", "old", "--eps", "0.3", "--out", "out"]

    assert main(words) == 1
    said = capsys.readouterr()
    assert re.search(r"503: unwell; \d+ answers are kept in out/queries.jsonl: run the same command again", said.err)
    broken = json.loads(Path("out/audit.json").read_text())
    assert "unwell" in broken["stopped"]
    assert broken["rows"][-1]["robust"]["share"] <= 1.0
    assert set(server.tokens) == {"Bearer secret"}
    assert "secret" not in Path("out/audit.json").read_text() + Path("out/queries.jsonl").read_text()

    first, server.asked = server.asked, -10_000
    assert main(words) == 0
    found = json.loads(Path("out/audit.json").read_text())
    assert found["stopped"] is None
    assert found["access"] == "scores"
    assert found["rows"][-1]["robust"]["share"] <= broken["rows"][-1]["robust"]["share"]
    assert "asked by the protocol mlflow" in found["notes"]
    server.asked = 0
    assert main(words) == 0, "all of it out of the log"
    assert server.asked == 0
    assert first == LOSES_HEART


def test_requests_are_spaced_and_a_server_that_asks_for_time_gets_it(server: Server) -> None:
    x = np.random.default_rng(0).uniform(0, 100, (8, 2)).astype(np.float32)
    batch = Batch(x, (x[:, 0] > 50).astype(np.int64))
    opening = Opening(batch, ("no", "yes"), protocol="mlflow", features=("age", "income"), rate=20.0)
    with closing(open_target(f"http://127.0.0.1:{server.server_port}", opening)) as target:
        for place in range(4):
            target.predict(x + np.float32(place + 1))
        # Five requests in all, the first of them to read the answers; how late one arrives is not ours.
        assert server.times[-1] - server.times[0] > 0.8 * 4 / 20
        server.refuses = 1
        assert target.predict(x - 1).shape == (8, 2)
        assert 0.9 < server.times[-1] - server.times[-2] < 5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--protocol", "carrier-pigeon"], "--protocol is 'carrier-pigeon'; expected redoubt, oip"),
        (["--protocol", "oip"], "say which with --model NAME"),
        (["--protocol", "redoubt"], "say which with --model TASK"),
    ],
)
def test_a_url_that_says_too_little(words: list[str], expected: str, tmp_path: Path, capsys: Any) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2)), y=np.arange(4) % 2)
    given = ["--data", str(tmp_path / "d.npz"), "--out", str(tmp_path / "out")]
    assert main(["audit", "http://127.0.0.1:9", *given, *words]) == 2
    assert re.search(expected, capsys.readouterr().err)


def test_nobody_is_there(tmp_path: Path, capsys: Any) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2)), y=np.arange(4) % 2)
    words = ["audit", "http://127.0.0.1:9", "--data", str(tmp_path / "d.npz"), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "answers none of redoubt, oip, mlflow, tensorflow-serving" in capsys.readouterr().err

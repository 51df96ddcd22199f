"""A running service, of which only its URL is known."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.cli import main
from redoubt.core.store import read_arrays
from tests.support import tiny
from tests.support.tiny import IMAGE


@contextmanager
def serving(model: GuardedModel, inputs: int) -> Iterator[tuple[str, list[int]]]:
    """Answers so many inputs, then refuses; yields its URL and how many came in each request."""
    seen: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet, or each answer waits for the system's delayed acknowledgement.
        wbufsize = -1

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append(len(body["inputs"]))
            if sum(seen) > inputs:
                self.answer(429, {"error": {"message": "too many queries"}})
                return
            vote = model.predict(np.array(body["inputs"], np.float32), np.random.default_rng(0)).vote
            each = [dict(zip(model.schema.labels, row.tolist(), strict=True)) for row in vote]
            self.answer(200, {"predictions": [{"probabilities": chances} for chances in each]})

        def answer(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def guarded(bundles: Callable[[str], tiny.Guarded], desk: Path, monkeypatch: pytest.MonkeyPatch) -> tiny.Guarded:
    monkeypatch.chdir(desk)
    return bundles(IMAGE)


@pytest.mark.parametrize(
    "words",
    [
        "noise",
        "square --queries=30",
        "hopskipjump --queries=60",
        "transfer --proxy=bars.keras --steps=5",
        "transfer-matrix --proxy=bars.keras --steps=5",
        "same-length",
        "substitute --queries=100",
    ],
)
def test_who_needs_no_gradient_attacks_a_url(words: str, guarded: tiny.Guarded, tmp_path: Path) -> None:
    name, *extra = words.split()
    given = ["--data=rows.npz", "--points=24", "--eps=0.3", f"--bundle={guarded.folder}", f"--out={tmp_path}"]
    with serving(guarded.model, 10**6) as (url, seen):
        assert main(["attack", name, url, *given, *extra]) == 0
    found = json.loads((tmp_path / "record.json").read_text())
    assert (found["complete"], found["target"]["kind"], found["target"]["task"]) == (True, "http", "bars")
    assert found["answers"] == sum(seen)
    assert {"robust_accuracy", "success_rate", "local"} & set(found["found"])


def test_what_was_done_before_a_refusal_is_kept(
    guarded: tiny.Guarded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first 32 rows are finished, of the others the won ones are kept."""
    given = ["--data=rows.npz", "--eps=0.4", f"--bundle={guarded.folder}", f"--out={tmp_path}", "--queries=30"]
    with serving(guarded.model, 10**6) as (url, seen):
        assert main(["attack", "square", url, *given]) == 0
        whole, asked = read_arrays(tmp_path / "arrays.npz"), sum(seen)
    with serving(guarded.model, asked - 200) as (url, _):
        assert main(["attack", "square", url, *given]) == 1
    found = json.loads((tmp_path / "record.json").read_text())
    assert not found["complete"]
    assert "refuses with status 429: too many queries" in found["stopped"]
    assert found["found"]["examples"] == 32
    arrays = read_arrays(tmp_path / "arrays.npz")
    assert np.array_equal(arrays["x_adv"][:32], whole["x_adv"][:32])
    late = np.any(arrays["x_adv"][32:] != arrays["x"][32:], axis=(1, 2, 3))
    assert 0 < late.sum() < 32
    assert np.array_equal(arrays["x_adv"][32:][late], whole["x_adv"][32:][late])
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: http://127.0.0.1")


def test_a_refusal_before_anything_was_finished_keeps_the_rows_won(guarded: tiny.Guarded, tmp_path: Path) -> None:
    given = ["--data=rows.npz", "--eps=0.4", f"--bundle={guarded.folder}", f"--out={tmp_path}", "--queries=30"]
    with serving(guarded.model, 200) as (url, _):
        assert main(["attack", "square", url, *given]) == 1
    found = json.loads((tmp_path / "record.json").read_text())
    assert (found["complete"], found["found"]["examples"]) == (False, 0)
    assert found["found"]["queries"] > 100


def test_a_substitute_keeps_the_rounds_before_a_refusal(guarded: tiny.Guarded, tmp_path: Path) -> None:
    given = ["--data=rows.npz", "--eps=0.3", f"--bundle={guarded.folder}", f"--out={tmp_path}", "--queries=500"]
    with serving(guarded.model, 300) as (url, _):
        assert main(["attack", "substitute", url, *given]) == 1
    found = json.loads((tmp_path / "record.json").read_text())
    assert not found["complete"]
    assert 32 <= found["found"]["queries"] < 500

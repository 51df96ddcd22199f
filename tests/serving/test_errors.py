"""Every error answer in one envelope, whoever made it."""

import logging
import sys
from collections.abc import Sequence

import pytest
from bentoml.exceptions import InvalidArgument, ServiceUnavailable
from starlette.responses import Response
from starlette.testclient import TestClient

from serving.errors import LONGEST, Envelope, is_ours

# What the layers below say, and the sentence that leaves.
BODIES: dict[str, tuple[int, str, str, str]] = {
    "BentoML's array of one": (400, '[{"error": "input 3 is odd"}]', "bad_request", "input 3 is odd"),
    "BentoML's object": (415, '{"error": "not that"}', "unsupported_media_type", "not that"),
    "pydantic's list": (400, '{"error": "1 error for Input", "detail": [{}]}', "bad_request", "1 error for Input"),
    "bare words": (400, "Invalid thing", "bad_request", "Invalid thing"),
    "lines folded": (400, '[{"error": "a\\n  b"}]', "bad_request", "a b"),
    "Starlette's 404": (404, "Not Found", "not_found", "there is nothing at this path"),
    "Starlette's 405": (405, "Method Not Allowed", "method_not_allowed", "this path does not take that method"),
    "an envelope of ours": (503, '{"error": {"code": "x", "message": "no slot"}}', "service_unavailable", "no slot"),
    "Starlette's 500": (500, "Traceback: secret", "internal_server_error", "its log says why"),
    "BentoML's 503": (503, '{"error": "An unexpected"}', "service_unavailable", "the service is not ready"),
    "BentoML's 504": (504, '{"error": "Not able"}', "gateway_timeout", "took too long"),
    "502": (502, "", "bad_gateway", "its log says why"),
}


def over(body: str | bytes, status: int, paths: Sequence[str] = ("/",)) -> TestClient:
    """A client of an application that always answers the same."""
    return TestClient(Envelope(Response(body, status, {"x-kept": "1"}, "text/plain"), paths))


@pytest.mark.parametrize("name", BODIES)
def test_envelope(name: str) -> None:
    status, body, code, sentence = BODIES[name]
    answer = over(body, status).get("/")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-kept"] == "1"
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert answer.json()["error"]["code"] == code
    assert sentence in answer.json()["error"]["message"]
    assert "secret" not in answer.text


def test_a_good_answer_is_left_alone() -> None:
    answer = over(b"\x00\xff", 200).get("/")
    assert answer.content == b"\x00\xff"
    assert answer.headers["content-type"].startswith("text/plain")


def test_an_overlong_message_is_cut() -> None:
    assert len(over("x" * 10_000, 400).get("/").json()["error"]["message"]) == LONGEST


def test_a_path_that_nobody_serves_never_reaches_the_service() -> None:
    assert over("reached", 200).get("/elsewhere").status_code == 404


@pytest.mark.parametrize(
    ("error", "expected"),
    [(InvalidArgument("x"), False), (ServiceUnavailable("x"), True), (ZeroDivisionError(), True)],
    ids=["client's mistake", "not ready", "bug"],
)
def test_the_log_keeps_what_is_ours(error: Exception, expected: bool) -> None:
    try:
        raise error
    except Exception:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "Exception", (), sys.exc_info())
    assert is_ours(record) is expected


def test_who_breaks_leaves_an_envelope_too(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> None:
        raise OSError("secret")

    answer = TestClient(Envelope(broken, ("/",))).get("/")
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "the service failed on this request; its log says why"
    assert "secret" in caplog.text

"""Who answers what: the probes of a process that is full, and everything else as before."""

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from serving.front import Front


def client(full: bool) -> TestClient:
    """A front whose parts say who they are."""
    rest, hot = PlainTextResponse("rest"), PlainTextResponse("hot")
    routes: dict[str, Any] = {"/predict": "a route", "/v2/models/digits/infer": "another"}
    desk: Any = SimpleNamespace(batcher=SimpleNamespace(backlog=SimpleNamespace(saturated=full)))
    return TestClient(Front(rest, hot, routes.get, lambda: desk))


@pytest.mark.parametrize(
    ("method", "path", "who"),
    [
        ("POST", "/predict", "hot"),
        ("OPTIONS", "/predict", "hot"),
        ("GET", "/predict", "hot"),
        ("POST", "/predict/", "rest"),
        ("POST", "/v2/models/digits/infer", "hot"),
        ("GET", "/v2/health/live", '{"live":true}'),
        ("GET", "/v2/health/ready", '{"ready":true}'),
        ("GET", "/v2x", "rest"),
        ("GET", "/readyz", "rest"),
        ("GET", "/ping", "rest"),
        ("GET", "/metrics", "rest"),
        ("GET", "/livez", "\n"),
    ],
)
def test_each_goes_to_who_answers_it(method: str, path: str, who: str) -> None:
    assert client(full=False).request(method, path).text == who


def test_who_is_full_is_alive_but_not_ready() -> None:
    full = client(full=True)
    for path in ("/readyz", "/ping"):
        answer = full.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "no room for more requests" in answer.json()["error"]["message"]
    answer = full.get("/v2/health/ready")
    assert answer.status_code == 503
    assert "no room for more requests" in answer.json()["error"]
    for path in ("/livez", "/v2/health/live"):
        assert full.get(path).status_code == 200
    assert full.post("/predict").text == "hot"

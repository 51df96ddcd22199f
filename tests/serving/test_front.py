"""Who answers what: the probes of a process that is full, and everything else as before."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from serving.front import Front


def client(full: bool) -> TestClient:
    """A front whose parts say who they are."""
    rest, hot = PlainTextResponse("rest"), PlainTextResponse("hot")
    return TestClient(Front(rest, hot, frozenset({"/predict"}), lambda: full))


@pytest.mark.parametrize(
    ("method", "path", "who"),
    [
        ("POST", "/predict", "hot"),
        ("OPTIONS", "/predict", "hot"),
        ("GET", "/predict", "rest"),
        ("POST", "/predict/", "rest"),
        ("GET", "/readyz", "rest"),
        ("GET", "/metrics", "rest"),
        ("GET", "/livez", "\n"),
    ],
)
def test_each_goes_to_who_answers_it(method: str, path: str, who: str) -> None:
    assert client(full=False).request(method, path).text == who


def test_who_is_full_is_alive_but_not_ready() -> None:
    full = client(full=True)
    answer = full.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "no room for more requests" in answer.json()["error"]["message"]
    assert full.get("/livez").status_code == 200
    assert full.post("/predict").text == "hot"

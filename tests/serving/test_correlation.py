"""Ids and traces come back with every answer, and pages of the named origins may read them."""

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from serving.correlation import Correlation
from serving.cors import open_to

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATHS = ["/predict", "/invocations", "/v2", "/v2/models/digits/infer", "/livez", "/readyz", "/docs", "/no"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_they_come_back_with_every_answer(path: str, method: str, client: httpx.Client) -> None:
    answer = client.request(method, path, headers={"X-Request-ID": "order-7", "traceparent": TRACE})
    assert answer.headers.get_list("x-request-id") == ["order-7"]
    assert answer.headers.get_list("traceparent") == [TRACE]


def test_metrics_too(http: httpx.Client) -> None:
    assert http.get("/metrics", headers={"X-Request-ID": "order-7"}).headers["x-request-id"] == "order-7"


@pytest.mark.parametrize("came", ["", "a b", "x" * 129, "ü", 'a"', "a\x7f"])
def test_an_id_that_cannot_stand_in_a_log_is_replaced(came: str, asgi: httpx.Client) -> None:
    made = [asgi.get("/livez", headers={"X-Request-ID": came.encode()}).headers["x-request-id"] for _ in range(2)]
    assert all(len(each) == 32 for each in made)
    assert made[0] != made[1]


@pytest.mark.parametrize(
    "came",
    [
        "",
        "x",
        TRACE.upper(),
        "ff" + TRACE[2:],
        TRACE[:-1],
        TRACE[:3] + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + TRACE[-3:],
    ],
)
def test_what_is_no_trace_does_not_come_back(came: str, asgi: httpx.Client) -> None:
    assert "traceparent" not in asgi.get("/livez", headers={"traceparent": came}).headers


def test_what_an_answer_says_of_itself_stays() -> None:
    app = Correlation(PlainTextResponse("x", headers={"traceparent": "its own"}))
    assert TestClient(app).get("/", headers={"traceparent": TRACE}).headers["traceparent"] == "its own"


ORIGIN = {"Origin": "https://shop.example"}


def page(setting: str) -> TestClient:
    """A service that pages of some origins may call."""
    return TestClient(Correlation(open_to(PlainTextResponse("x"), setting)))


def test_pages_may_call_if_their_origin_is_named() -> None:
    asked = {
        **ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-request-id, traceparent, inference-header-content-length",
    }
    allowed = page("https://other.example, https://shop.example/").options("/predict", headers=asked)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    answer = page("https://shop.example").post("/predict", headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    assert page("*").get("/", headers=ORIGIN).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("setting", ["", " , ", "https://other.example", "https://shop.example.evil"])
def test_others_may_not(setting: str) -> None:
    assert "access-control-allow-origin" not in page(setting).post("/predict", headers=ORIGIN).headers


def test_none_may_unless_it_is_set(client: httpx.Client) -> None:
    preflight = client.options("/v2/models/digits/infer", headers={**ORIGIN, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 405
    assert "REDOUBT_CORS_ORIGINS" in preflight.json()["error"]
    assert "access-control-allow-origin" not in client.get("/v2", headers=ORIGIN).headers
